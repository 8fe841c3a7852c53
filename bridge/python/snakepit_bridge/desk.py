"""What a worker of any profile does with its stream: it takes calls in, hears of cancellations, answers pings, leaves.

The calls that wait are in ``_calls``; whoever pops one of them has claimed it, to run it or to answer that it was
cancelled. Those that were claimed to be run together are in ``_batches``.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from collections import OrderedDict
from typing import Any, NoReturn

from . import bridge_pb2 as pb
from . import current, failure, link, parcel, process, recycling, telemetry
from .batch import Batch
from .errors import Refused
from .feeds import Feeds
from .outbox import Outbox
from .requests import Requests
from .started import SLOTS_MAX

MAX_EARLY_CANCELS = 4096  # more than there can be calls on their way, see BOOT.md
LEAVE_SECONDS = 2.0  # for cleanup(), when the stream has ended

_now = time.perf_counter_ns


class Desk:
    """The base of the workers. Its methods are for the one thread at a time that reads the stream."""

    def __init__(self, stream: Any, page: Any, leave: Any) -> None:
        """``stream`` is a link whose Hello is on its way; ``leave`` is called once, before the process exits."""
        self._link = stream
        self._page = page
        self._cleanup = leave
        self._memory = process.Memory()
        self._outbox = Outbox(stream, telemetry.gateway.dispatch)
        self._feeds = Feeds(self._outbox)
        self._requests = Requests(self._outbox)

        self._calls: OrderedDict[int, Any] = OrderedDict()  # with their arrival; popping one claims it
        self._early: dict[int, None] = {}  # cancelled before their Invoke came, oldest first
        self._batches: dict[int, Batch] = {}  # by the ids of the calls in them
        self._places = list(reversed(range(SLOTS_MAX)))  # of the page that are free: one for each call there can be

        self._asked = False  # a receive() is under way
        self._welcomed = False
        self._stopping = False
        self._reforking = False  # workers will be forked from this process once it has stopped
        self._closing = False
        self._closed = False
        self._cleaned_up = False
        self._wishes_to_go = False
        recycling.connect(self._wish_to_go)

        self._adapter: Any = None
        self._has_health = False  # the adapter says something of itself
        self._loaded: list[str] = []  # what it said last

    def attend(self, adapter: Any) -> None:
        """Tell this adapter which sessions have ended, and ask it what it has loaded. Before anything is read."""
        self._adapter = adapter
        self._has_health = adapter.has_health
        self._look_loaded()

    # What the profiles add.

    def _interrupt(self, run_id: int) -> bool:
        """Stop that call, or batch, if it runs now. Returns whether it does."""
        raise NotImplementedError

    def _done(self) -> int:
        """How many calls have been run to their end."""
        raise NotImplementedError

    def _end_session(self, session_id: str) -> None:
        """That session is over. Calls of the same id that come later are another's."""
        if self._adapter is not None:
            self._adapter.end_session(session_id)

    def _look_loaded(self) -> None:
        """Ask the adapter what it has loaded."""
        if self._has_health:
            self._loaded = self._adapter.health()["loaded"]

    # Reading.

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
            if self._outbox.pong:
                self._page.answered(self._outbox.pong)
                self._outbox.pong = 0
            self._outbox.sent()
        elif kind == link.CLOSED:
            self._closed = True
        elif kind == link.ENDED:
            self._ended(content)

    def _take(self, frame: Any) -> None:
        calls, early, arrived = self._calls, self._early, _now()
        mixed = not frame.only_invokes
        if mixed and frame.HasField("transfer"):
            self._take_transfer(frame.transfer)
        for session_id in frame.ended_sessions if mixed else ():
            self._end_session(session_id)
        for invoke in frame.invokes:
            call_id = invoke.call_id
            if invoke.session_begins:
                self._end_session(invoke.session_id)
            if early and call_id in early:
                self._answer_cancelled(invoke)
            else:
                calls[call_id] = invoke, arrived
        if mixed:
            self._take_rest(frame)

    def _take_rest(self, frame: Any) -> None:
        for cancel in frame.cancels:
            (self._recall if cancel.recall else self._cancel)(cancel.call_id)
        for credit in frame.credits:
            self._feeds.grant(credit.call_id, credit.bytes)
        for reply in frame.tool_replies:
            self._requests.take(reply)
        for reply in frame.session_replies:
            self._requests.take_variables(reply)
        for each in frame.invalidations:
            self._requests.cache.invalidate(each.session_number, each.revision)
        if frame.HasField("ping"):
            self._answer_ping(frame.ping.sequence)
        if frame.HasField("welcome"):
            self._welcomed = True
        if frame.HasField("stop"):
            self._stopping = True
            self._reforking = frame.stop.refork
            if frame.stop.grace_ms and not self._reforking:  # which must not have another thread
                _exit_after(frame.stop.grace_ms / 1000)

    def _take_transfer(self, transfer: Any) -> None:
        """Parts of large values, and news of ours."""
        receipt = parcel.collect(transfer)
        if receipt:
            self._outbox.put(pb.Transfer(taken=receipt))
        if transfer.taken:
            self._outbox.taken(transfer.taken)
        self._outbox.flush()

    def _cancel(self, call_id: int) -> None:
        waiting = self._calls.pop(call_id, None)
        if waiting is not None:
            self._answer_cancelled(waiting[0])
        elif self._interrupt(call_id):
            self._feeds.cancel(call_id)
            self._requests.end_call(call_id)
        elif not self._drop(call_id):  # over, or still to come
            self._expect(call_id)
        self._outbox.give_up(call_id)

    def _recall(self, call_id: int) -> None:
        """Give the call back, which another worker may run, unless it has been claimed."""
        waiting = self._calls.pop(call_id, None)
        if waiting is not None:
            self._answer_cancelled(waiting[0])
        else:  # claimed, or still to come
            self._expect(call_id)

    def _expect(self, call_id: int) -> None:
        """Should that call come it is cancelled: large arguments take their time, and threads may change places."""
        self._early[call_id] = None
        if len(self._early) > MAX_EARLY_CANCELS:
            del self._early[next(iter(self._early))]

    def _drop(self, call_id: int) -> bool:
        """Take a call out of its batch, which is stopped when nobody waits for any of it. False: it is in none."""
        batch = self._batches.get(call_id)
        if batch is None:
            return False
        answer = batch.drop(call_id)
        if answer is not None:
            self._outbox.put(answer)
            self._outbox.flush()
            self._requests.end_call(call_id, goes_on=True)
        elif batch.is_given_up:
            self._interrupt(batch.id)
            self._requests.end_call(call_id)
        return True

    def _answer_cancelled(self, invoke: Any) -> None:
        self._early.pop(invoke.call_id, None)
        error = Refused("Cancelled", "the call was cancelled before it started", 0, "cancelled")
        self._outbox.put(failure.of_refusal(invoke, error))
        self._outbox.flush()

    def _answer_ping(self, sequence: int) -> None:
        self._look_loaded()
        self._put_state(sequence)

    def _put_state(self, sequence: int) -> None:
        state = pb.State(
            sequence=sequence,
            resident_bytes=self._memory.resident(),
            calls_done=self._done(),
            recycle=self._wishes_to_go,
            loaded=self._loaded,
        )
        self._outbox.put(state)
        self._outbox.flush()

    # Any thread.

    def _claim_batch(self, tool: Any, invoke: Any, arrived: int) -> Batch:
        """The call, which has been claimed, and those that wait to be run with it."""
        batch = Batch(tool, self._page, self._places)
        batch.add(invoke, arrived)
        self._batches[invoke.call_id] = batch
        for call_id, (other, came) in list(self._calls.items()):
            if batch.is_full:
                break
            if other.tool == invoke.tool and other.session_id == invoke.session_id and not other.session_begins:
                batch.add(other, came)
                self._batches[call_id] = batch  # before it is claimed: it may be cancelled at any time
                if self._calls.pop(call_id, None) is None:
                    batch.take_back(call_id)
                    del self._batches[call_id]
        return batch

    def _tell_together(self, batch: Batch) -> None:
        """That its calls take one slot, and that none of them is stuck while others are wanted."""
        if len(batch.call_ids) > 1:
            self._outbox.put(pb.Batch(call_ids=batch.call_ids))
            self._outbox.flush()

    def _end_batch(self, batch: Batch, answers: list[Any]) -> None:
        """It has ended, or was never begun: ``answers`` are those that are still to be sent."""
        for call_id in batch.call_ids:
            del self._batches[call_id]
            self._requests.end_call(call_id)
        for answer in answers:
            self._outbox.put(answer)

    def _wish_to_go(self) -> None:
        self._wishes_to_go = True
        call = current.call()
        ground = call._ground if call is not None else None
        if call is None or ground is None:
            self._put_state(0)
            return
        entered = ground.step_aside()  # a tool asks, which may be interrupted
        try:
            self._put_state(0)
        finally:
            ground.step_in(entered)

    # The reading thread again.

    def _ended(self, reason: str) -> None:
        if not self._stopping and (reason or not self._welcomed):
            print(f"snakepit_bridge: the gateway's stream ended: {reason or 'no welcome'}", file=sys.stderr)
        _exit_after(LEAVE_SECONDS)
        self._leave(0 if self._welcomed else 1)

    # The end.

    def _close_if_finished(self) -> None:
        """Having been told to stop, and with nothing left to send, say so to the gateway. Once."""
        if self._stopping and not self._closing and self._outbox.telemetry.waiting and not self._outbox:
            self._put_state(0)  # takes it along
        if self._stopping and not self._closing and not self._outbox and not self._outbox.sending:
            self._closing = True
            self._link.close()

    def _finish(self) -> NoReturn:
        """Everything is answered: let it be written, and leave.

        A process that exits at once can take its last frames along: gRPC drops what it has received and not yet handed
        out when it then writes to a broken connection. The gateway ends the stream when it has read everything.
        """
        while not self._closed:
            self._close_if_finished()
            self._read_one()
        self._run_cleanup()
        _exit_after(LEAVE_SECONDS)
        while True:  # until _ended() leaves
            self._read_one()

    def _leave(self, status: int) -> NoReturn:
        self._run_cleanup()
        leave(status)

    def _run_cleanup(self) -> None:
        if not self._cleaned_up:
            self._cleaned_up = True
            try:
                self._cleanup()
            except BaseException as error:
                print(f"snakepit_bridge: cleanup failed: {error!r}", file=sys.stderr)


def leave(status: int) -> NoReturn:
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
        os._exit(0)

    _thread.start_new_thread(expire, ())
