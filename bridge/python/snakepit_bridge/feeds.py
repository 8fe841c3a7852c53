"""The feeds of the calls that run."""

from __future__ import annotations

from typing import Any

from .feed import Collector, Feed


class Feeds:
    """Opened and closed by what runs a call; cancel() and grant() are for the thread that reads."""

    def __init__(self, outbox: Any) -> None:
        self._outbox = outbox
        self._open: dict[int, Feed] = {}

    def open(self, invoke: Any, ground: Any) -> Any:
        """A Feed if the caller reads a stream, else a Collector. ``ground`` is as for Feed."""
        if not invoke.credit:
            return Collector()
        feed = self._open[invoke.call_id] = Feed(invoke.call_id, invoke.credit, self._outbox, ground)
        return feed

    def close(self, invoke: Any, feed: Any) -> None:
        """The call has ended."""
        self._open.pop(invoke.call_id, None)
        feed.close()

    def cancel(self, call_id: int) -> None:
        feed = self._open.get(call_id)
        if feed is not None:
            feed.cancel()

    def grant(self, call_id: int, credit: int) -> None:
        """Credit of a call that has ended is void."""
        feed = self._open.get(call_id)
        if feed is not None:
            feed.grant(credit)
