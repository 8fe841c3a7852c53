"""Telemetry on its way to the gateway: it leaves with the next frame that leaves anyway.

Nothing of it is loaded before a tool has something to tell: this is what the outbox asks of each frame.
"""

from __future__ import annotations

import _thread
import os
from collections import deque
from typing import Any, Optional

BUFFERED = 1024  # messages, unless $SNAKEPIT_TELEMETRY_BUFFER says otherwise; those above it are lost and counted
BUFFERED_MAX = 4096  # a frame takes all that wait, 10 KiB each at most


class Dispatch:
    """What waits to be sent. put() is for any thread, fill() for the one that makes a frame."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self._limit = _limit()
        self._lock = _thread.allocate_lock()  # guards:
        self._dropped = 0  # since the last frame that said so

    def put(self, event: Any = None, span: Any = None) -> None:
        """Take an Event or a Span, unless too many wait."""
        if len(self.waiting) >= self._limit:
            self.drop()
            return
        self.waiting.append((event, span))

    def drop(self) -> None:
        """Count one that cannot be sent."""
        with self._lock:
            self._dropped += 1

    def fill(self, frame: Any) -> None:
        """Move what waits into a frame."""
        for _ in range(len(self.waiting)):
            event, span = self.waiting.popleft()
            if span is None:
                frame.events.append(event)
            else:
                frame.spans.append(span)
        with self._lock:
            frame.telemetry_dropped, self._dropped = self._dropped, 0


def _limit() -> int:
    try:
        return min(int(os.environ.get("SNAKEPIT_TELEMETRY_BUFFER", BUFFERED)), BUFFERED_MAX)
    except ValueError:
        return BUFFERED


current: Optional[Dispatch] = None
"""The worker's; None outside of workers."""
