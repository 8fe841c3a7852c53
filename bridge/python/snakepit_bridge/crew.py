"""What the workers have in common that run several calls at once, each call or batch in one of their slots."""

from __future__ import annotations

import _thread
from typing import Any, Optional

from . import bridge_pb2 as pb
from .batch import Batch
from .desk import Desk


class Crew(Desk):
    """Keeps the tally of calls: which ones run, which of those are cancelled, how many are done.

    A call is always either in ``_calls``, or in ``_active`` by itself or with its batch, or answered.
    """

    def __init__(self, tools: list[Any], page: Any, stream: Any, leave: Any) -> None:
        super().__init__(stream, page, leave)
        self._tools = {item.name: item for item in tools}
        self._tally = _thread.allocate_lock()  # guards the following, and the steps between its parts
        self._active: set[int] = set()  # ids of calls, and of batches
        self._cancelled: set[int] = set()  # of those that are active
        self._count = 0

    # Any thread.

    def _next_call(self) -> Optional[tuple[Any, Any]]:
        """Claim the oldest call that waits, with those that are run with it. None if there is none.

        Returns its tool, None if there is no such tool, and a Batch, or else the call, its arrival and its place in the
        page.
        """
        with self._tally:
            try:
                call_id, (invoke, arrived) = self._calls.popitem(False)
            except KeyError:
                return None
            tool = self._tools.get(invoke.tool)
            if tool is None or not tool.batch_size:
                self._active.add(call_id)
                return tool, (invoke, arrived, self._places.pop())
            batch = self._claim_batch(tool, invoke, arrived)
            self._active.add(batch.id)
        self._tell_together(batch)
        return tool, batch

    def _run_on(self, strand: Any, tool: Any, claimed: Any) -> None:
        """Run what was claimed in a thread, to its end."""
        if type(claimed) is Batch:
            self._end_batch(claimed, strand.run_batch(claimed))
        else:
            invoke, arrived, place = claimed
            self._answer(invoke, strand.run(tool, invoke, arrived, place), place)

    def _answer(self, invoke: Any, answer: Any, place: int) -> None:
        """The call has ended."""
        with self._tally:
            self._active.discard(invoke.call_id)
            self._cancelled.discard(invoke.call_id)
            self._count += type(answer) is not pb.Failure or answer.started
            self._places.append(place)
            self._outbox.put(answer)
        self._outbox.flush()

    def _end_batch(self, batch: Batch, answers: list[Any]) -> None:
        with self._tally:
            self._active.discard(batch.id)
            self._cancelled.discard(batch.id)
            self._count += batch.done
            super()._end_batch(batch, answers)
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

    def _interrupt(self, run_id: int) -> bool:
        with self._tally:
            if run_id not in self._active:
                return False
            self._cancelled.add(run_id)
        self._stop_run(run_id)
        return True

    def _done(self) -> int:
        return self._count

    def _stop_run(self, run_id: int) -> None:
        """Make what runs that call or batch hear of it; whoever begins to run one looks into ``_cancelled`` first."""
        raise NotImplementedError
