"""The event loop of one thread's async code: made when first needed, kept as long as the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Optional

from .readingloop import Reader, ReadingLoop


class EventLoop:
    """For one thread alone, but for cancel()."""

    def __init__(self) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._task: Optional[asyncio.Task[Any]] = None
        self._reader: Optional[Reader] = None

    def read_by(self, reader: Optional[Reader]) -> None:
        """See ReadingLoop; a loop that is not asyncio's own waits as it always does."""
        self._reader = reader
        if isinstance(self._loop, ReadingLoop):
            self._loop.read_by(reader)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run to completion; returns or raises what the coroutine does."""
        loop = self.get()
        task = self._task = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(task)
        finally:
            self._task = None
            if not task.done():  # interrupted from outside: it ends when the loop next runs
                task.cancel()

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""
        if self._loop is None:
            self._loop = self._new_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        """What the policy makes, which a tool's module may have set; asyncio's own is replaced by one that can read."""
        loop = asyncio.new_event_loop()
        if type(loop) is not asyncio.SelectorEventLoop:
            return loop
        loop.close()
        return ReadingLoop(self._reader)

    def close(self) -> None:
        """What is left of its tasks is forgotten."""
        if self._loop is not None:
            self._loop.close()
            asyncio.set_event_loop(None)
        self._loop = None

    @property
    def is_running(self) -> bool:
        return self._task is not None

    def cancel(self) -> None:
        """Cancel what runs now. For any thread."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            loop.call_soon_threadsafe(task.cancel)

    def call(self, function: Any) -> Any:
        """Call a hook that may be a plain function or an async one."""
        value = function()
        return self.run(value) if asyncio.iscoroutine(value) else value
