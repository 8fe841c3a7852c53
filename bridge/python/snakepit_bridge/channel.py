"""The descriptor channel: large arguments come, and large results go, as descriptors of shared memory (bridge/BOOT.md).

One for the process, and none in a worker that the gateway has not given one: then everything travels in frames. A
packet is the id of a call and one descriptor.
"""

from __future__ import annotations

import _thread
import array
import fcntl
import mmap
import os
import socket
import struct
from typing import Any, Optional

SHARED_MIN = 64 << 10  # bytes; smaller values are cheaper to copy

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_packet = struct.Struct("=Q")
_channel: Optional[Channel] = None


class Parcel:
    """The body of a result that has gone ahead; ``size`` is in bytes."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Channel:
    """A worker's end. Any thread."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor, and keeps it from programs that tools start."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptor)
        self._socket.set_inheritable(False)
        self._socket.setblocking(False)
        self._lock = _thread.allocate_lock()  # guards who receives, and the following
        self._kept: dict[int, int] = {}  # descriptors that came and were not asked for yet, by call

    def take(self, call_id: int) -> int:
        """The descriptor that came for a call, now the caller's; -1 if there is none."""
        with self._lock:
            found = self._kept.pop(call_id, -1)
            while found < 0:
                try:
                    data, fds, _, _ = socket.recv_fds(self._socket, _packet.size, 1, socket.MSG_CMSG_CLOEXEC)
                except OSError:
                    return -1
                if len(data) != _packet.size or not fds:
                    return -1
                owner = _packet.unpack(data)[0]
                if owner == call_id:
                    found = fds[0]
                else:
                    self._kept[owner] = fds[0]
            return found

    def send(self, call_id: int, descriptor: int) -> bool:
        """Send a copy of a descriptor. False if the gateway does not read."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._socket.sendmsg([_packet.pack(call_id)], rights)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept.clear()


def open_channel(descriptor: int) -> None:
    """Make it the process's channel."""
    global _channel
    _channel = Channel(descriptor)


def close_channel() -> None:
    global _channel
    if _channel is not None:
        _channel.close()
        _channel = None


def arguments(invoke: Any) -> Any:
    """The bytes of a call's arguments: bytes, or a memoryview of shared memory that lasts as long as it is used."""
    if invoke.args or not invoke.HasField("shared"):
        return invoke.args
    descriptor = -1 if _channel is None else _channel.take(invoke.call_id)
    if descriptor < 0:
        raise RuntimeError("the memory that holds the arguments did not come")
    try:
        place = invoke.shared
        whole = mmap.mmap(descriptor, place.offset + place.size, mmap.MAP_PRIVATE, mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return memoryview(whole)[place.offset :]


def drop(invoke: Any) -> None:
    """Nobody will ask for the arguments of that call."""
    if _channel is not None and not invoke.args and invoke.HasField("shared"):
        descriptor = _channel.take(invoke.call_id)
        if descriptor >= 0:
            os.close(descriptor)


def ship(call_id: int, body: Any) -> Any:
    """Send a large body, bytes or a contiguous memoryview, ahead. Returns what is to be in the frame instead.

    That is a Parcel, or bytes if it cannot be sent.
    """
    if _channel is not None and _send_copy(_channel, call_id, body, memoryview(body).nbytes):
        return Parcel(memoryview(body).nbytes)
    return body if type(body) is bytes else body.tobytes()


def _send_copy(channel: Channel, call_id: int, body: Any, size: int) -> bool:
    """The one copy: written to new memory, which is then sealed.

    To have the tool make its value in such memory is slower: there each new page costs a fault.
    """
    try:
        with open(os.memfd_create("snakepit-result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb", 0) as file:
            if file.write(body) != size:
                return False
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            return channel.send(call_id, file.fileno())
    except OSError:  # no memory, or no descriptor
        return False
