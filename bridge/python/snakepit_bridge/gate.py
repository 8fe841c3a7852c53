"""Where a tool's threads and coroutines wait for what the reading thread will tell."""

from __future__ import annotations

import _thread
import asyncio
from typing import Any, Callable


class Gate:
    """For any number of waiters. What ``ready`` looks at must be changed before open() is called."""

    __slots__ = ("_wakers",)

    def __init__(self) -> None:
        self._wakers: list[Callable[[], Any]] = []

    def open(self) -> None:
        """Have everyone who waits look again."""
        if self._wakers:
            wakers, self._wakers = self._wakers, []
            for wake in wakers:
                wake()

    def block(self, ready: Callable[[], bool]) -> None:
        """Stop this thread until ``ready()``."""
        while not ready():
            bell = _thread.allocate_lock()
            bell.acquire()
            self._wakers.append(bell.release)
            if ready():
                return
            bell.acquire()

    async def wait(self, ready: Callable[[], bool]) -> None:
        """Suspend this task until ``ready()``."""
        loop = asyncio.get_running_loop()
        while not ready():
            bell = loop.create_future()
            self._wakers.append(lambda: _ring(loop, bell))
            if ready():
                return
            await bell


def _ring(loop: asyncio.AbstractEventLoop, bell: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_resolve, bell)
    except RuntimeError:  # a loop of the tool's own, which it has closed
        pass


def _resolve(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
