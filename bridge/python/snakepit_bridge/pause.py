"""What stream.send() and its like return: something to await, in code that runs in an event loop."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Pause:
    """To be awaited before the next value is sent."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Any) -> None:
        self._feed = feed

    def __await__(self) -> Generator[Any, Any, None]:
        return self._feed.wait().__await__()


class Done:
    """Nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


DONE = Done()
