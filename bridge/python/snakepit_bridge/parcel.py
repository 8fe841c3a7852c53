"""Parcels: large values that do not lie in their messages but go ahead of them (Parcel in bridge.proto).

One end of the stream sends a parcel as a descriptor of shared memory, by the channel, or else in parts that share the
frames with everything else. What has come waits here until its message asks for it. Any thread.
"""

from __future__ import annotations

import _thread
import fcntl
import itertools
import mmap
import os
from typing import Any, Optional

from .channel import Channel

LARGE = 64 << 10  # bytes; what has more is sent as a parcel
PART_BYTES = 128 << 10
WINDOW_BYTES = 1 << 20  # of parts that are on their way
OPEN_MAX = 4  # messages whose parcels are on their way

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

_channel: Optional[Channel] = None
_ids = itertools.count(1)


class Parcel:
    """A large value that leaves: it has gone ahead, or its ``body`` is still to go in parts."""

    __slots__ = ("body", "id", "size")

    def __init__(self, number: int, size: int, body: Optional[bytes]) -> None:
        self.id = number
        self.size = size
        self.body = body

    def __len__(self) -> int:
        """Bytes of the value."""
        return self.size

    def name(self, place: Any) -> None:
        """Say in its message where the value is: ``place`` is a pb.Parcel."""
        place.id, place.size = self.id, self.size


class Collection:
    """What comes in parts. Parts are for the thread that reads the stream, the rest for any."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()  # guards the following
        self._collected: dict[int, tuple[bytearray, int]] = {}  # with how much of it has come
        self._taken = 0  # bytes, in all
        self._told = 0  # of which the gateway knows that

    def add(self, transfer: Any) -> int:
        """Take parts. Returns how many bytes the gateway should be told to have been taken; 0: nothing yet."""
        with self._lock:
            for number in transfer.dropped:
                self._collected.pop(number, None)
            for part in transfer.parts:
                whole, done = self._collected.get(part.id) or (bytearray(part.size), 0)
                end = done + len(part.data)
                whole[done:end] = part.data
                self._collected[part.id] = whole, end
                self._taken += len(part.data)
            if self._taken - self._told < WINDOW_BYTES // 2:
                return 0
            self._told = self._taken
            return self._taken

    def take(self, number: int) -> Any:
        """The value, or None if it did not come in parts."""
        with self._lock:
            found = self._collected.pop(number, None)
        return None if found is None else memoryview(found[0]).toreadonly()


_collection = Collection()


def open_channel(descriptor: int) -> None:
    """Descriptors come and go by this socket, which is taken."""
    global _channel
    _channel = Channel(descriptor)


def close_channel() -> None:
    """The stream has ended: forget what came and was not asked for."""
    global _channel, _collection
    _collection = Collection()
    if _channel is not None:
        _channel.close()
        _channel = None


# A child that a tool has forked has nothing to send, and would send it under its parent's numbers.
os.register_at_fork(after_in_child=close_channel)


# What comes.


def collect(transfer: Any) -> int:
    """See Collection.add()."""
    return _collection.add(transfer)


def open_parcel(place: Any) -> memoryview:
    """The value that a message speaks of, as bytes that last as long as they are used. Once for each parcel."""
    found = _collection.take(place.id)
    return _map(place) if found is None else found


def _map(place: Any) -> memoryview:
    descriptor = -1 if _channel is None else _channel.take(place.id)
    if descriptor < 0:
        raise RuntimeError("the memory that holds a value did not come")
    try:
        whole = mmap.mmap(descriptor, place.offset + place.size, mmap.MAP_PRIVATE, mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return memoryview(whole)[place.offset :]


def arguments(invoke: Any) -> Any:
    """The arguments of a call that are not in its message, or empty bytes."""
    return open_parcel(invoke.parcel) if invoke.HasField("parcel") else b""


def drop(message: Any) -> None:
    """Nobody will ask for the value of that message."""
    if message.HasField("parcel") and _collection.take(message.parcel.id) is None and _channel is not None:
        descriptor = _channel.take(message.parcel.id)
        if descriptor >= 0:
            os.close(descriptor)


# What goes.


def pack(body: Any) -> Parcel:
    """Send a large value ahead, bytes or a contiguous memoryview. If that fails it is to go in parts, as it is now."""
    number, size = next(_ids), memoryview(body).nbytes
    if _channel is not None and _send_copy(_channel, number, body, size):
        return Parcel(number, size, None)
    return Parcel(number, size, body if type(body) is bytes else body.tobytes())


def _send_copy(channel: Channel, number: int, body: Any, size: int) -> bool:
    """The one copy: written to new memory, which is then sealed.

    To have the tool make its value in such memory is slower: there each new page costs a fault.
    """
    try:
        with open(os.memfd_create("snakepit-value", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb", 0) as file:
            if file.write(body) != size:
                return False
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            return channel.send(number, file.fileno())
    except OSError:  # no memory, or no descriptor
        return False
