"""An event loop of asyncio's that reads the gateway's stream itself while it has nothing else to wait for.

Where another thread reads it, what a coroutine awaits from the gateway comes by way of that thread and of the loop's
self-pipe: one wake-up and one change of the interpreter's owner more than a blocking tool has. So, when nothing is
ready, no timer runs and no descriptor but the self-pipe is watched, the loop's thread reads, and who has something
for the loop in the meantime interrupts it there.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from _thread import get_ident as _get_ident
from typing import Any, Callable, Optional, Protocol


class Reader(Protocol):
    """Who can read the stream in the loop's thread."""

    def may_read(self) -> bool:
        """Whether it can now."""

    def read_until(self, ready: Callable[[], bool]) -> None:
        """Deal with what happens on the stream until ``ready()``, which that or interrupt() brings about."""

    def interrupt(self) -> None:
        """Have read_until() look again. For any thread."""


class ReadingLoop(asyncio.SelectorEventLoop):
    """For one thread, but for call_soon_threadsafe()."""

    def __init__(self, reader: Optional[Reader]) -> None:
        self._reader = reader
        self._reads_in = 0  # the thread that reads instead of waiting at the self-pipe
        self._is_rung = False  # call_soon_threadsafe() was called, since the loop was idle last
        super().__init__(_Selector(self._idle))
        os.register_at_fork(after_in_child=self._leave_child)

    def read_by(self, reader: Optional[Reader]) -> None:
        """From now on use this reader; with none, wait as other loops do."""
        self._reader = reader

    def _leave_child(self) -> None:
        """A child that a tool has forked does not read in its parent's place."""
        self._reader = None

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """As asyncio has it, but without the self-pipe for what has just been read."""
        if self._reads_in == _get_ident():
            self._is_rung = True
            return self.call_soon(callback, *args, context=context)
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self._is_rung = True  # before the look: _idle() does it the other way round
        reader = self._reader
        if self._reads_in and reader is not None:
            reader.interrupt()
        return handle

    def _idle(self) -> bool:
        """Nothing but the self-pipe is there to be waited for. Returns whether there was something better to do."""
        reader = self._reader
        if reader is None or not reader.may_read():
            return False
        self._reads_in = _get_ident()
        try:
            reader.read_until(self._rings)
        finally:
            self._reads_in = 0
            self._is_rung = False
        return True

    def _rings(self) -> bool:
        return self._is_rung


class _Selector(selectors.DefaultSelector):
    """Asks what to do when there is only one descriptor to wait for, and no end to that."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: Optional[float] = None) -> Any:
        if timeout is None and len(self.get_map()) == 1 and self._idle():
            return []  # what there is, is ready; the self-pipe is read the next time
        return super().select(timeout)
