"""What waits to be sent, and what a frame makes of it."""

import socket
from typing import Any, List

import pytest

from snakepit_bridge import parcel


class Link:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.frames: List[bytes] = []

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def outbox(link: Link) -> Any:
    from snakepit_bridge.dispatch import Dispatch
    from snakepit_bridge.outbox import Outbox

    outbox = Outbox(link, Dispatch())
    outbox.sent()  # Hello
    return outbox


def state_of(pb: Any, frame: bytes) -> Any:
    return pb.WorkerFrame.FromString(frame).state


def test_a_wish_does_not_take_the_place_of_the_answer_to_a_ping(pb, outbox, link):
    outbox.put(pb.State(sequence=7))
    outbox.put(pb.State(recycle=True))
    outbox.flush()
    (frame,) = link.frames
    assert (state_of(pb, frame).sequence, state_of(pb, frame).recycle) == (7, True)
    assert outbox.pong == 7


def test_the_next_frame_does_not_answer_the_ping_again(pb, outbox, link):
    outbox.put(pb.State(sequence=7))
    outbox.flush()
    outbox.put(pb.State(recycle=True))
    outbox.sent()
    assert state_of(pb, link.frames[1]).sequence == 0
    assert outbox.pong == 0


@pytest.fixture
def channel():
    """Large values go ahead of their messages by it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parcel.open_channel(theirs.detach())
    yield
    parcel.close_channel()
    ours.close()


def parcels_of(pb: Any, frame: bytes) -> int:
    """How many values a frame speaks of that are not in it."""
    message = pb.WorkerFrame.FromString(frame)
    writes = [write for op in message.session_ops for write in op.writes]
    return sum(each.HasField("parcel") for each in (*message.results, *message.tool_calls, *writes))


def results(pb: Any, outbox: Any) -> None:
    for number in range(1, 101):
        outbox.put((number, parcel.pack(b"x" * 70000), "", 1))


def tool_calls(pb: Any, outbox: Any) -> None:
    for number in range(1, 101):
        request = pb.ToolCall(call_id=number, id=number, tool=b"it")
        outbox.send_large(request, [(request.parcel, b"x" * 70000)])


def updates(pb: Any, outbox: Any) -> None:
    for number in range(1, 11):
        request = pb.SessionOp(call_id=number, id=number, kind=pb.SessionOp.WRITE)
        places = [request.writes.add(name=f"n{each}".encode()).parcel for each in range(10)]
        outbox.send_large(request, [(place, b"x" * 70000) for place in places])


@pytest.mark.parametrize("fill", [results, tool_calls, updates])
def test_a_frame_speaks_of_no_more_large_values_than_the_gateway_keeps(pb, outbox, link, channel, fill):
    outbox.sending = True  # another frame
    fill(pb, outbox)
    while outbox:
        outbox.sent()
    counts = [parcels_of(pb, frame) for frame in link.frames]
    assert sum(counts) == 100
    assert max(counts) <= 70
