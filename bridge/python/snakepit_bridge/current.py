"""Which call runs here. What the call is, context.py knows."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Callable

running: ContextVar[Any] = ContextVar("snakepit_call", default=None)
"""The call that this thread or task runs, where a worker runs several at once."""

_source: Callable[[], Any] = running.get


def call() -> Any:
    """The CallContext of the call that runs here, None outside of calls.

    Threads of a tool's own have none unless they carry its context, but in ``process`` workers.
    """
    return _source()


def set_source(source: Callable[[], Any] = running.get) -> None:
    """Have call() ask ``source`` from now on: where one call runs at a time, nothing is kept per thread."""
    global _source
    _source = source
