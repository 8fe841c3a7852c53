"""A worker: runs calls in the main thread, one after the other, and answers them.

Two threads share the work on the stream, and only one of them reads it at a time. Mostly that is the main thread: it
waits for a frame, runs the frame's calls, sends their results and waits again, so that a lone call passes through no
other thread at all (70 µs for a round trip, against 110 with a thread for reading). While it runs tools nobody reads,
which is no harm for a millisecond. When it has been away for longer, an alarm wakes the second thread, the stand-in: it
sends the results that are ready and reads in the main thread's place, so that cancellations and pings are seen while
a tool runs. When the main thread is done, it gets the reading back at the next thing that happens on the stream.

Who may read holds ``_reading``. ``_handover`` guards ``_resting`` (the main thread sleeps at ``_bell``, for the
stand-in reads) together with the last look into the queue of calls before the main thread goes to sleep.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import sys
import time
from collections import OrderedDict
from typing import Any, Optional

from . import bridge_pb2 as pb
from . import failure, link, values
from .alarm import Alarm
from .context import CallContext
from .errors import Refused
from .outbox import Outbox

AWAY_MS = 1.0  # how long nobody need read
COLLECT_NS = 250_000  # how long a result may wait for others, while fast tools run
FAST_NS = 100_000  # a tool that usually takes longer does not hold back finished results
MAX_EARLY_CANCELS = 4096
MAX_BODY = 64 << 20  # bytes of one result
LEAVE_SECONDS = 2.0  # for cleanup(), when the stream has ended
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

_now = time.perf_counter_ns


class Worker:
    """One process's share of a pool, from its first frame to its exit."""

    def __init__(self, tools: list[Any], adapter: Any, stream: Any, page: Any) -> None:
        """``tools`` are bound to ``adapter``; ``stream`` is a link whose Hello is on its way; ``page`` a StartedPage."""
        self._tools = {item.name: item for item in tools}
        self._adapter = adapter
        self._link = stream
        self._page = page
        self._outbox = Outbox(stream)
        self._alarm = Alarm(AWAY_MS)
        self._alarm_set = False

        self._calls: OrderedDict[int, Any] = OrderedDict()  # invoked and not yet started; popping one claims it
        self._highest = 0  # id of the newest Invoke
        self._early: dict[int, None] = {}  # cancelled before their Invoke came, oldest first
        self._invoke: Optional[Any] = None  # what runs now
        self._context: Optional[CallContext] = None
        self._cancelled = 0  # the running call's id, once it is cancelled
        self._done = 0
        self._loop: Optional[asyncio.AbstractEventLoop] = None  # of async tools

        self._reading = _thread.allocate_lock()
        self._handover = _thread.allocate_lock()
        self._bell = _thread.allocate_lock()
        self._resting = False
        self._asked = False  # a receive() is under way
        self._away_since = 0  # when the main thread stopped reading, 0 while it reads
        self._welcomed = False
        self._stopping = False
        self._closed = False

    # The main thread.

    def run(self) -> None:
        """Serve until the gateway says Stop or the stream ends, then exit the process."""
        self._bell.acquire()
        self._reading.acquire()
        if hasattr(type(self._adapter), "_context_source"):
            self._adapter._context_source = self._current_context
        _thread.start_new_thread(self._stand_in, ())
        while True:
            if self._calls:
                self._work()
            elif self._stopping and not self._outbox and not self._outbox.sending:
                self._finish()
            else:
                self._read_one()

    def _work(self) -> None:
        """Run all calls that wait, while the stand-in may read."""
        self._away_since = _now()
        self._reading.release()
        if not self._alarm_set:
            self._alarm_set = True
            self._alarm.set()
        while True:
            self._run_calls()
            self._outbox.flush()
            with self._handover:
                if self._calls:
                    continue
                if self._reading.acquire(False):
                    break
                self._resting = True
            self._bell.acquire()
        self._away_since = 0

    def _run_calls(self) -> None:
        calls, outbox, tools = self._calls, self._outbox, self._tools
        waiting_since = 0
        while True:
            try:
                _, invoke = calls.popitem(False)
            except KeyError:
                return
            tool = tools.get(invoke.tool)
            if outbox and (tool is None or not 0 <= tool.average_ns <= FAST_NS):
                self._send_now()
            ended = self._run_call(invoke, tool)
            if not waiting_since:
                waiting_since = ended
            elif ended - waiting_since > COLLECT_NS:
                self._send_now()
                waiting_since = 0

    def _send_now(self) -> None:
        """Send what is ready though more calls wait, having read what has come in the meantime."""
        outbox = self._outbox
        if outbox.sending and self._reading.acquire(False):
            while outbox.sending:
                self._read_one()
            self._away_since = _now()
            self._reading.release()
        outbox.flush()

    def _run_call(self, invoke: Any, tool: Any) -> int:
        """Run one call and put its answer into the outbox. Returns the time at which it ended."""
        call_id = invoke.call_id
        try:
            if tool is None or tool.streaming:
                raise _no_such_call(invoke.tool, tool)
            parameters = tool.parameters
            arguments = parameters.bind(invoke.args, invoke.content_type)
            if parameters.context:
                arguments[parameters.context] = self._new_context(invoke)
        except Refused as error:
            self._outbox.put(failure.of_refusal(invoke, error))
            return _now()
        self._invoke = invoke
        self._page.start(call_id)
        begun = _now()
        try:
            value = tool.function(**arguments)
            if tool.is_async:
                value = self._wait_for(value)
            ended = _now()
            answer = self._encode(invoke, value, (ended - begun) // 1000)
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a tool ends its call, not the worker
            ended = _now()
            answer = failure.of_exception(invoke, error, (ended - begun) // 1000)
        self._page.end()
        self._invoke = self._context = None
        self._done += 1
        average, took = tool.average_ns, ended - begun
        tool.average_ns = took if average < 0 else average + (took - average) * 0.2
        self._outbox.put(answer)
        return ended

    def _encode(self, invoke: Any, value: Any, run_us: int) -> Any:
        try:
            body, content_type = values.encode_result(value)
        except Exception as error:
            return failure.of_exception(invoke, error, run_us, "result_not_encodable")
        if len(body) > MAX_BODY:
            error = ValueError(f"the result has {len(body)} bytes; {MAX_BODY} is the limit")
            return failure.of_exception(invoke, error, run_us, "result_too_large")
        return invoke.call_id, body, content_type, run_us

    def _wait_for(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(coroutine)

    def _new_context(self, invoke: Any) -> CallContext:
        context = CallContext(invoke, time.monotonic())
        self._context = context
        return context

    def _current_context(self) -> Optional[CallContext]:
        """For BaseAdapter.context: made when a tool first asks, as most never do."""
        invoke = self._invoke
        if invoke is None or self._context is not None:
            return self._context
        context = self._new_context(invoke)
        context.cancelled = self._cancelled == invoke.call_id
        return context

    # Reading: by whoever holds _reading.

    def _read_one(self) -> None:
        """Wait for one thing to happen on the stream, and deal with it."""
        if not self._asked:
            self._asked = True
            self._link.receive()
        kind, content = self._link.next()
        if kind == link.RECEIVED:
            self._asked = False
            self._take(pb.GatewayFrame.FromString(content))
        elif kind == link.SENT:
            self._outbox.sent()
        elif kind == link.CLOSED:
            self._closed = True
        elif kind == link.ENDED:
            self._ended(content)

    def _take(self, frame: Any) -> None:
        if frame.invokes:
            calls = self._calls
            for invoke in frame.invokes:
                call_id = invoke.call_id
                if self._early and call_id in self._early:
                    self._answer_cancelled(invoke)
                else:
                    calls[call_id] = invoke
            self._highest = call_id
            self._early.clear() if self._early and max(self._early) <= call_id else None
            return
        self._take_control(frame)

    def _take_control(self, frame: Any) -> None:
        for cancel in frame.cancels:
            self._cancel(cancel.call_id)
        if frame.HasField("ping"):
            self._outbox.put(pb.State(sequence=frame.ping.sequence, resident_bytes=_resident(), calls_done=self._done))
        self._outbox.flush()
        if frame.HasField("welcome"):
            self._welcomed = True
        if frame.HasField("stop"):
            self._stopping = True
            _exit_after(frame.stop.grace_ms / 1000)

    def _cancel(self, call_id: int) -> None:
        invoke = self._calls.pop(call_id, None)
        if invoke is not None:
            self._answer_cancelled(invoke)
        elif call_id > self._highest:
            self._early[call_id] = None
            if len(self._early) > MAX_EARLY_CANCELS:
                del self._early[next(iter(self._early))]
        elif self._invoke is not None and self._invoke.call_id == call_id:
            self._cancelled = call_id
            if self._context is not None:
                self._context.cancelled = True

    def _answer_cancelled(self, invoke: Any) -> None:
        error = Refused("Cancelled", "the call was cancelled before it started", 0, "cancelled")
        self._outbox.put(failure.of_refusal(invoke, error))

    def _ended(self, reason: str) -> None:
        if not self._stopping and (reason or not self._welcomed):
            print(f"snakepit_bridge: the gateway's stream ended: {reason or 'no welcome'}", file=sys.stderr)
        _exit_after(LEAVE_SECONDS)
        self._leave(0 if self._welcomed else 1)

    # The stand-in.

    def _stand_in(self) -> None:
        while True:
            self._alarm.wait()
            self._alarm_set = False
            try:
                self._help()
            except Exception as error:  # a bug of ours; without a reader the worker would look dead
                print(f"snakepit_bridge: reading failed: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)

    def _help(self) -> None:
        """Read for the main thread if it has been away for too long; otherwise look again later."""
        since = self._away_since
        if not since:
            return
        if _now() - since < AWAY_MS * 1_000_000 or not self._reading.acquire(False):
            self._alarm_set = True
            self._alarm.set()
            return
        self._outbox.flush()
        while True:
            self._read_one()
            with self._handover:
                if self._resting:
                    self._resting = False
                    self._reading.release()
                    break
        self._bell.release()

    # The end.

    def _finish(self) -> None:
        """Everything is answered: let it be written, and leave."""
        self._link.close()
        while not self._closed:
            self._read_one()
        self._leave(0)

    def _leave(self, status: int) -> None:
        cleanup = getattr(self._adapter, "cleanup", None)
        try:
            if callable(cleanup):
                cleanup()
        except BaseException as error:
            print(f"snakepit_bridge: cleanup failed: {error!r}", file=sys.stderr)
        _exit(status)


def _no_such_call(name: str, tool: Any) -> Refused:
    if tool is None:
        return Refused("ToolNotFound", f"there is no tool {name!r}", 404, "tool_not_found")
    message = f"{name} streams its results, which this version cannot do yet"
    return Refused("StreamingNotSupported", message, 501, "streaming_not_supported")


def _resident() -> int:
    """Bytes of memory that the process has in RAM."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_SIZE


def _exit(status: int) -> None:
    """Exit without the interpreter's own shutdown, which would wait for gRPC's threads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(status)


def _exit_after(seconds: float) -> None:
    """Exit in so many seconds, whatever the other threads do then."""

    def expire() -> None:
        time.sleep(seconds)
        _exit(0)

    _thread.start_new_thread(expire, ())
