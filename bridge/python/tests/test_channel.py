"""The worker's end of the descriptor channel."""

import fcntl
import os
import socket
import struct
from types import SimpleNamespace
from typing import Any, Iterator

import pytest

from snakepit_bridge import bridge_pb2 as pb
from snakepit_bridge import calls, channel
from snakepit_bridge.errors import Refused
from snakepit_bridge.failure import of_refusal


@pytest.fixture
def gateway() -> Iterator[socket.socket]:
    """The gateway's end, while the channel is open."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(5)
    channel.open_channel(theirs.detach())
    yield ours
    channel.close_channel()
    ours.close()


def post(gateway: socket.socket, call_id: int, content: bytes) -> None:
    with os.fdopen(os.memfd_create("test"), "wb", 0) as file:
        file.write(content)
        socket.send_fds(gateway, [struct.pack("=Q", call_id)], [file.fileno()])


def invoke(call_id: int, offset: int, size: int) -> Any:
    return pb.Invoke(call_id=call_id, tool="it", shared=pb.Shared(offset=offset, size=size))


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
    assert bytes(channel.arguments(invoke(7, 4, 9000))) == b"x" * 9000


def test_arguments_come_in_any_order(gateway):
    for call_id in (1, 2, 3):
        post(gateway, call_id, b"%d" % call_id)
    assert [bytes(channel.arguments(invoke(n, 0, 1))) for n in (3, 1, 2)] == [b"3", b"1", b"2"]


def test_small_arguments_are_those_of_the_frame(gateway):
    assert channel.arguments(pb.Invoke(args=b"{}")) == b"{}"
    assert channel.arguments(pb.Invoke()) == b""


def test_memory_that_did_not_come_ends_the_call(gateway):
    with pytest.raises(RuntimeError):
        channel.arguments(invoke(7, 0, 1))


def test_memory_that_is_too_short_ends_the_call(gateway):
    post(gateway, 7, b"abc")
    with pytest.raises(ValueError):
        channel.arguments(invoke(7, 1, 3))


def test_the_view_lasts_and_its_descriptor_goes_with_it(gateway):
    before = open_files()
    post(gateway, 7, b"abc")
    view = channel.arguments(invoke(7, 0, 3))
    post(gateway, 8, b"xyz")
    del view
    channel.arguments(invoke(8, 0, 3))
    assert open_files() == before


def test_a_refused_call_lets_go_of_its_memory(gateway):
    before = open_files()
    post(gateway, 7, b"abc")
    of_refusal(invoke(7, 0, 3), Refused("TypeError", "no", 422, "no"))
    assert open_files() == before
    with pytest.raises(RuntimeError):
        channel.arguments(invoke(7, 0, 3))


@pytest.mark.parametrize("value", [b"x" * 70000, bytearray(b"x" * 70000), memoryview(b"x" * 70000), "x" * 70000])
def test_a_large_result_goes_ahead_and_is_sealed(gateway, value):
    call_id, body, _, _ = calls.encode(SimpleNamespace(call_id=7), value, 1)
    owner, content, seals = received(gateway)
    assert (call_id, owner, body.size) == (7, 7, len(content))
    assert content.strip(b'"') == b"x" * 70000
    assert seals & fcntl.F_SEAL_WRITE and seals & fcntl.F_SEAL_SHRINK


def test_a_small_result_travels_in_its_frame(gateway):
    assert calls.encode(SimpleNamespace(call_id=7), bytearray(65536), 1)[1] == bytes(65536)


def test_without_a_channel_large_results_travel_in_frames():
    assert calls.encode(SimpleNamespace(call_id=7), bytearray(70000), 1)[1] == bytes(70000)


def test_when_the_gateway_does_not_read_results_travel_in_frames(gateway):
    before = open_files()
    found = [calls.encode(SimpleNamespace(call_id=n), bytes(70000), 1)[1] for n in range(500)]
    assert type(found[0]) is channel.Parcel
    assert found[-1] == bytes(70000)
    assert open_files() == before
