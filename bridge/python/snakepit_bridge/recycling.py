"""The worker's own wish to be replaced."""

from __future__ import annotations

from typing import Callable, Optional

_tell: Optional[Callable[[], None]] = None


def request_recycle() -> None:
    """Have the gateway replace this worker, when a replacement is ready: no call is lost for it.

    For a tool, a hook or a thread of its own that knows that the process has had its time: a leak in a native library,
    a device in a bad state. Nothing happens outside of a worker. Any thread; asking again is harmless.
    """
    if _tell is not None:
        _tell()


def connect(tell: Optional[Callable[[], None]]) -> None:
    """What request_recycle() does from now on."""
    global _tell
    _tell = tell
