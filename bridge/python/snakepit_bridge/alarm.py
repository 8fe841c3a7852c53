"""A timer that one thread sets without waking the thread that waits for it, and that rings now and then anyway."""

from __future__ import annotations

import ctypes
import os

_CLOCK_MONOTONIC = 1
_CLOEXEC = os.O_CLOEXEC


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the GIL, which is right for calls this short
_create, _settime = _libc.timerfd_create, _libc.timerfd_settime


class Alarm:
    """A timerfd. (Setting it costs 1 to 10 µs; waking a thread by a lock would cost more, and the GIL besides.)"""

    def __init__(self, soon_ms: int, round_ms: int) -> None:
        """It rings ``soon_ms`` after each set(), and every ``round_ms`` after that.

        Raises OSError when the system has no more descriptors.
        """
        self._descriptor = _create(_CLOCK_MONOTONIC, _CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        spec = _TimerSpec(_Timespec(0, round_ms * 1_000_000), _Timespec(0, soon_ms * 1_000_000))
        self._arguments = (self._descriptor, 0, ctypes.byref(spec), None)
        self._spec = spec  # byref() does not keep it
        self.set()

    def set(self) -> None:
        """Let it ring; a second set() before that starts it anew."""
        _settime(*self._arguments)

    def wait(self) -> None:
        """Sleep until it rings."""
        os.read(self._descriptor, 8)

    def close(self) -> None:
        """Nobody may wait."""
        os.close(self._descriptor)
