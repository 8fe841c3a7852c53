"""Runs one call at a time and makes its answer."""

from __future__ import annotations

import _signal
import signal
import time
from _thread import get_ident as _get_ident
from inspect import iscoroutine
from typing import Any, Optional

from . import calls, current, failure, generators, parcel
from .context import CallContext
from .errors import Cancelled, Refused
from .stream import Stream

# What interrupts a synchronous tool. Ignored by default, so that a late one does no harm, and used by no library.
_INTERRUPT = signal.SIGURG
_FREE_SIGNALS = tuple(int(number) for number in signal.valid_signals() if number != _INTERRUPT)

_now = time.perf_counter_ns


class Runner:
    """The tools of a worker, bound to its adapter. run() is for the main thread, cancel() for any.

    To the feeds of its calls it is the ground they stand on: they step out of the tool's code for as long as they emit
    something, so that no interrupt strikes in the middle of that.
    """

    shares_loop = False  # several calls run in one event loop, which none of them may block

    def __init__(self, tools: list[Any], loop: Any, page: Any) -> None:
        """``loop`` is an EventLoop, ``page`` a StartedPage."""
        self.tools = {item.name: item for item in tools}
        self.done = 0  # calls that were started and have ended
        self.loop = loop
        self.page = page
        self._feeds: Any = None
        self._feed: Any = None  # of what runs now, if that streams
        self._reader: Any = None
        self.requests: Any = None
        self._invoke: Optional[Any] = None  # what runs now
        self._arrived = 0
        self._context: Optional[CallContext] = None
        self._cancelled: set[int] = set()
        self._entered = 0  # id of the call, or batch, whose code runs now and may be interrupted
        self._main_thread = _get_ident()
        signal.signal(_INTERRUPT, self._on_interrupt)
        current.set_source(self._current_context)

    def attach(self, feeds: Any, requests: Any, reader: Any) -> None:
        """Before the first run(). ``reader`` is the Worker, which can read the stream while a call runs."""
        self._feeds = feeds
        self.requests = requests
        self._reader = reader
        self.loop.read_by(self)

    @property
    def is_running(self) -> bool:
        return self._invoke is not None or self._context is not None

    def run(self, tool: Any, invoke: Any, arrived: int) -> Any:
        """Run a call of a tool, None if there is no such tool, to its end. It came at ``arrived`` (perf_counter_ns).

        Returns a Failure, or a result as the tuple that Outbox takes.
        """
        self._invoke, self._arrived = invoke, arrived
        try:
            if tool is None:
                raise calls.unknown(invoke)
            if self._cancelled and invoke.call_id in self._cancelled:
                raise Refused("Cancelled", "the call was cancelled before it started", 0, "cancelled")
            parameters = tool.parameters
            arguments = parameters.bind(invoke.args or parcel.arguments(invoke), invoke.content_type)
            if tool.streaming:
                self._open_feed(invoke, parameters, arguments)
            if parameters.context:
                arguments[parameters.context] = self._current_context()
        except Exception as error:
            answer = calls.not_begun(invoke, error)
        else:
            try:
                answer = self._run_tool(invoke, tool, arguments)
            except Cancelled as error:  # it came as the tool was ending
                answer = failure.of_exception(invoke, error, 0, "cancelled")
                self.page.end(answer)
        asked = self._context  # without which it has asked the gateway for nothing
        self._invoke = self._context = None
        if self._feed is not None:
            self._feeds.close(invoke, self._feed)
            self._feed = None
        if asked is not None:
            self.requests.end_call(invoke.call_id)
        if self._cancelled:
            self._cancelled = {call_id for call_id in tuple(self._cancelled) if call_id > invoke.call_id}
        return answer

    def _run_tool(self, invoke: Any, tool: Any, arguments: dict[str, Any]) -> Any:
        call_id = invoke.call_id
        self.page.start(call_id)
        begun = _now()
        try:
            self._entered = call_id  # from here on it may be interrupted
            if self._cancelled and call_id in self._cancelled:  # it was given up a moment ago
                raise Cancelled("nobody waits for this call any more")
            value = tool.function(**arguments)
            if self._feed is not None:
                value = generators.run(value, self._feed, self, call_id)
                took = _now() - begun
                answer = self._feed.answer(invoke, value, took // 1000)
            else:
                if iscoroutine(value):
                    value = self.loop.run(value)
                took = _now() - begun
                answer = calls.encode(invoke, value, took // 1000)
            self._entered = 0
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a tool ends its call, not the worker
            self._entered = 0
            took = _now() - begun
            answer = calls.failed(invoke, error, took // 1000, call_id in self._cancelled)
        self.page.end(answer)
        self.done += 1
        tool.note(took)
        return answer

    def run_batch(self, batch: Any) -> list[Any]:
        """As run(), for a Batch that was claimed. The answers of those of its calls that lack one by then."""
        given_up = [batch.drop(call_id) for call_id in tuple(self._cancelled)]  # as it was claimed
        answers = [answer for answer in given_up if answer] + batch.open(self)
        if batch.is_wanted:
            self._context = batch.context
            begun = _now()
            value = self._run_together(batch)
            took = _now() - begun
            answers += batch.close(value, took // 1000)
            batch.tool.note(took)
            self.done += batch.done
        self._context = None
        self._cancelled.difference_update(batch.call_ids, (batch.id,))
        return answers

    def _run_together(self, batch: Any) -> Any:
        """What the tool returns, or the exception that it raises."""
        try:
            try:
                self._entered = batch.id
                if batch.id in self._cancelled:
                    raise Cancelled("nobody waits for these calls any more")
                value = batch.call()
                if iscoroutine(value):
                    value = self.loop.run(value)
                self._entered = 0
                return value
            except BaseException as error:
                self._entered = 0
                return error
        except Cancelled as error:  # it came as the tool was ending
            return error

    def _on_interrupt(self, number: int, frame: Any) -> None:
        """In the main thread, between two of the tool's bytecodes or out of a system call it sleeps in."""
        entered = self._entered
        if entered and entered in self._cancelled:
            self._entered = 0
            raise Cancelled("nobody waits for this call any more")

    def cancel(self, run_id: int) -> bool:
        """Stop a call, or batch, that has been taken from the queue, if it has not ended: nobody waits for it any more.

        A coroutine is cancelled; in other code Cancelled is raised, as soon as it is Python's code that runs. Returns
        whether a call was being run.
        """
        self._cancelled.add(run_id)  # before the look at what runs, which may change right now
        context, invoke = self._context, self._invoke
        running = invoke is not None and invoke.call_id == run_id
        if running and context is not None:
            context.cancelled = True
        if self._entered == run_id:
            if self.loop.is_running:
                self.loop.cancel()
            else:
                signal.pthread_kill(self._main_thread, _INTERRUPT)
        return running

    def release(self) -> None:
        """Nothing will be run any more: nobody is to come here any longer."""
        signal.signal(_INTERRUPT, signal.SIG_DFL)
        self.loop.read_by(None)
        current.set_source()

    def _current_context(self) -> Optional[CallContext]:
        """The running call's: made when its tool first asks, as most never do."""
        invoke = self._invoke
        if invoke is not None and self._context is None:
            context = self._context = CallContext(invoke, self._arrived / 1e9, self._feed, self)
            if invoke.call_id in self._cancelled:
                context.cancelled = True
        return self._context

    # What feeds ask of it.

    def _open_feed(self, invoke: Any, parameters: Any, arguments: dict[str, Any]) -> None:
        self._feed = self._feeds.open(invoke, self)
        if parameters.stream:
            arguments[parameters.stream] = Stream(self._feed)

    def is_here(self) -> bool:
        """Whether this is the thread that runs tools."""
        return _get_ident() == self._main_thread

    def step_out(self) -> int:
        """From here on nothing interrupts. Returns what step_in() takes; 0 in threads that are not interrupted."""
        if _get_ident() != self._main_thread:
            return 0
        entered, self._entered = self._entered, 0
        return entered

    def step_aside(self) -> int:
        """step_out() where an event loop may run: nothing interrupts our own, whose tasks are cancelled."""
        return 0 if self.loop.is_running else self.step_out()

    def step_in(self, entered: int) -> None:
        """Back to the tool's code. Raises Cancelled if the call was given up in between."""
        if entered:
            self._entered = entered
            if entered in self._cancelled:
                self._entered = 0
                raise Cancelled("nobody waits for this call any more")

    def block(self, gate: Any, ready: Any) -> None:
        """Pause this thread until ``ready()``."""
        if self.may_read():
            self._reader.read_until(ready)
        else:
            self.expect()
            gate.block(ready)

    wait_for_reply = block

    def write(self, ready: Any) -> None:
        """In the loop: send what waits now. Short, unless the gateway is slow to read."""
        if self.may_read():
            self._reader.read_until(ready)

    def expect(self) -> None:
        """Have another thread read soon."""
        self._reader.set_alarm()

    # What the event loop asks of it.

    def may_read(self) -> bool:
        """Whether this thread can read the stream for as long as it waits.

        Not if the tool handles signals: what a handler raises would come in the middle of that.
        """
        return self.is_here() and not any(map(callable, map(_signal.getsignal, _FREE_SIGNALS)))

    def read_until(self, ready: Any) -> None:
        """See ReadingLoop."""
        self._reader.read_until(ready)

    def interrupt(self) -> None:
        """See ReadingLoop."""
        self._reader.interrupt()
