"""The demo, and tools that say in a file how far they got."""

import time
from pathlib import Path

from ledger import append
from snakepit_bridge import tool
from snakepit_bridge.demo import Demo


class Holder(Demo):
    """Tools that are interrupted, queued and killed."""

    @tool
    def hold(self, path: str, word: str, seconds: float) -> str:
        """Append "<word> begun", sleep, append "<word> ended"; and "<word> finally" in any case."""
        return held(path, word, lambda: time.sleep(seconds))

    @tool
    def spin(self, path: str, word: str, seconds: float) -> str:
        """The same, but busy in Python's own code."""
        return held(path, word, lambda: compute(seconds))

    @tool
    async def rest(self, path: str, word: str, seconds: float) -> str:
        """The same as a coroutine."""
        import asyncio

        append(path, f"{word} begun")
        try:
            await asyncio.sleep(seconds)
            append(path, f"{word} ended")
        finally:
            append(path, f"{word} finally")
        return word

    @tool
    def wait(self, file: str) -> str:
        """Return when there is such a file."""
        while not Path(file).exists():
            time.sleep(0.002)
        return "waited"

    @tool
    def line(self, path: str, word: str) -> str:
        """Append `word`."""
        append(path, word)
        return word


def held(path: str, word: str, work) -> str:
    """Do the work between two lines of the file, and a third one however it ends."""
    append(path, f"{word} begun")
    try:
        work()
        append(path, f"{word} ended")
    finally:
        append(path, f"{word} finally")
    return word


def compute(seconds: float) -> int:
    """Count for so long."""
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        count += 1
    return count
