"""What waits to be sent, and what a frame makes of it."""

from typing import Any, List

import pytest


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
    from snakepit_bridge.outbox import Outbox

    outbox = Outbox(link)
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
