"""Answers and emissions on their way to the gateway: one frame is being written while the next one fills up."""

from __future__ import annotations

import _thread
import os
import time
from collections import deque
from typing import Any, Optional

from . import bridge_pb2 as pb
from . import wire
from .freight import Cargo, Freight
from .parcel import LARGE, Parcel, pack

MAX_FRAME_BYTES = 1 << 20  # of bodies, after which the rest waits for the next frame
PARCEL_COST = 16 << 10  # bytes of a frame's room, for a value that is not in it: the gateway keeps a limited number
EMISSION_COST = 64  # of credit, beside its bytes
PACE_NS = 150_000  # between the frames of a stream that emits without pause
BURST_NS = 1_500_000  # of this pace that may be used up at once, after a pause
GIVEN_UP_MAX = 4096  # calls that are remembered
_NEVER = float("-inf")

_now = time.perf_counter_ns


class Segment:
    """Values of one call and one kind that leave in one Emission. Complete once it has left its feed."""

    __slots__ = ("bodies", "feed", "kind", "parcel", "size")

    def __init__(self, feed: Any, kind: int) -> None:
        self.feed = feed
        self.kind = kind
        self.bodies: list[bytes] = []
        self.parcel: Optional[Parcel] = None  # instead, if the value is large
        self.size = 0  # in credit; of a large value more than a frame takes

    @property
    def call_id(self) -> int:
        return self.feed.call_id


class Outbox:
    """Answers by any thread, frames to the link by one thread at a time."""

    def __init__(self, link: Any, telemetry: Any) -> None:
        """``telemetry`` is the worker's Dispatch."""
        self._link = link
        self._lock = _thread.allocate_lock()  # guards sending, taking from the queue, and all that feeds hold
        self._waiting: deque[Any] = deque()  # see _next_frame()
        self.put = self._waiting.append
        self._freight = Freight()
        self._held = self._freight.held
        self._given_up: dict[int, None] = {}  # calls that were cancelled, oldest first
        self.sending = True  # Hello is on its way
        self.pong = 0  # sequence of the ping that is answered by the frame that is being written, or 0
        os.register_at_fork(after_in_child=self._leave_child)
        self.telemetry = telemetry
        self._due = 0  # when the next frame of emissions should leave though the last one may still be under way

    def _leave_child(self) -> None:
        """A child that a tool has forked says nothing in its parent's place; see StartedPage."""
        self.flush = self.sent = lambda: None  # type: ignore[method-assign]
        self.emit = lambda feed, kind, body: False  # type: ignore[method-assign]

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held)

    def flush(self) -> None:
        """Send what waits, unless a frame is being written: then sent() will."""
        if self.sending or not (self._waiting or self._held):
            return
        with self._lock:
            if not self.sending and (self._waiting or self._freight.is_ready):
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
        large = len(body) > LARGE
        if large and feed.credit > 0:
            body = pack(body)
        with self._lock:
            if feed.credit <= 0:
                feed.keep(kind, body)
                return True
            (self._append_large if large else self._append)(feed, kind, body)
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
                kind, body = feed.take()
                (self._append_large if len(body) > LARGE else self._append)(feed, kind, body)
        self.flush()

    def taken(self, count: int) -> None:
        """The gateway has taken so many bytes of parts, in all."""
        with self._lock:
            self._freight.taken(count)
        self.flush()

    def give_up(self, call_id: int) -> None:
        """Nobody waits for that call: what has not left of its large values stays, whatever speaks of them."""
        with self._lock:
            self._given_up[call_id] = None
            if len(self._given_up) > GIVEN_UP_MAX:
                del self._given_up[next(iter(self._given_up))]
            if call_id in self._held:
                cargo, waiting, dropped = self._freight.give_up(call_id)
                self._waiting.extendleft(reversed([pb.Transfer(dropped=dropped), cargo, *waiting]))
        self.flush()

    def send_large(self, message: Any, values: list[tuple[Any, Any]]) -> None:
        """Send a ToolCall or SessionOp with large values: the places where it says where they are, and their bytes."""
        parcels = [pack(body) for _, body in values]
        for (place, _), parcel in zip(values, parcels):
            parcel.name(place)
        late = [parcel for parcel in parcels if parcel.body is not None]
        self.put(Cargo(message.call_id, message, late) if late else message)
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

    def _append_large(self, feed: Any, kind: int, body: Any) -> None:
        """The same with a large value, or a Parcel."""
        parcel = body if type(body) is Parcel else pack(body)
        feed.credit -= len(parcel) + EMISSION_COST
        segment = feed.segment = Segment(feed, kind)
        segment.parcel = parcel
        segment.size = MAX_FRAME_BYTES + 1
        self._waiting.append(segment if parcel.body is None else Cargo(feed.call_id, segment, [parcel]))

    def _next_frame(self) -> bytes:
        """Answers are (call id, body, content type, microseconds) or a Failure.

        Others are a Segment, ToolCall, SessionOp, Batch, State, Transfer or Cargo.
        """
        frame: Any = None  # of what is no small result
        parts: list[bytes] = []
        waiting, held, room = self._waiting, self._held, MAX_FRAME_BYTES
        while waiting and room > 0:
            answer = waiting.popleft()
            if held and self._freight.hold(answer):
                continue
            if type(answer) is tuple:
                if type(answer[1]) is not Parcel:
                    room -= wire.add_result(parts, answer)
                    continue
                answer = _large_result(answer)
            frame = pb.WorkerFrame() if frame is None else frame
            if type(answer) in _REQUESTS and frame.emissions:  # which came first, but would be read after it
                waiting.appendleft(answer)
                break
            if type(answer) is Cargo:
                if answer.call_id not in self._given_up:
                    self._freight.add(answer)
                    continue
                answer = answer.message
            room -= _add(frame, answer)
        if held or self.telemetry.waiting:
            frame = pb.WorkerFrame() if frame is None else frame
            self._load_part(frame)
            self.telemetry.fill(frame)
        if frame is not None:
            self.pong = frame.state.sequence
            parts.append(frame.SerializeToString())
        return b"".join(parts)

    def _load_part(self, frame: Any) -> None:
        complete = self._freight.load(frame)
        if complete:
            _add(frame, complete[0])
            self._waiting.extendleft(reversed(complete[1:]))


