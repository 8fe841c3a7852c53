"""A worker of one slot: takes calls from the stream, has them run in the main thread one after the other, and answers.

Two threads share the work on the stream, and only one of them reads it at a time. Mostly that is the main thread: it
waits for a frame, runs the frame's calls, sends their results and waits again, so that a lone call passes through no
other thread at all (70 µs for a round trip, against 110 with a thread for reading). While it runs tools nobody reads,
which is no harm for a millisecond. When it has been away for longer, an alarm wakes the second thread, the stand-in: it
sends the results that are ready and reads in the main thread's place, so that cancellations and pings are seen while
a tool runs. When the main thread is done, it gets the reading back at the next thing that happens on the stream. A tool
that waits for the gateway reads itself as it waits, a coroutine by way of its event loop (readingloop.py).

Setting the alarm can cost 10 µs, so it is set only if the tool is not known to be fast or if results wait. When a lone
call of a fast tool takes long, against its habit, the stand-in's regular round notices within 100 ms.

Who may read holds ``_reading``. ``_handover`` guards ``_resting`` (the main thread sleeps at ``_bell``, for the
stand-in reads) together with the last look into the queue of calls before the main thread goes to sleep.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from collections import deque
from typing import Any, NoReturn

from .alarm import Alarm
from .desk import Desk, leave

AWAY_MS = 1  # how long nobody need read
ROUND_MS = 100  # how often the stand-in looks in any case
COLLECT_NS = 250_000  # how long a result may wait for others, while fast tools run
FAST_NS = 100_000  # a tool that usually takes longer does not hold back finished results

_now = time.perf_counter_ns


class Worker(Desk):
    """A worker of the ``process`` profile, from its first frame to its exit. Who reads holds ``_reading``."""

    def __init__(self, runner: Any, stream: Any, leave: Any) -> None:
        """``stream`` is a link whose Hello is on its way; ``leave`` is called once, before the process exits."""
        super().__init__(stream, runner.page, leave)
        self._runner = runner
        runner.attach(self._feeds, self._requests, self)

        self._alarm = Alarm(AWAY_MS, ROUND_MS)
        self._alarm_set = False
        self._away_since = 0  # when the main thread stopped reading, 0 while it reads
        self._reading = _thread.allocate_lock()
        self._handover = _thread.allocate_lock()
        self._bell = _thread.allocate_lock()
        self._resting = False
        self._retired = False  # the second thread is to end
        self._main_thread = 0
        self._ended_sessions: deque[str] = deque()  # that the adapter has not been told of

    # The main thread.

    def run(self) -> None:
        """Serve until the gateway says Stop or the stream ends, then exit the process.

        Returns if workers are to be forked from it, without a stream and a thread that would be in the way.
        """
        self._main_thread = _thread.get_ident()
        self._bell.acquire()
        self._reading.acquire()
        _thread.start_new_thread(self._stand_in, ())
        while True:
            if self._ended_sessions:
                self._tell_ends()
            if self._calls:
                self._work()
            elif self._stopping and not self._outbox and not self._outbox.sending:
                if self._reforking and self._release():
                    return
                self._finish()
            else:
                self._read_one()

    def _work(self) -> None:
        """Run all calls that wait, while the stand-in may read."""
        self._away_since = _now()
        self._reading.release()
        while True:
            self._run_calls()
            self._outbox.flush()
            if self._has_health:
                self._look_loaded()
            with self._handover:
                if self._calls:
                    continue
                if self._reading.acquire(False):
                    break
                self._close_if_finished()  # or nothing might ever wake the stand-in again
                self._resting = True
            self._bell.acquire()
        self._away_since = 0

    def _release(self) -> bool:
        """All is answered, and the main thread reads. False: gRPC cannot be let go of."""
        while not self._closed:
            self._close_if_finished()
            self._read_one()
        if not self._link.release(self._asked):
            return False
        self._retired = True
        self._memory.close()
        self._alarm.set()
        self._runner.release()
        return True

    def _ended(self, reason: str) -> None:
        """The gateway ends the stream when it has read all. Where workers are to be forked from this process it goes on
        then, whether that is seen before CLOSED or after it."""
        if not (self._reforking and self._closing):
            super()._ended(reason)
        self._closed = True

    def _run_calls(self) -> None:
        calls, outbox, runner = self._calls, self._outbox, self._runner
        page, tools = runner.page, runner.tools
        unsent_since = 0
        while calls:
            if page.full:
                self._deliver()
                unsent_since = 0
            try:
                _, (invoke, arrived) = calls.popitem(False)
            except KeyError:  # cancelled in between
                return
            if self._ended_sessions:
                self._tell_ends()
            tool = tools.get(invoke.tool)
            fast = tool is None or (0 <= tool.average_ns <= FAST_NS and not tool.streaming)
            if unsent_since and (not fast or _now() - unsent_since > COLLECT_NS):
                self._send_now()
                unsent_since = 0
            if unsent_since or not fast:
                self.set_alarm()
            if tool is not None and tool.batch_size:
                batch = self._claim_batch(tool, invoke, arrived)
                if not fast:
                    self._tell_together(batch)
                self._end_batch(batch, runner.run_batch(batch))
            else:
                outbox.put(runner.run(tool, invoke, arrived))
            unsent_since = unsent_since or _now()

    def _tell_ends(self) -> None:
        ended = self._ended_sessions
        while ended:
            super()._end_session(ended.popleft())

    def _end_session(self, session_id: str) -> None:
        """Left to the main thread, which is where the adapter's code runs."""
        self._ended_sessions.append(session_id)

    def _look_loaded(self) -> None:
        """For the main thread alone, since the adapter is asked between calls; it may read in the middle of one."""
        if self._main_thread in (0, _thread.get_ident()) and not self._runner.is_running:
            super()._look_loaded()

    def _interrupt(self, run_id: int) -> bool:
        return self._runner.cancel(run_id)

    def _done(self) -> int:
        return self._runner.done

    def _send_now(self) -> None:
        """Send what is ready though more calls wait, having read what has come in the meantime."""
        outbox = self._outbox
        if outbox.sending and self._reading.acquire(False):
            while outbox.sending:
                self._read_one()
            self._away_since = _now()
            self._reading.release()
        outbox.flush()

    def _deliver(self) -> None:
        """Wait until all that is ready has been written, since the page does not keep it (any longer)."""
        outbox = self._outbox
        self._runner.page.full = False
        outbox.flush()
        self.read_until(lambda: not outbox and not outbox.sending)

    def read_until(self, ready: Any) -> None:
        """Away from reading: deal with what happens on the stream until ``ready()``, which that brings about."""
        while True:
            with self._handover:
                if ready():
                    return
                if self._reading.acquire(False):
                    break
                self._resting = True
            self._bell.acquire()
            self.set_alarm()  # the stand-in has handed over, and may have to take over again
        self._away_since = 0
        while not ready():
            self._read_one()
        self._away_since = _now()
        self._reading.release()
        self.set_alarm()

    def interrupt(self) -> None:
        """Have read_until() look again. For any thread."""
        self._link.interrupt()

    # The stand-in.

    def set_alarm(self) -> None:
        """Have the stand-in read soon, if the main thread does not."""
        if not self._alarm_set:
            self._alarm_set = True
            self._alarm.set()

    def _stand_in(self) -> None:
        while True:
            self._alarm.wait()
            if self._retired:
                self._alarm.close()
                return
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
            self.set_alarm()
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

    def _leave(self, status: int) -> NoReturn:
        if self._runner.is_running or _thread.get_ident() != self._main_thread:  # the tool goes down with us
            leave(status)
        super()._leave(status)
