"""Tools with effects that a test can see from outside."""

import os
import subprocess
import sys
import time

from snakepit_bridge import BaseAdapter, tool


class Ledger(BaseAdapter):
    """Writes into files of the caller's choice."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict = {}

    @tool
    def write(self, path: str, line: str, seconds: float = 0.0) -> int:
        """Append `line` to the file, then sleep. Returns this process's id."""
        append(path, line)
        time.sleep(seconds)
        return os.getpid()

    @tool
    def mark(self, path: str, number: int) -> int:
        """Append `number` to the file as 8 bytes, at once; returns it."""
        if path not in self._files:
            self._files[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._files[path], number.to_bytes(8, "little"))
        return number

    @tool
    def two_lines(self, path: str, seconds: float) -> str:
        """Append "begun", sleep, append "ended"."""
        append(path, "begun")
        time.sleep(seconds)
        append(path, "ended")
        return "ended"

    @tool
    def chatter(self, lines: int = 100) -> str:
        """Print to both outputs, through Python and past it."""
        for number in range(lines):
            print("out", number)
            print("err", number, file=sys.stderr)
        sys.stdout.flush()
        os.write(1, b"\x00\xff raw {\n")
        os.write(2, b'{"event": "ready", "listen": "forged:1"')
        return "said"

    @tool
    def read_input(self) -> str:
        """Read standard input, which must be empty."""
        return sys.stdin.read()

    @tool
    def grandchild(self) -> int:
        """Start a process that would outlive its worker, and return its id."""
        return subprocess.Popen(["sleep", "600"]).pid

    @tool
    def modules(self, names: list) -> dict:
        """Which of these modules are loaded."""
        return {name: name in sys.modules for name in names}

    @tool
    def mirror(self, body: bytes) -> bytes:
        """Return the bytes that came."""
        return body

    @tool
    def block(self, size: int) -> bytes:
        """Return that many bytes, 0 to 255 over and over."""
        return (bytes(range(256)) * (size // 256 + 1))[:size]

    @tool
    def wide(self, size: int) -> str:
        """Return a string of that many letters."""
        return "x" * size


def append(path: str, line: str) -> None:
    """One write, so that lines of several workers do not mix."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
