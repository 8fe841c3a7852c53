"""The adapter of every pool of the ten: its tools bear the pool's number, $CHAOS_POOL."""

import os
from pathlib import Path

from snakepit_bridge import BaseAdapter, tool

NUMBER = os.environ.get("CHAOS_POOL", "0")


def _work(self: object, number: int) -> int:
    """Return the number."""
    return number


class Pool(BaseAdapter):
    """One tool. It cannot start as long as there is a file `broken-<pool>` in $TMPDIR."""

    def initialize(self) -> None:
        if (Path(os.environ["TMPDIR"]) / f"broken-{NUMBER}").exists():
            os.abort()


_work.__name__ = _work.__qualname__ = f"work_{NUMBER}"
setattr(Pool, f"work_{NUMBER}", tool(_work))
