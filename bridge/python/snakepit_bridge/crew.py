"""What the workers have in common that run several calls at once."""

from __future__ import annotations

import _thread
from typing import Any, Optional

from . import bridge_pb2 as pb
from .desk import Desk


class Crew(Desk):
    """Keeps the tally of calls: which ones run, which of those are cancelled, how many are done.

    A call is always either in ``_calls``, or in ``_active``, or answered.
    """

    def __init__(self, tools: list[Any], page: Any, stream: Any, leave: Any) -> None:
        super().__init__(stream, page, leave)
        self._tools = {item.name: item for item in tools}
        self._tally = _thread.allocate_lock()  # guards the following, and the steps between its parts
        self._active: set[int] = set()
        self._cancelled: set[int] = set()  # of those that are active
        self._count = 0

    # Any thread.

    def _next_call(self) -> Optional[tuple[Any, int]]:
        """Claim the oldest call that waits: it and its arrival. None if there is none."""
        with self._tally:
            try:
                call_id, call = self._calls.popitem(False)
            except KeyError:
                return None
            self._active.add(call_id)
            return call

    def _answer(self, invoke: Any, answer: Any) -> None:
        """The call has ended."""
        with self._tally:
            self._active.discard(invoke.call_id)
            self._cancelled.discard(invoke.call_id)
            self._count += type(answer) is not pb.Failure or answer.started
            self._outbox.put(answer)
        self._outbox.flush()

    # The reading thread.

    def _read(self) -> None:
        """Read until everything is answered after a Stop, then leave."""
        while not (self._stopping and self._is_empty()):
            self._read_one()
        self._finish()

    def _is_empty(self) -> bool:
        with self._tally:
            return not (self._calls or self._active or self._outbox or self._outbox.sending)

    def _interrupt(self, call_id: int) -> bool:
        with self._tally:
            if call_id not in self._active:
                return False
            self._cancelled.add(call_id)
        self._stop_call(call_id)
        return True

    def _done(self) -> int:
        return self._count

    def _stop_call(self, call_id: int) -> None:
        """Make what runs that call hear of it; whoever begins to run one looks into ``_cancelled`` first."""
        raise NotImplementedError
