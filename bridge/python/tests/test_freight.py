"""Large values that leave in parts: in turns, in order and within their window."""

from typing import Any

import pytest

from snakepit_bridge import bridge_pb2 as pb
from snakepit_bridge.dispatch import Dispatch
from snakepit_bridge.freight import Cargo, Freight
from snakepit_bridge.outbox import Outbox
from snakepit_bridge.parcel import OPEN_MAX, PART_BYTES, WINDOW_BYTES, Parcel


class Link:
    """Takes frames."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def send(self, frame: bytes) -> None:
        self.frames.append(pb.WorkerFrame.FromString(frame))


class Feed:
    """What a stream emits with."""

    def __init__(self, call_id: int) -> None:
        self.call_id = call_id
        self.credit = 1 << 40
        self.segment: Any = None
        self.gate = self

    def open(self) -> None:
        """Nobody waits."""


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def outbox(link: Link) -> Outbox:
    made = Outbox(link, Dispatch())
    made.sending = False
    return made


def drain(outbox: Outbox, link: Link) -> list[Any]:
    """All frames, if the gateway takes everything at once."""
    outbox.flush()
    while outbox:
        outbox.taken(sum(len(part.data) for frame in link.frames for part in frame.transfer.parts))
        outbox.sent()
    return link.frames


def large(number: int, size: int = 300_000) -> Parcel:
    return Parcel(number, size, bytes([number]) * size)


def result(call_id: int, size: int = 300_000) -> Any:
    return call_id, large(call_id, size), "", 5


def order(frames: list[Any]) -> list[int]:
    return [each.call_id for frame in frames for each in frame.results]


def test_a_result_follows_its_last_part(outbox, link):
    outbox.put(result(7))
    frames = drain(outbox, link)
    assert [len(part.data) for frame in frames for part in frame.transfer.parts] == [PART_BYTES, PART_BYTES, 37856]
    assert b"".join(part.data for frame in frames for part in frame.transfer.parts) == bytes([7]) * 300_000
    last = frames[-1].results[0]
    assert order(frames) == [7] and order(frames[-1:]) == [7]
    assert (last.call_id, last.parcel.id, last.parcel.size, last.body, last.run_us) == (7, 7, 300_000, b"", 5)


def test_a_frame_has_one_part_at_most(outbox, link):
    for number in range(1, 9):
        outbox.put(result(number))
    assert max(len(frame.transfer.parts) for frame in drain(outbox, link)) == 1


def test_what_is_small_overtakes_what_is_large(outbox, link):
    outbox.put(result(1, 10_000_000))
    outbox.flush()
    outbox.put((2, b"{}", "", 0))
    outbox.sent()
    assert order(link.frames[:2]) == [2]
    assert order(drain(outbox, link)) == [2, 1]


def test_what_a_call_says_stays_in_order(outbox, link):
    feed = Feed(1)
    outbox.emit(feed, 0, b"x" * 200_000)
    outbox.emit(feed, 0, b"1")
    outbox.emit(feed, 1, b"2")
    outbox.put((1, b"3", "", 0))
    outbox.put((2, b"4", "", 0))
    said = []
    for frame in drain(outbox, link):
        said += [each.parcel.size or list(each.bodies) for each in frame.emissions]
        said += [each.body for each in frame.results if each.call_id == 1]
    assert said == [200_000, [b"1"], [b"2"], b"3"]
    assert order(link.frames) == [2, 1]


def test_a_request_does_not_overtake_what_was_emitted_before(outbox, link):
    outbox.emit(Feed(1), 0, b"1")
    outbox.sending = True
    outbox.emit(Feed(1), 0, b"2")
    request = pb.ToolCall(call_id=1, id=5)
    outbox.send_large(request, [(request.parcel, b"x" * 100_000)])
    outbox.sending = False
    frames = drain(outbox, link)
    at = [n for n, frame in enumerate(frames) if frame.tool_calls][0]
    assert not [frame for frame in frames[at:] if frame.emissions]
    assert frames[at].tool_calls[0].parcel.size == 100_000


def test_the_window_closes(outbox, link):
    for number in range(1, 20):
        outbox.put(result(number))
    outbox.flush()
    while outbox.sending and len(link.frames) < 100:
        outbox.sent()
    sent = sum(len(part.data) for frame in link.frames for part in frame.transfer.parts)
    assert WINDOW_BYTES - PART_BYTES < sent <= WINDOW_BYTES
    assert not outbox.sending and outbox
    outbox.taken(sent)
    assert outbox.sending


def test_no_more_are_open_than_the_gateway_collects():
    freight, frame = Freight(), pb.WorkerFrame()
    for number in range(1, 10):
        freight.add(Cargo(number, None, [large(number, 3 * PART_BYTES)]))
    for _ in range(8):
        freight.load(frame)
    assert {part.id for part in frame.transfer.parts} == set(range(1, OPEN_MAX + 1))


def test_all_values_of_a_message_go_before_it(outbox, link):
    request = pb.SessionOp(call_id=1, id=5, writes=[pb.VariableWrite(name=b"a"), pb.VariableWrite(name=b"b")])
    outbox.send_large(request, [(write.parcel, b"x" * 100_000) for write in request.writes])
    frames = drain(outbox, link)
    assert [len(frame.transfer.parts) for frame in frames] == [1, 1]
    assert [len(frame.session_ops) for frame in frames] == [0, 1]
    named = {write.parcel.id for write in frames[-1].session_ops[0].writes}
    assert named == {part.id for frame in frames for part in frame.transfer.parts}


def dropped(frames: list[Any]) -> list[int]:
    return [number for frame in frames for number in frame.transfer.dropped]


def sent(frames: list[Any], number: int) -> int:
    return sum(len(part.data) for frame in frames for part in frame.transfer.parts if part.id == number)


def test_of_a_call_that_is_given_up_nothing_more_is_sent(outbox, link):
    outbox.put(result(1, 10_000_000))
    outbox.put(result(2))
    outbox.flush()
    outbox.give_up(1)
    frames = drain(outbox, link)
    assert (sent(frames, 1), sent(frames, 2)) == (PART_BYTES, 300_000)
    assert dropped(frames) == [1]
    assert order(frames) == [1, 2]
    assert frames[1].results[0].parcel.id == 1 and frames[1].transfer.dropped and frames[1].transfer.parts


def test_what_was_not_begun_need_not_be_dropped(outbox, link):
    for number in range(1, OPEN_MAX + 2):
        outbox.put(result(number, 10_000_000))
    outbox.flush()
    last = OPEN_MAX + 1
    outbox.give_up(last)
    outbox.sent()
    assert order(link.frames) == [last]
    assert (sent(link.frames, last), dropped(link.frames)) == (0, [])


def test_all_that_a_call_says_after_it_was_given_up_comes_in_order_without_large_values(outbox, link):
    feed = Feed(1)
    outbox.emit(feed, 0, b"x" * 200_000)
    outbox.emit(feed, 0, b"1")
    outbox.emit(feed, 0, b"y" * 200_000)
    outbox.give_up(1)
    outbox.emit(feed, 0, b"z" * 200_000)
    outbox.put(result(1))
    said = []
    frames = drain(outbox, link)
    for frame in frames:
        said += [each.parcel.size or list(each.bodies) for each in frame.emissions]
        said += [each.parcel.size for each in frame.results]
    assert said == [200_000, [b"1"], 200_000, 200_000, 300_000]
    assert sum(len(part.data) for frame in frames for part in frame.transfer.parts) == PART_BYTES


def test_a_call_that_is_given_up_leaves_its_turn_to_others():
    freight, frame = Freight(), pb.WorkerFrame()
    for number in range(1, OPEN_MAX + 2):
        freight.add(Cargo(number, None, [large(number, 3 * PART_BYTES)]))
    freight.load(frame)
    assert freight.give_up(1)[2] == [1]
    for _ in range(OPEN_MAX):
        freight.load(frame)
    assert {part.id for part in frame.transfer.parts} == set(range(1, OPEN_MAX + 2))
