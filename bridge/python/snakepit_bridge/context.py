"""What a tool may know about the call that runs it."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Callable, Optional


class CallContext:
    """One call, as its tool sees it.

    ``deadline`` is in seconds of ``time.monotonic()``, None without a limit. ``cancelled`` becomes true, while the tool
    runs, when nobody waits for the answer any more.
    """

    __slots__ = ("_invoke", "cancelled", "deadline")

    def __init__(self, invoke: Any, received: float) -> None:
        """``invoke`` is the bridge's message; ``received`` the monotonic time, in seconds, at which it came."""
        self._invoke = invoke
        self.cancelled = False
        self.deadline: Optional[float] = received + invoke.timeout_ms / 1000 if invoke.timeout_ms else None

    @property
    def call_id(self) -> int:
        return self._invoke.call_id

    @property
    def request_id(self) -> str:
        return self._invoke.request_id

    @property
    def session_id(self) -> str:
        return self._invoke.session_id

    @property
    def correlation_id(self) -> str:
        return self._invoke.correlation_id

    @property
    def traceparent(self) -> str:
        return self._invoke.traceparent

    @property
    def tracestate(self) -> str:
        return self._invoke.tracestate

    @property
    def tool_name(self) -> str:
        return self._invoke.tool

    def time_left(self) -> Optional[float]:
        """Seconds until the deadline, never below 0; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


running: ContextVar[Optional[CallContext]] = ContextVar("snakepit_call", default=None)
"""The call that this thread or task runs, where a worker runs several at once."""

_source: Callable[[], Optional[CallContext]] = running.get


def current() -> Optional[CallContext]:
    """The call that runs here, None outside of calls. Threads of a tool's own have none, but in ``process`` workers."""
    return _source()


def set_source(source: Callable[[], Optional[CallContext]] = running.get) -> None:
    """Have current() ask ``source`` from now on: where one call runs at a time, nothing is kept per thread."""
    global _source
    _source = source
