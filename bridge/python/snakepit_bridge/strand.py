"""Runs calls one at a time in a thread of its own, beside others, and can be interrupted there."""

from __future__ import annotations

import _thread
import ctypes
import time
from inspect import iscoroutine
from typing import Any, Callable, Optional

from . import calls, current, failure, generators
from .context import CallContext
from .errors import Cancelled
from .eventloop import EventLoop

_get_ident = _thread.get_ident
_now = time.perf_counter_ns


class Strand:
    """One thread's part of a worker. run() and run_batch() are for that thread alone, cancel() for any.

    Signals reach the main thread only. What interrupts Python code in another thread is an exception that the
    interpreter raises there before its next step, so it does not end a call into C, a sleep for one. It may come late:
    ``_lock`` and ``_entered`` see to it that it is aimed at a call that runs, and taken back when that has ended. To
    feeds it is the ground, as Runner is: emitting steps out of the tool's code.
    """

    shares_loop = False

    def __init__(
        self, page: Any, cancelled: set[int], feeds: Any, requests: Any,
        on_wait: Callable[[int], Any] = lambda change: None,
    ) -> None:  # fmt: skip
        """``cancelled`` holds the ids of calls and batches to be given up; cancel() is called after one was added.

        ``on_wait`` hears when the thread begins (1) and ends (-1) to wait for another tool.
        """
        self._page = page
        self._cancelled = cancelled
        self._feeds = feeds
        self.requests = requests
        self._on_wait = on_wait
        self.loop = EventLoop()
        self._thread = 0
        self._context: Optional[CallContext] = None
        self._lock = _thread.allocate_lock()  # guards the following
        self._entered = 0  # id of the call, or batch, whose code runs now and may be interrupted
        self._struck = False  # it was

    def run(self, tool: Any, invoke: Any, arrived: int, slot: int) -> Any:
        """Run a call to its end, as Runner.run() does. ``slot`` is where the page shows it."""
        self._thread = _get_ident()
        feed = self._feeds.open(invoke, self) if tool is not None and tool.streaming else None
        context = self._context = CallContext(invoke, arrived / 1e9, feed, self)
        current.running.set(context)
        try:
            return self._run_tool(invoke, tool, calls.arguments(tool, invoke, context, feed), slot, feed)
        except Exception as error:
            return calls.not_begun(invoke, error)
        except Cancelled as error:  # it came as the tool was ending
            self._leave()
            answer = failure.of_exception(invoke, error, 0, "cancelled")
            self._page.end(answer, slot)
            return answer
        finally:
            self._context = None
            current.running.set(None)
            if feed is not None:
                self._feeds.close(invoke, feed)
            self.requests.end_call(invoke.call_id)

    def _run_tool(self, invoke: Any, tool: Any, arguments: dict[str, Any], slot: int, feed: Any) -> Any:
        self._page.start(invoke.call_id, slot)
        begun = _now()
        try:
            self._enter(invoke.call_id)
            value = tool.function(**arguments)
            if feed is not None:
                value = generators.run(value, feed, self, invoke.call_id)
                answer = feed.answer(invoke, value, (_now() - begun) // 1000)
            else:
                if iscoroutine(value):
                    value = self.loop.run(value)
                answer = calls.encode(invoke, value, (_now() - begun) // 1000)
            self._leave()
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a tool ends its call, not the worker
            self._leave()
            answer = calls.failed(invoke, error, (_now() - begun) // 1000, invoke.call_id in self._cancelled)
        self._page.end(answer, slot)
        return answer

    def run_batch(self, batch: Any) -> list[Any]:
        """The same for a Batch. The answers of those of its calls that lack one by then."""
        self._thread = _get_ident()
        answers = batch.open(self)
        if batch.is_wanted:
            current.running.set(batch.context)
            begun = _now()
            value = self._run_together(batch)
            current.running.set(None)
            answers += batch.close(value, (_now() - begun) // 1000)
        return answers

    def _run_together(self, batch: Any) -> Any:
        """What the tool returns, or the exception that it raises."""
        try:
            try:
                self._enter(batch.id)
                value = batch.call()
                if iscoroutine(value):
                    value = self.loop.run(value)
                self._leave()
                return value
            except BaseException as error:
                self._leave()
                return error
        except Cancelled as error:  # it came as the tool was ending
            self._leave()
            return error

    def _enter(self, run_id: int) -> None:
        """From here on the call may be interrupted; raises Cancelled if it was given up a moment ago."""
        with self._lock:
            self._entered = run_id
        if run_id in self._cancelled:
            raise Cancelled("nobody waits for this call any more")

    def _leave(self) -> None:
        """From here on nothing interrupts. To be called again when it is interrupted itself."""
        with self._lock:
            self._entered = 0
            if self._struck:
                self._struck = False
                _raise_in(self._thread, None)

    def is_here(self) -> bool:
        """Whether this is the thread that runs tools."""
        return _get_ident() == self._thread

    def step_out(self) -> int:
        """From here on nothing interrupts. Returns what step_in() takes; 0 in threads that are not interrupted."""
        if _get_ident() != self._thread:
            return 0
        entered = self._entered
        self._leave()
        return entered

    def step_aside(self) -> int:
        """step_out() where an event loop may run: nothing interrupts our own, whose tasks are cancelled."""
        return 0 if self.loop.is_running else self.step_out()

    def step_in(self, entered: int) -> None:
        """Back to the tool's code. Raises Cancelled if the call was given up in between."""
        if entered:
            with self._lock:
                self._entered = entered
            if entered in self._cancelled:
                self._leave()
                raise Cancelled("nobody waits for this call any more")

    def block(self, gate: Any, ready: Any) -> None:
        """Pause this thread until ``ready()``."""
        gate.block(ready)

    def wait_for_reply(self, gate: Any, ready: Any) -> None:
        """The same for the call of another tool, which may need a thread of this worker."""
        self._on_wait(1)
        gate.block(ready)
        self._on_wait(-1)

    def expect(self) -> None:
        """Another thread reads in any case."""

    def write(self, ready: Any) -> None:
        """In the loop: the reading thread writes."""

    def cancel(self, run_id: int) -> None:
        """Stop that call, or batch, if it is what runs here: nobody waits for it any more."""
        context = self._context
        if context is not None and context.call_id == run_id:
            context.cancelled = True
        with self._lock:
            if self._entered != run_id or self._struck:
                return
            if self.loop.is_running:
                self.loop.cancel()
            else:
                self._struck = True
                _raise_in(self._thread, Cancelled)


def _raise_in(thread: int, kind: Optional[type]) -> None:
    """Have the interpreter raise ``kind`` in that thread; with None, take back what it has not raised yet."""
    exception = ctypes.py_object(kind) if kind else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
