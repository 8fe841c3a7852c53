"""The descriptor channel: large values come and go as descriptors of shared memory (bridge/BOOT.md).

A packet is the id of a parcel and one descriptor.
"""

from __future__ import annotations

import _thread
import array
import os
import socket
import struct

_packet = struct.Struct("=Q")


class Channel:
    """A worker's end. Any thread."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor, and keeps it from programs that tools start."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptor)
        self._socket.set_inheritable(False)
        self._socket.setblocking(False)
        self._lock = _thread.allocate_lock()  # guards who receives, and the following
        self._kept: dict[int, int] = {}  # descriptors that came and were not asked for yet, by parcel

    def take(self, number: int) -> int:
        """The descriptor that came under that number, now the caller's; -1 if there is none."""
        with self._lock:
            found = self._kept.pop(number, -1)
            while found < 0:
                try:
                    data, fds, _, _ = socket.recv_fds(self._socket, _packet.size, 1, socket.MSG_CMSG_CLOEXEC)
                except OSError:
                    return -1
                if len(data) != _packet.size or not fds:
                    return -1
                owner = _packet.unpack(data)[0]
                if owner == number:
                    found = fds[0]
                else:
                    self._kept[owner] = fds[0]
            return found

    def send(self, number: int, descriptor: int) -> bool:
        """Send a copy of a descriptor. False if the gateway does not read."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._socket.sendmsg([_packet.pack(number)], rights)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept.clear()
