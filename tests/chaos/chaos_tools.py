"""Tools that wait, compute, leak and die, and say in files of $TMPDIR what they did."""

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Dict

FOLDER = Path(os.environ.get("TMPDIR", "/nonexistent"))

_files: Dict[str, int] = {}
_leaked: list = []


def _note(file: str, *numbers: int) -> None:
    """Append 8 bytes for each number, in one write, so that those of several workers do not mix."""
    if file not in _files:
        _files[file] = os.open(FOLDER / file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(_files[file], b"".join(each.to_bytes(8, "little") for each in numbers))


def echo(number: int) -> int:
    """Return the number."""
    return number


def mark(number: int) -> int:
    """Say that this call runs; return the number."""
    _note("marks", number)
    return number


def hold(number: int, seconds: float) -> int:
    """Keep the worker without using the processor."""
    time.sleep(seconds)
    return number


def burn(number: int, seconds: float) -> int:
    """Use so much of the processor's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return number


def leak(number: int, size: int) -> int:
    """Keep so many bytes for ever."""
    _leaked.append(b"x" * size)
    return number


def spin(number: int, seconds: float, pause: float = 0.0) -> int:
    """Compute in Python's own code, with pauses; say when it began and, however that came, when it ended."""
    _note("begun", number, time.monotonic_ns())
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))
            if pause:
                time.sleep(pause)
    finally:
        _note("ended", number, time.monotonic_ns())
    return number


async def rest(number: int, seconds: float) -> int:
    """Wait in the event loop, and say the same."""
    import asyncio

    _note("begun", number, time.monotonic_ns())
    try:
        await asyncio.sleep(seconds)
    finally:
        _note("ended", number, time.monotonic_ns())
    return number


def grind(number: int) -> int:
    """Compute for minutes in C, where no exception gets in."""
    _note("begun", number, time.monotonic_ns())
    hashlib.pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1)
    return number


def die(number: int, how: str) -> int:
    """Say when, and die of the signal."""
    _note("deaths", number, time.monotonic_ns())
    os.kill(os.getpid(), signal.Signals[how])
    signal.pause()
    return number
