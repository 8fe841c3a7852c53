"""Tools that stream, for the tests."""

import time
from pathlib import Path
from typing import Any, Iterator

from snakepit_bridge import BaseAdapter, Binary, tool


def note(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


class Streams(BaseAdapter):
    """Generators of several kinds."""

    @tool
    def count(self, n: int, seconds: float = 0.0, path: str = "", size: int = 0) -> Iterator[Any]:
        """Yield 0 to n-1, or strings of that size, with pauses; note the beginning and the end in a file."""
        done = 0
        try:
            if path:
                note(path, "begun")
            for i in range(n):
                yield "x" * size if size else i
                done = i + 1
                if seconds:
                    time.sleep(seconds)
        finally:
            if path:
                note(path, f"ended after {done}")
        return "counted"

    @tool
    def in_step(self, n: int, folder: str) -> Iterator[int]:
        """Yield 0 to n-1, each but the first when its reader has made a file of that name."""
        for i in range(n):
            while i and not (Path(folder) / str(i)).exists():
                time.sleep(0.002)
            yield i
        return "counted"

    @tool
    def fail_after(self, n: int) -> Iterator[int]:
        """Yield n numbers, then raise."""
        yield from range(n)
        raise ValueError("in mid-stream")

    @tool
    def fail_at_once(self, message: str) -> Iterator[int]:
        """Raise before anything was said."""
        raise ValueError(message)
        yield 1

    @tool
    def late(self, file: str) -> Iterator[int]:
        """Yield nothing until there is such a file, then a number."""
        while not Path(file).exists():
            time.sleep(0.002)
        yield 1

    @tool
    def end_with_bytes(self, content_type: str = "") -> Iterator[int]:
        """Yield a number, return bytes."""
        yield 1
        return Binary(b"\x00\xff", content_type) if content_type else b"\x00\xff"

    @tool
    def nothing(self) -> Iterator[int]:
        """Yield nothing at all."""
        return iter(())
        yield 1

    @tool
    def die_after(self, n: int) -> Iterator[int]:
        """Yield n numbers, then take the process along."""
        import os
        import signal

        yield from range(n)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    @tool
    def report(self, context: Any) -> Iterator[Any]:
        """Progress and log between the values."""
        yield {"a": "line\nbreak"}
        context.progress(1, 2, "half")
        context.log("a note")
        yield float("nan") and [1, 2.5, None, "ü"]

    @tool
    def quiet(self, seconds: float) -> Iterator[int]:
        """One value, silence, another."""
        yield 1
        time.sleep(seconds)
        yield 2

    @tool
    def plain(self) -> int:
        """Streams nothing."""
        return 1

    @tool
    def much(self, size: int) -> Iterator[int]:
        """One value, and a long string in the end."""
        yield 1
        return "x" * size
