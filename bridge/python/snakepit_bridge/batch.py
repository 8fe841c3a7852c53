"""Several calls of a tool that are run at once, of which each has its own answer."""

from __future__ import annotations

import _thread
from typing import Any, Optional

from . import calls, failure, parcel
from .context import CallContext, deadline_of
from .errors import Cancelled, Refused


class _Member:
    """A call of a batch."""

    __slots__ = ("body", "deadline", "invoke", "place")

    def __init__(self, invoke: Any, arrived: int) -> None:
        self.invoke = invoke
        self.deadline = deadline_of(invoke, arrived / 1e9)
        self.body: Any = None
        self.place = 0  # in the page, once it has started


class Batch:
    """Calls that were claimed to be run together: add(), open(), call(), close(), all in the thread that runs them.

    drop() is for any thread, at any time: the others go on without that call. With the last one the run itself is to be
    stopped, and as with a call that runs alone the answer comes when it has ended.
    """

    def __init__(self, tool: Any, page: Any, places: list[int]) -> None:
        """``page`` is a StartedPage; ``places`` are those of its slots that are free."""
        self.tool = tool
        self.id = 0  # of the run, as those of calls, which are positive
        self.call_ids: list[int] = []  # of all that were added
        self.context: Any = None  # once it is open
        self.is_given_up = False  # nobody waits for any of it, and the tool has been entered
        self._page = page
        self._places = places
        self._lock = _thread.allocate_lock()  # guards the following
        self._members: dict[int, _Member] = {}  # those that are wanted and have no answer
        self._running: list[_Member] = []  # those that the tool was given

    def add(self, invoke: Any, arrived: int) -> None:
        """It came at ``arrived`` (perf_counter_ns)."""
        self.id = self.id or -invoke.call_id
        self.call_ids.append(invoke.call_id)
        self._members[invoke.call_id] = _Member(invoke, arrived)

    def take_back(self, call_id: int) -> None:
        """The last one that was added: somebody else has claimed it."""
        self.call_ids.remove(call_id)
        self._members.pop(call_id, None)

    @property
    def is_full(self) -> bool:
        return len(self.call_ids) >= self.tool.batch_size

    def drop(self, call_id: int) -> Optional[Any]:
        """Nobody waits for that call any more: its answer, if it has not had one and others are wanted still."""
        with self._lock:
            member = self._members.get(call_id)
            if member is None:
                return None
            if not self._running:
                del self._members[call_id]
                error = Refused("Cancelled", "the call was cancelled before it started", 0, "cancelled")
                return failure.of_refusal(member.invoke, error)
            if len(self._members) == 1:
                self.context.cancelled = self.is_given_up = True
                return None
            del self._members[call_id]
            self._lead()
            error = Cancelled("nobody waits for this call any more")
            return self._end(member, failure.of_exception(member.invoke, error, 0, "cancelled"))

    # In the order in which they are called.

    def open(self, ground: Any) -> list[Any]:
        """Note that the calls start, in what is called next. Returns the answers of those that cannot be run.

        ``ground`` is what runs them. If none is left there is nothing to call.
        """
        refused = {member.invoke.call_id: self._bind(member) for member in list(self._members.values())}
        with self._lock:
            answers = [answer for call_id, answer in refused.items() if answer and self._members.pop(call_id, None)]
            self._running = list(self._members.values())
            for member in self._running:
                member.place = self._places.pop()
                self._page.start(member.invoke.call_id, member.place)
            if self._running:
                self.context = CallContext(self._running[0].invoke, 0, None, ground)
                self._lead()
        return answers

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be called."""
        return bool(self._running)

    def call(self) -> Any:
        """Enter the tool's code. Returns its results, or an awaitable of them if it is async."""
        parameters = self.tool.parameters
        more = {parameters.context: self.context} if parameters.context else {}
        outcome = self.tool.function(**{parameters.whole: [member.body for member in self._running]}, **more)
        return outcome if self.tool.is_async else self.tool.listed(outcome, len(self._running))

    def close(self, outcome: Any, run_us: int) -> list[Any]:
        """The answers of those that are still wanted. ``outcome`` is what the tool returned, or has raised."""
        try:
            results = self.tool.results(outcome, len(self._running))
        except Exception as error:
            results = [error] * len(self._running)
        with self._lock:
            wanted, self._members = self._members, {}
        return [
            self._end(member, self._answer(member.invoke, result, run_us))
            for member, result in zip(self._running, results)
            if member.invoke.call_id in wanted
        ]

    @property
    def done(self) -> int:
        """How many calls were started."""
        return len(self._running)

    def _bind(self, member: _Member) -> Optional[Any]:
        invoke, parameters = member.invoke, self.tool.parameters
        try:
            args = invoke.args or parcel.arguments(invoke)
            member.body = parameters.bind(args, invoke.content_type)[parameters.whole]
        except Exception as error:
            return calls.not_begun(invoke, error)
        return None

    def _lead(self) -> None:
        """The context is that of the first call that is wanted; its deadline the first of any that is."""
        members = list(self._members.values())
        deadlines = [member.deadline for member in members if member.deadline is not None]
        self.context.speak_for(members[0].invoke, min(deadlines, default=None))

    def _answer(self, invoke: Any, result: Any, run_us: int) -> Any:
        if isinstance(result, BaseException):
            return calls.failed(invoke, result, run_us, self.is_given_up)
        try:
            result = self.tool.finish(result)
        except Exception as error:
            return calls.failed(invoke, error, run_us, False)
        return calls.encode(invoke, result, run_us)

    def _end(self, member: _Member, answer: Any) -> Any:
        self._page.end(answer, member.place)
        self._places.append(member.place)
        return answer