_REQUESTS = (pb.ToolCall, pb.SessionOp, Cargo)


def _large_result(answer: tuple[int, Any, str, int]) -> Any:
    """The Result whose body is a Parcel."""
    call_id, parcel, content_type, run_us = answer
    result = pb.Result(call_id=call_id, content_type=content_type, run_us=run_us)
    parcel.name(result.parcel)
    return result if parcel.body is None else Cargo(call_id, result, [parcel])


def _add(frame: Any, message: Any) -> int:
    """Put it into the frame, a Segment as an Emission. Returns how much room it takes."""
    kind = type(message)
    if kind is Segment:
        _add_segment(frame.emissions.add(), message)
        return message.size
    if kind is pb.Failure:
        frame.failures.append(message)
        return len(message.traceback) + len(message.details)
    if kind is pb.ToolCall:
        frame.tool_calls.append(message)
        return len(message.args) + PARCEL_COST * message.HasField("parcel")
    if kind is pb.SessionOp:
        frame.session_ops.append(message)
        return sum(len(write.value) + PARCEL_COST * write.HasField("parcel") for write in message.writes)
    if kind is pb.Result:
        frame.results.append(message)
        return PARCEL_COST
    if kind is pb.Batch:
        frame.batches.append(message)
    elif kind is pb.Transfer:
        frame.transfer.MergeFrom(message)
    else:
        message.sequence = message.sequence or frame.state.sequence  # a wish may have come after the answer to a ping
        frame.state.CopyFrom(message)  # a newer State takes the place of an older one
    return 0


def _add_segment(emission: Any, segment: Segment) -> None:
    feed = segment.feed
    if feed.segment is segment:
        feed.segment = None
    emission.call_id = feed.call_id
    emission.kind = segment.kind
    if segment.parcel is None:
        emission.bodies.extend(segment.bodies)
    else:
        segment.parcel.name(emission.parcel)
    feed.gate.open()
