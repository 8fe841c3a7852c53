"""Tools that are run by their own paths."""

import os
import time
from typing import Any

from snakepit_bridge import BaseAdapter, tool


class Paths(BaseAdapter):
    """One object for each worker."""

    @tool
    def receive(self, body: bytes, ctx: Any) -> dict:
        """What it was given besides the body's bytes."""
        return {"session": ctx.session_id, "bytes": len(body), "pid": os.getpid(), "correlation": ctx.correlation_id}

    @tool
    def form(self, image: bytes, ctx: Any, lang: str = "en") -> dict:
        return {"session": ctx.session_id, "bytes": len(image), "lang": lang, "pid": os.getpid()}

    @tool
    def nap(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds
