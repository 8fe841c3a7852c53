"""What an adapter's author should know, in the log."""

from __future__ import annotations

import functools
import sys


@functools.lru_cache(maxsize=None)
def tell(text: str) -> None:
    """Put it into the log, once. For what comes from the adapter's code, not from calls."""
    print(f"snakepit_bridge: {text}", file=sys.stderr, flush=True)
