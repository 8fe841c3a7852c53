"""A call that is cancelled while its tool sends something: the frame, which others share, is not torn."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from snakepit_bridge import bridge_pb2 as pb
from snakepit_bridge import dispatch, link, recycling, started, telemetry, tool
from snakepit_bridge.eventloop import EventLoop
from snakepit_bridge.runner import Runner
from snakepit_bridge.threads import ThreadWorker
from snakepit_bridge.tools import collect
from snakepit_bridge.worker import Worker

CALL = 7


class Telling:
    """Synchronous tools that say something, most of them in event loops of their own."""

    @tool
    def ask(self, ctx):
        asyncio.run(ctx.acall_tool("it"))

    @tool
    def read(self, ctx):
        asyncio.run(ctx.variables.aget("x"))

    @tool
    def ask_in_vain(self, ctx):
        async def ask():
            await asyncio.wait_for(ctx.acall_tool("it"), 0.01)

        asyncio.run(ask())

    @tool
    def say(self, stream):
        async def say():
            await stream.send(1)

        asyncio.run(say())

    @tool
    def wish(self):
        recycling.request_recycle()


class Link:
    """Writes frames at once, and cancels the call in the middle of what it is asked for the n-th time."""

    def __init__(self):
        self.outbox = None
        self.frames = []
        self.begun = 0
        self.strike_at = 0
        self.strike = None

    def _begin(self):
        self.begun += 1
        if self.begun == self.strike_at:
            self.strike()
        for _ in range(1000):  # an interrupt comes between two of these
            pass

    def receive(self):
        pass

    def send(self, frame):
        self._begin()
        self.frames.append(pb.WorkerFrame.FromString(frame))
        self.outbox.sending = False

    def next(self):
        self._begin()
        return link.SENT, None


@pytest.fixture(params=["process", "thread"])
def worker(request, monkeypatch):
    """One that does not read: ``run`` runs a call of a tool in this thread, struck at the n-th use of the link."""
    monkeypatch.setattr(telemetry.gateway, "dispatch", dispatch.Dispatch())
    descriptor = os.memfd_create("page")
    os.ftruncate(descriptor, started.PAGE_BYTES)
    tools, stream, instance = collect(Telling), Link(), Telling()
    for item in tools:
        item.bind(getattr(instance, item.attribute))
    on_int = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in workers: nothing handles signals
    if request.param == "process":
        runner = Runner(tools, EventLoop(), started.StartedPage(descriptor))
        desk = Worker(runner, stream, lambda: None)
        yield make(desk, stream, lambda invoke: runner.run(runner.tools[invoke.tool], invoke, 0))
        runner.release()
        desk._alarm.close()
    else:
        desk = ThreadWorker(tools, started.SharedPage(descriptor, 1), stream, lambda: None, 1)
        yield make(desk, stream, lambda invoke: desk._strands[0].run(desk._tools[invoke.tool], invoke, 0, 0))
    signal.signal(signal.SIGINT, on_int)
    recycling.connect(None)


def make(desk, stream, run):
    stream.outbox = desk._outbox

    def strike():
        if isinstance(desk, ThreadWorker):
            desk._active.add(CALL)
        desk._interrupt(CALL)

    def start(name, strike_at):
        stream.strike, stream.strike_at = strike, strike_at
        return run(pb.Invoke(call_id=CALL, tool=name, args=b"{}", session_id="s", credit=1 << 20))

    return SimpleNamespace(desk=desk, link=stream, run=start)


@pytest.mark.parametrize(
    ("tool", "strike_at"), [("ask", 1), ("read", 1), ("ask_in_vain", 2), ("say", 1), ("wish", 1)]
)
def test_a_frame_that_a_cancelled_call_was_sending_is_sent_whole(worker, tool, strike_at):
    outbox = worker.desk._outbox
    outbox.sent()  # Hello
    answer = worker.run(tool, strike_at)
    assert (type(answer), answer.code) == (pb.Failure, "cancelled")
    assert len(worker.link.frames) == worker.link.begun == strike_at
    assert not outbox._lock.locked()


@pytest.mark.parametrize("worker", ["process"], indirect=True)
def test_a_cancelled_call_that_read_while_its_frame_waited_leaves_the_stream_to_others(worker):
    answer = worker.run("say", 1)  # Hello is on its way
    assert (type(answer), answer.code) == (pb.Failure, "cancelled")
    assert len(worker.link.frames) == 1 and worker.link.begun == 2
    assert not worker.desk._reading.locked()
