"""Large values as descriptors and in parts, at the worker's end."""

import fcntl
import os
import socket
import struct
from types import SimpleNamespace
from typing import Any, Iterator

import pytest

from snakepit_bridge import bridge_pb2 as pb
from snakepit_bridge import calls, parcel
from snakepit_bridge.errors import Refused
from snakepit_bridge.failure import of_refusal


@pytest.fixture
def gateway() -> Iterator[socket.socket]:
    """The gateway's end, while the channel is open."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(5)
    parcel.open_channel(theirs.detach())
    yield ours
    parcel.close_channel()
    ours.close()


def post(gateway: socket.socket, call_id: int, content: bytes) -> None:
    with os.fdopen(os.memfd_create("test"), "wb", 0) as file:
        file.write(content)
        socket.send_fds(gateway, [struct.pack("=Q", call_id)], [file.fileno()])


def invoke(call_id: int, offset: int, size: int) -> Any:
    return pb.Invoke(call_id=call_id, tool="it", parcel=pb.Parcel(id=call_id, offset=offset, size=size))


def received(gateway: socket.socket) -> Any:
    data, descriptors, _, _ = socket.recv_fds(gateway, 8, 1)
    with os.fdopen(descriptors[0], "rb", 0) as file:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
        return struct.unpack("=Q", data)[0], os.pread(file.fileno(), 1 << 24, 0), seals


def open_files() -> int:
    """Descriptors of shared memory that this process has."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += "/memfd:" in os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own, or of another test's thread
            pass
    return found


def test_arguments_are_a_part_of_the_memory_that_came(gateway):
    post(gateway, 7, b"head" + b"x" * 9000 + b"tail")
    assert bytes(parcel.arguments(invoke(7, 4, 9000))) == b"x" * 9000


def test_arguments_come_in_any_order(gateway):
    for call_id in (1, 2, 3):
        post(gateway, call_id, b"%d" % call_id)
    assert [bytes(parcel.arguments(invoke(n, 0, 1))) for n in (3, 1, 2)] == [b"3", b"1", b"2"]


def test_memory_that_did_not_come_ends_the_call(gateway):
    with pytest.raises(RuntimeError):
        parcel.arguments(invoke(7, 0, 1))


def test_memory_that_is_too_short_ends_the_call(gateway):
    post(gateway, 7, b"abc")
    with pytest.raises(ValueError):
        parcel.arguments(invoke(7, 1, 3))


def test_the_view_lasts_and_its_descriptor_goes_with_it(gateway):
    before = open_files()
    post(gateway, 7, b"abc")
    view = parcel.arguments(invoke(7, 0, 3))
    post(gateway, 8, b"xyz")
    del view
    parcel.arguments(invoke(8, 0, 3))
    assert open_files() == before


def test_a_refused_call_lets_go_of_its_memory(gateway):
    before = open_files()
    post(gateway, 7, b"abc")
    of_refusal(invoke(7, 0, 3), Refused("TypeError", "no", 422, "no"))
    assert open_files() == before
    with pytest.raises(RuntimeError):
        parcel.arguments(invoke(7, 0, 3))


@pytest.mark.parametrize("value", [b"x" * 70000, bytearray(b"x" * 70000), memoryview(b"x" * 70000), "x" * 70000])
def test_a_large_result_goes_ahead_and_is_sealed(gateway, value):
    call_id, body, _, _ = calls.encode(SimpleNamespace(call_id=7), value, 1)
    owner, content, seals = received(gateway)
    assert (call_id, owner, len(body), body.body) == (7, body.id, len(content), None)
    assert content.strip(b'"') == b"x" * 70000
    assert seals & fcntl.F_SEAL_WRITE and seals & fcntl.F_SEAL_SHRINK


def test_a_forked_child_sends_nothing_under_its_parents_number(gateway):
    child = os.fork()
    if child == 0:
        calls.encode(SimpleNamespace(call_id=7), b"c" * 70000, 1)
        os._exit(0)
    os.waitpid(child, 0)
    body = calls.encode(SimpleNamespace(call_id=8), b"p" * 70000, 1)[1]
    owner, content, _ = received(gateway)
    assert (owner, content) == (body.id, b"p" * 70000)


def test_a_small_result_travels_in_its_frame(gateway):
    assert calls.encode(SimpleNamespace(call_id=7), bytearray(65536), 1)[1] == bytes(65536)


def test_without_a_channel_large_results_go_in_parts():
    body = calls.encode(SimpleNamespace(call_id=7), bytearray(70000), 1)[1]
    assert (len(body), body.body) == (70000, bytes(70000))


def test_when_the_gateway_does_not_read_results_go_in_parts(gateway):
    before = open_files()
    found = [calls.encode(SimpleNamespace(call_id=n), bytes(70000), 1)[1] for n in range(500)]
    assert found[0].body is None
    assert found[-1].body == bytes(70000)
    assert len({each.id for each in found}) == 500
    assert open_files() == before


def parts(number: int, content: bytes, step: int) -> Any:
    return [pb.Part(id=number, size=len(content), data=content[at : at + step]) for at in range(0, len(content), step)]


@pytest.fixture
def collection() -> Iterator[None]:
    parcel.close_channel()
    yield
    parcel.close_channel()


def test_what_comes_in_parts_is_put_together(collection):
    mixed = zip(parts(7, b"a" * 900 + b"b", 100), parts(8, b"c" * 950, 100))
    for pair in mixed:
        parcel.collect(pb.Transfer(parts=pair))
    view = parcel.open_parcel(pb.Parcel(id=7, size=901))
    assert (bytes(view), view.readonly) == (b"a" * 900 + b"b", True)
    assert bytes(parcel.open_parcel(pb.Parcel(id=8, size=950))) == b"c" * 950
    with pytest.raises(RuntimeError):
        parcel.open_parcel(pb.Parcel(id=7, size=901))


def test_the_gateway_is_told_before_its_window_closes(collection):
    content, told, sent = bytes(16 << 20), 0, 0
    for part in parts(1, content, parcel.PART_BYTES):
        sent += len(part.data)
        told = parcel.collect(pb.Transfer(parts=[part])) or told
        assert sent - told <= parcel.WINDOW_BYTES - parcel.PART_BYTES
    assert told == sent == len(content)


def test_a_refused_call_lets_go_of_its_parts(collection):
    parcel.collect(pb.Transfer(parts=parts(7, b"abc", 3)))
    of_refusal(invoke(7, 0, 3), Refused("TypeError", "no", 422, "no"))
    with pytest.raises(RuntimeError):
        parcel.arguments(invoke(7, 0, 3))


def test_what_the_gateway_drops_is_forgotten(collection):
    parcel.collect(pb.Transfer(parts=parts(7, b"abc", 2)[:1] + parts(8, b"def", 3)))
    parcel.collect(pb.Transfer(dropped=[7, 9], parts=parts(9, b"ghi", 3)))
    with pytest.raises(RuntimeError):
        parcel.open_parcel(pb.Parcel(id=7, size=3))
    assert bytes(parcel.open_parcel(pb.Parcel(id=8, size=3))) == b"def"
    assert bytes(parcel.open_parcel(pb.Parcel(id=9, size=3))) == b"ghi"
