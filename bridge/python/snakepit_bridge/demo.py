"""A demonstration adapter: useful and destructive things, with the standard library alone."""

from __future__ import annotations

import builtins
import os
import signal
import time
from typing import Any, Iterator, Literal, Union

from . import describe
from .adapter import BaseAdapter
from .errors import ToolError
from .tools import tool


class Demo(BaseAdapter):
    """What a gateway can be tried out with."""

    @tool(idempotent=True)
    def echo(self, /, **arguments: Any) -> dict[str, Any]:
        """Return the arguments as they came."""
        return arguments

    @tool(idempotent=True)
    def add(self, a: Union[int, float], b: Union[int, float] = 0) -> Union[int, float]:
        """Add two numbers.

        Args:
            a: The first number.
            b: The second number.
        """
        return a + b

    @tool(idempotent=True)
    def sleep(self, seconds: float = 0.0, ms: float = 0.0) -> dict[str, float]:
        """Sleep, and say for how long.

        Args:
            seconds: How long, in seconds.
            ms: Further milliseconds.
        """
        begun = time.monotonic()
        time.sleep(max(0.0, seconds + ms / 1000))
        return {"slept_ms": round((time.monotonic() - begun) * 1000, 3)}

    @tool
    def countdown(self, n: int = 3, seconds: float = 0.0) -> Iterator[int]:
        """Stream the numbers from n down to 1.

        Args:
            n: Where to begin.
            seconds: How long to wait before each, in seconds.
        """
        for number in range(n, 0, -1):
            if seconds > 0:
                time.sleep(seconds)
            yield number

    @tool
    def fail(self, exception: str = "ValueError", message: str = "this tool fails on request") -> None:
        """Raise an exception.

        Args:
            exception: The name of one of Python's built-in exceptions.
            message: Its message.
        """
        kind = getattr(builtins, exception, None)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ValueError(f"{exception!r} is not one of Python's built-in exceptions")
        try:
            error = kind(message)
        except TypeError:  # UnicodeDecodeError, for one, wants five arguments
            raise ValueError(f"{exception} cannot be made from a message alone") from None
        raise error

    @tool
    def crash(self, how: Literal["segfault", "abort", "kill", "exit"] = "segfault", code: int = 1) -> None:
        """End this worker's process, as a broken native library would.

        Args:
            how: By reading address 0, by abort(), by SIGKILL or by exiting.
            code: The exit code, for exit.
        """
        if how == "segfault":
            import ctypes

            ctypes.string_at(0)
        elif how == "abort":
            os.abort()
        elif how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "exit":
            os._exit(code & 255)
        raise ToolError(f"there is no way to crash called {how!r}", status=422, code="invalid_arguments")

    @tool(idempotent=True)
    def text_stats(self, body: bytes, top: int = 10) -> dict[str, Any]:
        """Count the lines, words and characters of a text, find its most frequent words and measure its entropy.

        Args:
            body: The text, UTF-8 if possible.
            top: How many of the most frequent words to return.
        """
        return describe.text(body, top)

    @tool(idempotent=True)
    def csv_describe(self, body: bytes) -> dict[str, Any]:
        """Describe the columns of a CSV file: their types, ranges, means and quartiles.

        Args:
            body: The file, with a line of column names at its top.
        """
        try:
            return describe.table(body)
        except ValueError as error:
            raise ToolError(str(error), status=422, code="malformed_csv") from None
