"""The event loop of a worker's async code: made when first needed, kept as long as the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Optional


class EventLoop:
    """For the main thread alone."""

    def __init__(self) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run to completion; returns or raises what the coroutine does."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(coroutine)

    def call(self, function: Any) -> Any:
        """Call a hook that may be a plain function or an async one."""
        value = function()
        return self.run(value) if asyncio.iscoroutine(value) else value
