"""Which call runs here. What the call is, context.py knows."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Callable

ADVICE = (
    "this thread was not told which call it works for: give it the call's context (a parameter ctx), or start it with "
    "asyncio.to_thread() or contextvars.copy_context().run"
)


class Unknown:
    """In the place of a call where nobody knows which: false, and whoever wants something of it is told what to do."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(ADVICE)


running: ContextVar[Any] = ContextVar("snakepit_call", default=Unknown())
"""The call that this thread or task runs, where a worker runs several at once. None: none."""
running.set(None)  # in the main thread; one that runs tools does so between two of them

_source: Callable[[], Any] = running.get


def call() -> Any:
    """The CallContext of the call that runs here, None outside of calls.

    Threads of a tool's own have none unless they carry its context, but in ``process`` workers.
    """
    return _source() or None


def call_or_advice() -> Any:
    """The same for tools; in a thread that cannot know its call, what tells so when it is used."""
    return _source()


def set_source(source: Callable[[], Any] = running.get) -> None:
    """Have call() ask ``source`` from now on: where one call runs at a time, nothing is kept per thread."""
    global _source
    _source = source
