"""What a tool may know about the call that runs it."""

from __future__ import annotations

import json
import time
from typing import Any, Optional

from . import telemetry
from .log import Log
from .pause import DONE

_PROGRESS = 1  # Emission.Kind


class CallContext:
    """One call, as its tool sees it.

    ``deadline`` is in seconds of ``time.monotonic()``, None without a limit. ``cancelled`` becomes true, while the tool
    runs, when nobody waits for the answer any more.
    """

    __slots__ = ("_caller", "_feed", "_ground", "_invoke", "_metadata", "cancelled", "deadline")

    def __init__(self, invoke: Any, received: float, feed: Any = None, ground: Any = None) -> None:
        """``invoke`` is the bridge's message; ``received`` the monotonic time, in seconds, at which it came.

        ``feed`` takes what the call emits, if its tool streams; ``ground`` is what runs it.
        """
        self._invoke = invoke
        self._ground = ground
        self._caller: Any = None
        self._metadata: Any = None
        self._feed = feed if feed is not None and feed.tells else None
        self.cancelled = False
        self.deadline = deadline_of(invoke, received)

    def speak_for(self, invoke: Any, deadline: Optional[float]) -> None:
        """Be the context of that call from now on; for any thread. A batch, which has one, loses calls as it runs."""
        self._invoke, self.deadline = invoke, deadline
        self._caller = self._metadata = None

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
        """What the call is part of; without one of its own, the call itself: its request id."""
        return self._invoke.correlation_id or self._invoke.request_id

    @property
    def metadata(self) -> dict[str, Any]:
        """What came with the request besides its arguments: ``metadata`` of its body, and some of its headers."""
        metadata: Any = self._metadata
        if metadata is None:
            metadata = self._metadata = json.loads(self._invoke.metadata) if self._invoke.metadata else {}
        return metadata

    @property
    def traceparent(self) -> str:
        return self._invoke.traceparent

    @property
    def tracestate(self) -> str:
        return self._invoke.tracestate

    @property
    def tool_name(self) -> str:
        return self._invoke.tool

    def progress(self, done: Any = None, total: Any = None, message: Any = None) -> Any:
        """Tell the reader of a stream how far the call is; without a stream nothing happens.

        Pauses and raises as ``stream.send`` does: in async code it returns an awaitable, which may be ignored.
        """
        given = {"done": done, "total": total, "message": message}
        if self._feed is None:
            return DONE
        return self._feed.tell(_PROGRESS, {name: value for name, value in given.items() if value is not None})

    @property
    def log(self) -> Log:
        """Lines for the reader of a stream: ``log("text")``, ``log.warning("%d of %d", 1, 2)``. Others go to stderr."""
        return Log(self._feed, self._invoke.request_id)

    def span(self, name: str, /, **attributes: Any) -> Any:
        """Measure a block as a span of the call's trace: ``with context.span("load", rows=3) as span``.

        ``span.set_attribute(name, value)`` adds what is known only later. See telemetry.span(). It is this call's in
        any thread.
        """
        return telemetry.span_of(self, name, attributes)

    def call_tool(self, name: str, arguments: Any = None, /, **keywords: Any) -> Any:
        """Run a tool, of any pool or of the caller's, and return its result: with a dict, by keywords, or with bytes.

        In async code it returns an awaitable; elsewhere it blocks this thread alone. When this call ends, what it waits
        for is cancelled. Raises ToolCallError: ToolNotFound, ToolCallTimeout, ToolCallDeadlock, ToolCallDepthError.
        """
        return self.tool(name)(arguments, **keywords)

    async def acall_tool(self, name: str, arguments: Any = None, /, **keywords: Any) -> Any:
        """The same for async code that wants to be clear."""
        return await self.tool(name)(arguments, **keywords)

    call_elixir_tool = call_tool

    def tool(self, name: str, timeout: Optional[float] = None, idempotent: bool = False, pool: str = "") -> Any:
        """A tool to be called like a function, with ``timeout`` seconds for it, less when this call has less.

        ``idempotent``: it may be run again after its worker died, whatever it says of itself. ``pool``: the one that is
        to run it; without, that of this call goes before others.
        """
        return self._asking().tool(name, timeout, idempotent, pool)

    @property
    def tools(self) -> dict[str, Any]:
        """The tools that can be called, by name: each with name, description and parameters. Asked for once a call."""
        return self._asking().tools()

    async def atools(self) -> dict[str, Any]:
        """The same for async code."""
        return await self._asking().atools()

    def _asking(self) -> Any:
        caller = self._caller
        if caller is None:
            if self._ground is None:
                raise RuntimeError("this call cannot reach the gateway")
            caller = self._caller = self._ground.requests.caller(self._invoke.call_id, self._ground)
        return caller

    @property
    def variables(self) -> Any:
        """The variables of the call's session."""
        if self._ground is None:
            raise RuntimeError("this call cannot reach the gateway")
        return self._ground.requests.variables(self._invoke, self._ground)

    def time_left(self) -> Optional[float]:
        """Seconds until the deadline, never below 0; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


def deadline_of(invoke: Any, received: float) -> Optional[float]:
    """When that call's time is up, in seconds of ``time.monotonic()``; None without a limit."""
    return received + invoke.timeout_ms / 1000 if invoke.timeout_ms else None
