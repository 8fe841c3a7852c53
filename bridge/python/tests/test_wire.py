"""What is written by hand is what the protobuf package reads."""

import pytest

from snakepit_bridge import bridge_pb2 as pb
from snakepit_bridge import wire

NUMBERS = [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 1 << 40, (1 << 64) - 1]


def read(*answers):
    parts = []
    room = [wire.add_result(parts, answer) for answer in answers]
    return pb.WorkerFrame.FromString(b"".join(parts)).results, room


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_every_length_are_read_as_they_are(number):
    (result,), _ = read((number, b"null", "", number))
    assert (result.call_id, result.run_us, result.body, result.content_type) == (number, number, b"null", "")


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 16384, 70000])
def test_bodies_of_every_length_are_read_whole(length):
    body = bytes(range(256)) * (length // 256 + 1)
    (result,), room = read((7, body[:length], "text/plain; charset=utf-8", 9))
    assert (result.body, result.content_type) == (body[:length], "text/plain; charset=utf-8")
    assert room == [length]


def test_results_keep_their_order_beside_what_the_package_writes():
    parts = []
    for call_id in (3, 1, 2):
        wire.add_result(parts, (call_id, b"{}", "", 0))
    parts.append(pb.WorkerFrame(failures=[pb.Failure(call_id=4, type="E")]).SerializeToString())
    frame = pb.WorkerFrame.FromString(b"".join(parts))
    assert [result.call_id for result in frame.results] == [3, 1, 2]
    assert frame.failures[0].call_id == 4
