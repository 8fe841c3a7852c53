"""The page of shared memory in which the gateway sees which calls have started (bridge/BOOT.md)."""

from __future__ import annotations

import _thread
import mmap
import os

PAGE_BYTES = 4096
SLOTS_MAX = 120
_COUNT, _FIRST_SLOT, _RING = 0, 8, 128


class StartedPage:
    """Maps the descriptor, which it takes."""

    def __init__(self, descriptor: int) -> None:
        try:
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")

    def start(self, call_id: int, slot: int = 0) -> None:
        """Just before the tool's code is entered."""
        words = self._words
        count = words[_COUNT]
        words[_RING + (count & 255)] = call_id
        words[_FIRST_SLOT + slot] = call_id
        words[_COUNT] = count + 1

    def end(self, slot: int = 0) -> None:
        """Once the result is encoded."""
        self._words[_FIRST_SLOT + slot] = 0


class SharedPage(StartedPage):
    """The same for several threads."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._lock = _thread.allocate_lock()

    def start(self, call_id: int, slot: int = 0) -> None:
        with self._lock:
            super().start(call_id, slot)
