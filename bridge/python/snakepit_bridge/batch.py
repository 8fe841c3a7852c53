"""Several calls of a tool that are run at once, of which each has its own answer."""

from __future__ import annotations

import _thread
from collections.abc import Iterable
from typing import Any, Optional

from . import calls, failure
from .errors import Cancelled


class Batch:
    """The calls that are still wanted. Any may be dropped by another thread, until close()."""

    def __init__(self, page: Any) -> None:
        """``page`` is a StartedPage, of which each call has a slot of its own."""
        self._page = page
        self._lock = _thread.allocate_lock()
        self._members: dict[int, tuple[Any, int]] = {}  # with the slot

    def open(self, invokes: Iterable[Any]) -> None:
        """Note that these are started."""
        for slot, invoke in enumerate(invokes):
            self._page.start(invoke.call_id, slot)
            self._members[invoke.call_id] = invoke, slot

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for any of it."""
        return bool(self._members)

    def drop(self, call_id: int) -> Optional[Any]:
        """Nobody waits for that call any more: its answer, or None if it is not one of these."""
        with self._lock:
            found = self._members.pop(call_id, None)
            if found is None:
                return None
            invoke, slot = found
            answer = failure.of_exception(invoke, Cancelled("nobody waits for this call any more"), 0, "cancelled")
            self._page.end(answer, slot)
            return answer

    def close(self, invokes: list[Any], values: list[Any], run_us: int) -> list[Any]:
        """The answers of those that are still wanted; ``values`` has one for each of ``invokes``, or an exception."""
        with self._lock:
            wanted, self._members = self._members, {}
        answers = []
        for invoke, value in zip(invokes, values):
            if invoke.call_id in wanted:
                failed = isinstance(value, BaseException)
                answer = (calls.failed(invoke, value, run_us, False) if failed else calls.encode(invoke, value, run_us))
                self._page.end(answer, wanted[invoke.call_id][1])
                answers.append(answer)
        return answers
