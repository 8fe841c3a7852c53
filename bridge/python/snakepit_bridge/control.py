"""The socket by which the gateway gives orders to a zygote (bridge/BOOT.md)."""

from __future__ import annotations

import json
import socket
import traceback
from typing import Any, Optional

MAX_PACKET = 64 << 10  # bytes, as the gateway reads them
MAX_MESSAGE = 4 << 10  # characters, at most 6 bytes each when escaped: both fit into a packet
MAX_TRACEBACK = 6 << 10


class Control:
    """Packets of JSON, some with descriptors."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor, and keeps it from programs that tools start."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)

    def receive(self) -> tuple[Optional[dict[str, Any]], list[int]]:
        """The next order and the descriptors that came with it. None instead of an order at the end."""
        cloexec = socket.MSG_CMSG_CLOEXEC
        packet, descriptors, _, _ = socket.recv_fds(self._socket, MAX_PACKET, 8, cloexec)
        return (json.loads(packet) if packet else None), list(descriptors)

    def send(self, event: str, **members: Any) -> None:
        """Raises OSError when the gateway is gone."""
        self._socket.send(json.dumps({"event": event, **members}).encode())

    def close(self) -> None:
        self._socket.close()


def tell_failure(control: Any, kind: str, error: BaseException, **members: Any) -> bool:
    """Say why this process is going to end. False if nobody listens any more."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        message = f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
    except BaseException:  # its __str__ is the adapter's code
        message = type(error).__name__
    try:
        control.send("failed", kind=kind, message=message, traceback=trace[-MAX_TRACEBACK:], **members)
    except OSError:  # the gateway is gone, or the worker had started
        return False
    return True
