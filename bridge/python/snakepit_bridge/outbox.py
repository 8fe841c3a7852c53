"""Answers and emissions on their way to the gateway: one frame is being written while the next one fills up."""

from __future__ import annotations

import _thread
import os
import time
from collections import deque
from typing import Any

from . import bridge_pb2 as pb
from . import wire
from .dispatch import Dispatch

MAX_FRAME_BYTES = 1 << 20  # of bodies, after which the rest waits for the next frame
EMISSION_COST = 64  # of credit, beside its bytes
PACE_NS = 150_000  # between the frames of a stream that emits without pause
BURST_NS = 1_500_000  # of this pace that may be used up at once, after a pause
_NEVER = float("-inf")

_now = time.perf_counter_ns


class Segment:
    """Values of one call and one kind that leave in one Emission. Complete once it has left its feed."""

    __slots__ = ("bodies", "feed", "kind", "size")

    def __init__(self, feed: Any, kind: int) -> None:
        self.feed = feed
        self.kind = kind
        self.bodies: list[bytes] = []
        self.size = 0  # in credit


class Outbox:
    """Answers by any thread, frames to the link by one thread at a time."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self._lock = _thread.allocate_lock()  # guards sending, taking from the queue, and all that feeds hold
        self._waiting: deque[Any] = deque()  # see _next_frame()
        self.put = self._waiting.append
        self.sending = True  # Hello is on its way
        self.pong = 0  # sequence of the ping that is answered by the frame that is being written, or 0
        os.register_at_fork(after_in_child=self._leave_child)
        self.telemetry = Dispatch()
        self._due = 0  # when the next frame of emissions should leave though the last one may still be under way

    def _leave_child(self) -> None:
        """A child that a tool has forked says nothing in its parent's place; see StartedPage."""
        self.flush = self.sent = lambda: None  # type: ignore[method-assign]
        self.emit = lambda feed, kind, body: False  # type: ignore[method-assign]

    def __len__(self) -> int:
        return len(self._waiting)

    def flush(self) -> None:
        """Send what waits, unless a frame is being written: then sent() will."""
        if self.sending or not self._waiting:
            return
        with self._lock:
            if not self.sending and self._waiting:
                frame = self._next_frame()
                self.sending = True
                self._link.send(frame)

    def sent(self) -> None:
        """The last frame is written."""
        self.sending = False
        self.flush()

    def emit(self, feed: Any, kind: int, body: bytes) -> bool:
        """Take a value of a stream; without credit it is kept until there is some.

        Returns whether the tool should look if it has to pause: it has no credit, or its last frame of values has been
        under way for a while.
        """
        with self._lock:
            if feed.credit <= 0:
                feed.keep(kind, body)
                return True
            self._append(feed, kind, body)
        if not self.sending:
            self.flush()
        now = _now()
        if now < self._due:
            return feed.credit <= 0
        self._due = max(self._due, now - BURST_NS) + PACE_NS
        return True

    def grant(self, feed: Any, credit: int) -> None:
        """Let a stream emit more."""
        with self._lock:
            feed.credit += credit
            while feed.kept and feed.credit > 0:
                self._append(feed, *feed.take())
        self.flush()

    def close(self, feed: Any) -> None:
        """After this a stream emits nothing, whatever its tool's threads still say: its answer is next."""
        with self._lock:
            feed.credit = _NEVER
            feed.kept.clear()

    def _append(self, feed: Any, kind: int, body: bytes) -> None:
        cost = len(body) + EMISSION_COST
        feed.credit -= cost
        segment = feed.segment
        if segment is None or segment.kind != kind or segment.size > MAX_FRAME_BYTES:
            segment = feed.segment = Segment(feed, kind)
            self._waiting.append(segment)
        segment.bodies.append(body)
        segment.size += cost

    def _next_frame(self) -> bytes:
        """Answers are (call id, body, content type, microseconds) or a Failure.

        Others are a Segment, ToolCall, SessionOp or State.
        """
        frame: Any = None  # of what is no result
        parts: list[bytes] = []
        waiting, room = self._waiting, MAX_FRAME_BYTES
        while waiting and room > 0:
            answer = waiting.popleft()
            if type(answer) is tuple:
                room -= wire.add_result(parts, answer)
                continue
            frame = pb.WorkerFrame() if frame is None else frame
            if type(answer) in _REQUESTS and frame.emissions:  # which came first, but would be read after it
                waiting.appendleft(answer)
                break
            room -= _add(frame, answer)
        if self.telemetry.waiting:
            frame = pb.WorkerFrame() if frame is None else frame
            self.telemetry.fill(frame)
        if frame is not None:
            self.pong = frame.state.sequence
            parts.append(frame.SerializeToString())
        return b"".join(parts)


_REQUESTS = (pb.ToolCall, pb.SessionOp)


def _add(frame: Any, message: Any) -> int:
    """Put it into the frame, a Segment as an Emission. Returns how much room it takes."""
    if type(message) is Segment:
        _add_segment(frame.emissions.add(), message)
        return message.size
    if type(message) is pb.Failure:
        frame.failures.append(message)
        return len(message.traceback) + len(message.details)
    if type(message) is pb.ToolCall:
        frame.tool_calls.append(message)
        return len(message.args)
    if type(message) is pb.SessionOp:
        frame.session_ops.append(message)
        return sum(len(write.value) for write in message.writes)
    message.sequence = message.sequence or frame.state.sequence  # a wish may have come after the answer to a ping
    frame.state.CopyFrom(message)  # a newer State takes the place of an older one
    return 0


def _add_segment(emission: Any, segment: Segment) -> None:
    feed = segment.feed
    if feed.segment is segment:
        feed.segment = None
    emission.call_id = feed.call_id
    emission.kind = segment.kind
    emission.bodies.extend(segment.bodies)
    feed.gate.open()
