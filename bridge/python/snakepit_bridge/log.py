"""context.log: what a tool says in words."""

from __future__ import annotations

import sys
from typing import Any

from .pause import DONE

_LOG = 2  # Emission.Kind
MAX_CHARACTERS = 16 << 10  # of a message, beyond which it is cut


def _filled(message: Any, args: tuple[Any, ...]) -> str:
    """As far as that can be: what a tool says does not end its call, as with logging."""
    try:
        text = str(message)
    except Exception:
        return "a message that cannot be written"
    try:
        return text % args if args else text
    except Exception:
        return f"{text} (with arguments that do not fit)"


class Log:
    """Callable, with a method for each level; the arguments after the message fill it in as ``message % args``."""

    __slots__ = ("_feed", "_request_id")

    def __init__(self, feed: Any, request_id: str) -> None:
        """``feed`` may be None."""
        self._feed = feed
        self._request_id = request_id

    def __call__(self, message: Any, *args: Any, level: str = "info") -> Any:
        text = _filled(message, args)
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
