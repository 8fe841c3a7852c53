"""What a tool with a parameter named ``stream`` is given."""

from __future__ import annotations

from typing import Any


class Stream:
    """Values are sent beside what the tool returns in the end."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Any) -> None:
        self._feed = feed

    def send(self, item: Any) -> Any:
        """Emit a value, at once. While the reader is slow this blocks, and raises Cancelled when nobody waits any more.

        In async code it never blocks: it returns an awaitable, and ``await stream.send(item)`` pauses the task as long
        as is needed. Raises what the encoding of ``item`` does, and RuntimeError after the end of the call.
        """
        return self._feed.send(item)
