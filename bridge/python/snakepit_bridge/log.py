"""context.log: what a tool says in words."""

from __future__ import annotations

import sys
from typing import Any

from .pause import DONE

_LOG = 2  # Emission.Kind
MAX_CHARACTERS = 16 << 10  # of a message, beyond which it is cut


class Log:
    """Callable, with a method for each level; the arguments after the message fill it in as ``message % args``."""

    __slots__ = ("_feed", "_request_id")

    def __init__(self, feed: Any, request_id: str) -> None:
        """``feed`` may be None."""
        self._feed = feed
        self._request_id = request_id

    def __call__(self, message: Any, *args: Any, level: str = "info") -> Any:
        text = str(message)
        if args:
            text = text % args
        if len(text) > MAX_CHARACTERS:
            text = text[:MAX_CHARACTERS] + "..."
        text = text.encode("utf-8", "backslashreplace").decode()
        if self._feed is not None:
            return self._feed.tell(_LOG, {"level": level, "message": text})
        print(f"[{self._request_id}] {level}: {text}", file=sys.stderr, flush=True)
        return DONE

    def debug(self, message: Any, *args: Any) -> Any:
        return self(message, *args, level="debug")

    def info(self, message: Any, *args: Any) -> Any:
        return self(message, *args, level="info")

    def warning(self, message: Any, *args: Any) -> Any:
        return self(message, *args, level="warning")

    def error(self, message: Any, *args: Any) -> Any:
        return self(message, *args, level="error")
