"""Calls of tools by tools: a running call asks the gateway for one and waits for what it answers."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

from . import bridge_pb2 as pb
from . import spans, tags, values
from .asking import Asker, Waiter, running_loop
from .errors import ToolCallError, ToolNotFound, tool_call_error
from .parcel import LARGE

LIST = "$tools"  # asks for the tools that can be called
_NAME_MAX = 256  # characters; tools and pools have shorter ones


class Caller(Asker):
    """Calls tools on behalf of one call."""

    __slots__ = ("_tools",)

    def __init__(self, call_id: int, ground: Any) -> None:
        super().__init__(call_id, ground)
        self._tools: Optional[dict[str, Any]] = None

    def call(self, tool: str, arguments: Any, **options: Any) -> Any:
        """Run a tool: its result or, where an event loop runs, an awaitable of it. TypeError: it cannot be sent."""
        body, content_type = values.encode_arguments(arguments)
        _check_size(tool, body)
        within = spans.innermost(self._call_id)
        if within is not None:
            options = {"trace_id": within.trace_id, "span_id": within.span_id, **options}
        return self._ask(tool, body, content_type=content_type, **options)

    def tool(self, name: str, timeout: Optional[float], idempotent: bool, pool: str) -> RemoteTool:
        """See CallContext.tool()."""
        return RemoteTool(self, name, timeout, idempotent, pool)

    def tools(self) -> dict[str, Any]:
        """The tools that can be called, by name. Asked for once."""
        if self._tools is None:
            if running_loop() is not None:
                raise RuntimeError("in async code: await context.atools()")
            self._tools = _by_name(self._ask(LIST))
        return self._tools

    async def atools(self) -> dict[str, Any]:
        if self._tools is None:
            self._tools = _by_name(await self._ask(LIST))
        return self._tools

    def _ask(self, tool: str, body: Any = b"", **options: Any) -> Any:
        """``body`` is bytes, or a large contiguous memoryview."""

        def send() -> Waiter:
            return self._send(pb.ToolCall(call_id=self._call_id, tool=tool.encode(), **options), body)

        if running_loop() is not None:
            return self._awaited(send)
        return _value(self._block(self._ground.wait_for_reply, send, _nothing))

    async def _awaited(self, send: Callable[[], Waiter]) -> Any:
        return _value(await self._wait(send))

    def _send(self, request: Any, body: Any) -> Waiter:
        requests = self._requests
        waiter = requests.wait(self._call_id, request.tool.decode())
        request.id = waiter.id
        if type(body) is bytes and len(body) <= LARGE:
            request.args = body
            requests.send(request)
        else:
            requests.send_large(request, [(request.parcel, body)])
        return waiter


def _nothing(waiter: Waiter) -> None:
    """A tool's reply is looked at when an interrupt may come."""


def _value(waiter: Waiter) -> Any:
    """What the tool has returned. Raises what it raised, as a ToolCallError."""
    reply = waiter.answer()
    if reply.HasField("failure"):
        raise tool_call_error(waiter.tool, reply.failure)
    return decode(waiter.tool, bytes(waiter.body) or reply.body, reply.content_type)


class RemoteTool:
    """A tool to be called like a function: with a dict, by keywords or both; or with bytes."""

    __slots__ = ("_caller", "_options", "name")

    def __init__(self, caller: Caller, name: str, timeout: Optional[float], idempotent: bool, pool: str) -> None:
        self.name = name
        self._caller = caller
        self._options: dict[str, Any] = {"idempotent": idempotent, "pool": pool[: _NAME_MAX + 1].encode()}
        if timeout is not None:
            self._options["timeout_ms"] = max(1, int(timeout * 1000))

    def __call__(self, arguments: Any = None, /, **keywords: Any) -> Any:
        """Its result or, where an event loop runs, an awaitable of it. Raises ToolCallError."""
        return self._caller.call(self.name, _merged(arguments, keywords), **self._options)


def _check_size(tool: str, body: Any) -> None:
    """Raises ToolCallError for what the gateway would not take: a larger frame would cost the worker its stream."""
    size = len(body) if type(body) is bytes else body.nbytes
    if size > values.MAX_BODY:
        message = f"the arguments have {size} bytes; {values.MAX_BODY} is the limit"
        raise ToolCallError(tool, message, code="payload_too_large", status=413)
    if len(tool) > _NAME_MAX:
        raise ToolNotFound(tool[:_NAME_MAX], "no tool has so long a name", code="tool_not_found", status=404)


def _merged(arguments: Any, keywords: dict[str, Any]) -> Any:
    if arguments is None:
        return keywords
    if not keywords:
        return arguments
    try:
        return {**arguments, **keywords}
    except TypeError:
        raise TypeError("keywords go with a dict of arguments, or with none") from None


def _by_name(listed: Any) -> dict[str, Any]:
    return {item["name"]: item for item in listed}


def decode(tool: str, body: bytes, content_type: str) -> Any:
    """What a tool has returned: bytes unless it is JSON, whose tagged values are what they stand for."""
    if content_type:
        return body
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ToolCallError(tool, f"the result is not JSON: {error}", code="invalid_result") from None
    return tags.decode(value) if b'"__type__"' in body else value
