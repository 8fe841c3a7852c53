"""The ``async`` profile: coroutines run as tasks of one event loop, in the main thread; another thread reads.

Synchronous tools of such an adapter would hold all of them up, so they run in a few threads of their own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from _queue import SimpleQueue
from inspect import isawaitable
from typing import Any, NoReturn

from . import calls, current, generators
from .batch import Batch
from .context import CallContext
from .crew import Crew
from .errors import Cancelled
from .strand import Strand

HELPERS = 8  # threads for synchronous tools at once, at most; those that wait for other tools are not counted

_now = time.perf_counter_ns


class AsyncWorker(Crew):
    """A worker of many slots, ``_free`` of them unused.

    That number and ``_entered`` are the loop's own; other threads send it callbacks.
    """

    shares_loop = True

    def __init__(self, tools: list[Any], page: Any, stream: Any, leave: Any, slots: int, loop: Any) -> None:
        """``page`` is a SharedPage, ``loop`` the adapter's EventLoop; the others as for Desk."""
        super().__init__(tools, page, stream, self._clean_up)
        self._hook = leave
        self._loop: asyncio.AbstractEventLoop = loop.get()
        self._free = slots
        self._entered: dict[int, Any] = {}  # tasks whose tool's code runs, with its context, by the id of call or batch
        self._kept: set[Any] = set()  # all tasks, of which asyncio keeps only weak references
        self._slots = slots
        self._helpers = 0 if all(item.in_loop for item in tools) else min(HELPERS, slots)
        self._waiting = 0  # helpers that wait for other tools; the loop's own
        self.requests = self._requests
        self._strands: list[Strand] = []
        self._synchronous: Any = SimpleQueue()
        self._main_thread = threading.get_ident()

    def run(self) -> None:
        """Serve until the gateway says Stop or the stream ends, then exit the process."""
        for _ in range(self._helpers):
            self._add_helper()
        threading.Thread(target=self._read_on, name="bridge", daemon=True).start()
        while True:
            self._loop.run_forever()  # a tool could stop it

    # The reading thread.

    def _read_on(self) -> None:
        try:
            self._read()
        except BaseException as error:  # a bug of ours; without a reader the worker would look dead
            print(f"snakepit_bridge: reading failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)

    def _take(self, frame: Any) -> None:
        super()._take(frame)
        if frame.invokes:
            self._loop.call_soon_threadsafe(self._start_calls)

    def _stop_run(self, run_id: int) -> None:
        self._loop.call_soon_threadsafe(self._cancel_task, run_id)
        for strand in self._strands:
            strand.cancel(run_id)

    def _clean_up(self) -> None:
        """Have the adapter's hook called in the loop, unless that does not answer any more."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._start_cleanup, done)
        done.wait()

    # The loop's thread.

    def _start_cleanup(self, done: threading.Event) -> None:
        async def clean_up() -> None:
            try:
                await self._hook()
            finally:
                done.set()

        self._kept.add(self._loop.create_task(clean_up()))

    def _start_calls(self) -> None:
        while self._free:
            next_call = self._next_call()
            if next_call is None:
                return
            tool, claimed = next_call
            self._free -= 1
            if tool is None or tool.in_loop:
                run = self._run_batch(claimed) if type(claimed) is Batch else self._run(tool, *claimed)
                task = self._loop.create_task(run)
                self._kept.add(task)
                task.add_done_callback(self._kept.discard)
            else:
                self._synchronous.put(next_call)

    async def _run(self, tool: Any, invoke: Any, arrived: int, slot: int) -> None:
        feed = self._feeds.open(invoke, self) if tool is not None and tool.streaming else None
        context = CallContext(invoke, arrived / 1e9, feed, self)
        current.running.set(context)
        try:
            arguments = calls.arguments(tool, invoke, context, feed)
        except Exception as error:
            answer = calls.not_begun(invoke, error)
        else:
            answer = await self._run_tool(invoke, tool, arguments, slot, feed)
        if feed is not None:
            self._feeds.close(invoke, feed)
        self.requests.end_call(invoke.call_id)
        self._answer(invoke, answer, slot)
        self._release()

    async def _run_tool(self, invoke: Any, tool: Any, arguments: dict[str, Any], slot: int, feed: Any) -> Any:
        call_id = invoke.call_id
        self._page.start(call_id, slot)
        begun = _now()
        self._entered[call_id] = asyncio.current_task(), current.running.get()
        try:
            if call_id in self._cancelled:
                raise Cancelled("nobody waits for this call any more")
            value = tool.function(**arguments)
            if feed is not None:
                value = await generators.run_in_loop(value, feed)
                answer = feed.answer(invoke, value, (_now() - begun) // 1000)
            else:
                value = await value if isawaitable(value) else value
                answer = calls.encode(invoke, value, (_now() - begun) // 1000)
        except BaseException as error:  # SystemExit too: a tool ends its call, not the worker
            answer = calls.failed(invoke, error, (_now() - begun) // 1000, call_id in self._cancelled)
        finally:
            del self._entered[call_id]
        self._page.end(answer, slot)
        return answer

    async def _run_batch(self, batch: Batch) -> None:
        answers = batch.open(self)
        if batch.is_wanted:
            current.running.set(batch.context)
            begun = _now()
            self._entered[batch.id] = asyncio.current_task(), batch.context
            try:
                if batch.id in self._cancelled:
                    raise Cancelled("nobody waits for these calls any more")
                value = batch.call()
                value = await value if isawaitable(value) else value
            except BaseException as error:
                value = error
            finally:
                del self._entered[batch.id]
            answers += batch.close(value, (_now() - begun) // 1000)
        self._end_batch(batch, answers)
        self._release()

    # What feeds ask of it.

    def is_here(self) -> bool:
        """Whether this is the loop's thread, where feeds never block."""
        return threading.get_ident() == self._main_thread

    def step_out(self) -> int:
        """Tasks are not interrupted but where they await."""
        return 0

    step_aside = step_out

    def step_in(self, entered: int) -> None:
        """See step_out()."""

    def block(self, gate: Any, ready: Any) -> None:
        """Pause a thread that a tool has started until ``ready()``."""
        gate.block(ready)

    def expect(self) -> None:
        """Another thread reads in any case."""

    wait_for_reply = block

    def write(self, ready: Any) -> None:
        """The reading thread writes."""

    def _cancel_task(self, run_id: int) -> None:
        task, context = self._entered.get(run_id, (None, None))
        if task is not None:
            context.cancelled = True
            task.cancel()

    def _release(self) -> None:
        self._free += 1
        self._start_calls()

    # Helpers.

    def _add_helper(self) -> None:
        strand = Strand(self._page, self._cancelled, self._feeds, self._requests, self._note_waiting)
        name = f"tool-{len(self._strands)}"
        self._strands.append(strand)
        threading.Thread(target=self._help, args=(strand,), name=name, daemon=True).start()

    def _note_waiting(self, change: int) -> None:
        self._loop.call_soon_threadsafe(self._replace_waiting, change)

    def _replace_waiting(self, change: int) -> None:
        """What a helper waits for may need a helper: there is one more for each that waits, up to one for each slot."""
        self._waiting += change
        if len(self._strands) - self._waiting < self._helpers and len(self._strands) < self._slots:
            self._add_helper()

    def _help(self, strand: Strand) -> NoReturn:
        while True:
            self._run_on(strand, *self._synchronous.get())
            self._loop.call_soon_threadsafe(self._release)
