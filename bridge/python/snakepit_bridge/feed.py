"""What one call says while it runs: to a caller who reads a stream, or into a list when one answer is wanted.

A feed takes values at any time and from any thread of the tool's. What it wants in return is that the tool pauses when
it says so. Who drives a generator pauses it; stream.send(), context.progress() and context.log() pause the thread that
calls them, but not one that runs an event loop: there they return something to await. A tool that does not await it is
still heard in order, up to a limit.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any

from . import calls, values
from .errors import Cancelled
from .gate import Gate
from .limits import number
from .outbox import EMISSION_COST
from .pause import DONE, Pause

CHUNK, PROGRESS, LOG = 0, 1, 2  # Emission.Kind
MAX_KEPT = number(os.environ, "SNAKEPIT_STREAMS_AHEAD", 64 << 20)  # of credit: what is said ahead without pausing
FAIR_COUNT = 128  # values that are collected before other coroutines have a turn

_running_loop = asyncio._get_running_loop


class Feed:
    """A stream with credit. The outbox's lock guards ``credit``, ``segment`` and what is kept."""

    tells = True  # PROGRESS and LOG too

    def __init__(self, call_id: int, credit: int, outbox: Any, ground: Any) -> None:
        """``ground`` is what runs the call: it knows how its thread pauses."""
        self.call_id = call_id
        self.credit = credit
        self.segment: Any = None  # values that no frame has taken yet
        self.kept: deque[tuple[int, bytes]] = deque()  # values without credit
        self.cancelled = False
        self.closed = False
        self.gate = Gate()
        self._kept_size = 0
        self._outbox = outbox
        self._ground = ground

    # For who drives a generator.

    def put(self, value: Any) -> bool:
        """Emit a value that was yielded. Returns whether block() or wait() has to come before the next."""
        return self._outbox.emit(self, CHUNK, calls.encode_chunk(value))

    def block(self) -> None:
        """Pause this thread for as long as it takes, or until the call is cancelled."""
        self._outbox.flush()
        if not self._may_leave():
            self._ground.block(self.gate, self._may_leave)

    async def wait(self) -> None:
        """Pause this task for as long as it takes; others have a turn in any case."""
        entered = self._ground.step_aside()
        self._outbox.flush()
        if self.segment is not None:
            self._ground.write(self._is_written)
        self._ground.step_in(entered)
        if self._may_go_on():
            await asyncio.sleep(0)
        else:
            await self.gate.wait(self._may_go_on)

    def drain(self) -> None:
        """At the end of the call, when nothing may be kept any more: as block()."""
        if self.kept:
            self.block()

    async def drain_in_loop(self) -> None:
        if self.kept:
            await self.wait()

    def _is_written(self) -> bool:
        return self.segment is None

    def _may_go_on(self) -> bool:
        return self.segment is None and self.credit > 0

    def _may_leave(self) -> bool:
        return self.cancelled or self.closed or (self.segment is None and self.credit > 0)

    # For the tool.

    def send(self, value: Any) -> Any:
        """What Stream.send() does."""
        if self.closed:
            raise RuntimeError("the call has ended")
        return self._say(CHUNK, calls.encode_chunk(value))

    def tell(self, kind: int, value: Any) -> Any:
        """Emit a PROGRESS or LOG."""
        return DONE if self.closed else self._say(kind, calls.limited(values.encode(value)))

    def _say(self, kind: int, body: bytes) -> Any:
        if _running_loop() is not None:
            entered = self._ground.step_aside()
            if entered:
                return self._say_in_own_loop(kind, body, entered)
            return Pause(self) if self._outbox.emit(self, kind, body) else DONE
        entered = self._ground.step_out()
        try:
            if self._outbox.emit(self, kind, body):
                self.block()
        finally:
            self._ground.step_in(entered)
        if self.cancelled and not entered and not self._ground.is_here():
            raise Cancelled("nobody waits for this call any more")
        return DONE

    def _say_in_own_loop(self, kind: int, body: bytes, entered: int) -> Any:
        """The loop is one of a synchronous tool's."""
        try:
            pauses = self._outbox.emit(self, kind, body)
        finally:
            self._ground.step_in(entered)
        return Pause(self) if pauses else DONE

    # For the outbox.

    def keep(self, kind: int, body: bytes) -> None:
        """Hold a value for which there is no credit. Raises BufferError when that has become too many."""
        if self.cancelled or self.closed:
            return
        self._kept_size += len(body) + EMISSION_COST
        if self._kept_size > MAX_KEPT:
            raise BufferError("the reader is slower than this tool: it must await what stream.send() returns")
        self.kept.append((kind, body))

    def take(self) -> tuple[int, bytes]:
        """The oldest value that is held."""
        kind, body = self.kept.popleft()
        self._kept_size -= len(body) + EMISSION_COST
        return kind, body

    # For the reading thread.

    def cancel(self) -> None:
        """Nobody waits any more: threads that pause wake up. Tasks are cancelled by who runs them."""
        self.cancelled = True
        self.gate.open()

    def grant(self, credit: int) -> None:
        self._outbox.grant(self, credit)
        self.gate.open()

    # At the end.

    def close(self) -> None:
        """Nothing is taken any more, nor sent that was kept."""
        self.closed = True
        self._outbox.close(self)
        self.gate.open()

    def answer(self, invoke: Any, value: Any, run_us: int) -> Any:
        """The call's answer when the tool has returned ``value``."""
        return calls.encode(invoke, value, run_us)


class Collector:
    """Takes a stream's values for a caller who wants one answer."""

    tells = False

    def __init__(self) -> None:
        self._bodies: list[bytes] = []
        self._size = 2  # of the JSON array
        self._closed = False

    def put(self, value: Any) -> bool:
        body = calls.encode_chunk(value)
        self._size += len(body) + 1
        if self._size > values.MAX_BODY:
            raise calls.too_large(self._size)
        self._bodies.append(body)
        return len(self._bodies) % FAIR_COUNT == 0

    def block(self) -> None:
        """Threads are fair by themselves."""

    async def wait(self) -> None:
        await asyncio.sleep(0)

    def drain(self) -> None:
        """Nothing is kept."""

    async def drain_in_loop(self) -> None:
        """Nothing is kept."""

    def send(self, value: Any) -> Any:
        if self._closed:
            raise RuntimeError("the call has ended")
        return Pause(self) if self.put(value) and _running_loop() is not None else DONE

    def close(self) -> None:
        self._closed = True

    def answer(self, invoke: Any, value: Any, run_us: int) -> Any:
        """What the tool returned, or else the list of what it emitted."""
        if value is not None:
            return calls.encode(invoke, value, run_us)
        return invoke.call_id, b"[" + b",".join(self._bodies) + b"]", "", run_us
