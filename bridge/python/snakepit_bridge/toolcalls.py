"""Calls of tools by tools: a running call asks the gateway for one and waits for what it answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from typing import Any, NoReturn, Optional

from . import bridge_pb2 as pb
from . import calls, parcel, spans, tags, values
from .cache import Cache
from .errors import Cancelled, ToolCallError, ToolNotFound, tool_call_error
from .gate import Gate

LIST = "$tools"  # asks for the tools that can be called
_NAME_MAX = 256  # characters; tools have shorter ones

_running_loop = asyncio._get_running_loop


class Waiter:
    """One request and, in the end, its reply. Written by the reading thread."""

    __slots__ = ("body", "call_id", "gate", "id", "is_over", "reply", "tool")

    def __init__(self, call_id: int, number: int, tool: str = "") -> None:
        self.call_id = call_id
        self.id = number
        self.tool = tool
        self.gate = Gate()
        self.reply: Any = None
        self.body: Any = b""
        self.is_over = False  # the reply is there, or it is not waited for any more

    def ready(self) -> bool:
        return self.is_over

    def end(self, reply: Any = None, body: Any = b"") -> None:
        """``body``: that of a reply which does not have it in itself."""
        self.reply = reply
        self.body = body
        self.is_over = True
        self.gate.open()

    def answer(self) -> Any:
        """The reply. Raises Cancelled."""
        if self.reply is None:
            raise Cancelled("nobody waits for this call any more")
        return self.reply

    def value(self) -> Any:
        """What the tool has returned. Raises what it raised, as a ToolCallError."""
        reply = self.answer()
        if reply.HasField("failure"):
            raise tool_call_error(self.tool, reply.failure)
        return decode(self.tool, bytes(self.body) or reply.body, reply.content_type)


class ToolCalls:
    """All requests of a worker that wait. take() and cancel() are for the thread that reads the stream.

    Variables are asked for here too; ``cache`` is what is known of them.
    """

    def __init__(self, outbox: Any) -> None:
        self.cache = Cache()
        self._outbox = outbox
        self._ids = itertools.count(1)
        self._waiting: dict[int, Waiter] = {}
        os.register_at_fork(after_in_child=self._leave_child)

    def _leave_child(self) -> None:
        """A child that a tool has forked asks for nothing: it would read the stream in its parent's place."""
        self.wait = _refuse  # type: ignore[method-assign]

    def ask(self, call_id: int, tool: str, body: Any = b"", content_type: str = "", **options: Any) -> Waiter:
        """Send a request on behalf of a call. ``body`` is bytes, or a large contiguous memoryview."""
        request = pb.ToolCall(call_id=call_id, tool=tool, content_type=content_type, **options)  # which may raise
        waiter = self.wait(call_id, tool)
        request.id = waiter.id
        if type(body) is bytes and len(body) <= parcel.LARGE:
            request.args = body
            self.send(request)
        else:
            self.send_large(request, [(request.parcel, body)])
        return waiter

    def wait(self, call_id: int, tool: str = "") -> Waiter:
        """Expect the reply to a request that is sent next."""
        waiter = Waiter(call_id, next(self._ids), tool)
        self._waiting[waiter.id] = waiter
        return waiter

    def send_large(self, request: Any, values: list[tuple[Any, Any]]) -> None:
        """See Outbox.send_large()."""
        self._outbox.send_large(request, values)

    def send(self, request: Any) -> None:
        self._outbox.put(request)
        self._outbox.flush()

    def forget(self, waiter: Waiter) -> None:
        """Its reply will not matter."""
        self._waiting.pop(waiter.id, None)

    def give_up(self, waiter: Waiter) -> None:
        """The call goes on without the reply."""
        if self._waiting.pop(waiter.id, None) is not None:
            waiter.end()
            self._outbox.put(pb.ToolCall(call_id=waiter.call_id, id=waiter.id, cancel=True))
            self._outbox.flush()

    def take(self, reply: Any) -> None:
        """A ToolReply."""
        waiter = self._waiting.pop(reply.id, None)
        if waiter is None:
            parcel.drop(reply)
        elif reply.HasField("parcel"):
            self._take_large(waiter, reply)
        else:
            waiter.end(reply)

    def _take_large(self, waiter: Waiter, reply: Any) -> None:
        """The value is taken even if who waits does not ask for it any more."""
        try:
            waiter.end(reply, parcel.open_parcel(reply.parcel))
        except (RuntimeError, OSError, ValueError) as error:
            reply.failure.type, reply.failure.message, reply.failure.code = "ProtocolError", str(error), "worker_error"
            waiter.end(reply)

    def take_variables(self, reply: Any) -> None:
        """A SessionReply."""
        for variable in reply.variables:
            if variable.HasField("parcel"):
                try:
                    variable.value = bytes(parcel.open_parcel(variable.parcel))
                except (RuntimeError, OSError, ValueError) as error:
                    reply.code, reply.detail, reply.name = "transfer_failed", str(error).encode(), variable.name
        waiter = self._waiting.pop(reply.id, None)
        if waiter is not None:
            waiter.end(reply)

    def end_call(self, call_id: int) -> None:
        """The call is cancelled, or has ended: whoever waits on its behalf is to stop. For any thread."""
        if self._waiting:
            for waiter in [each for each in self._waiting.copy().values() if each.call_id == call_id]:
                if self._waiting.pop(waiter.id, None) is not None:
                    waiter.end()


def _refuse(call_id: int, tool: str = "") -> NoReturn:
    raise RuntimeError("this process cannot reach the gateway")


class Caller:
    """What one call asks with. ``ground`` is what runs it: it knows how its thread pauses, as for Feed."""

    __slots__ = ("_call_id", "_ground", "_tool_calls", "_tools")

    def __init__(self, call_id: int, ground: Any) -> None:
        self._call_id = call_id
        self._ground = ground
        self._tool_calls = ground.tool_calls
        self._tools: Optional[dict[str, Any]] = None

    def call(self, tool: str, arguments: Any, **options: Any) -> Any:
        """Run a tool: its result or, where an event loop runs, an awaitable of it."""
        body, content_type = values.encode_result(arguments)
        _check_size(tool, body)
        within = spans.innermost(self._call_id)
        if within is not None:
            options = {"trace_id": within.trace_id, "span_id": within.span_id, **options}
        if _running_loop() is not None:
            return self._wait(tool, body, content_type, options)
        return self._block(tool, body, content_type, options)

    def tool(self, name: str, timeout: Optional[float], idempotent: bool) -> RemoteTool:
        """See CallContext.tool()."""
        return RemoteTool(self, name, timeout, idempotent)

    def tools(self) -> dict[str, Any]:
        """The tools that can be called, by name. Asked for once."""
        if self._tools is None:
            if _running_loop() is not None:
                raise RuntimeError("in async code: await context.atools()")
            self._tools = _by_name(self._block(LIST, b"", "", {}))
        return self._tools

    async def atools(self) -> dict[str, Any]:
        if self._tools is None:
            self._tools = _by_name(await self._wait(LIST, b"", "", {}))
        return self._tools

    def _block(self, tool: str, body: Any, content_type: str, options: dict[str, Any]) -> Any:
        ground = self._ground
        entered = ground.step_out(self._call_id)
        try:
            waiter = self._tool_calls.ask(self._call_id, tool, body, content_type, **options)
            ground.wait_for_reply(waiter.gate, waiter.ready)
        finally:
            ground.step_in(entered)
        return waiter.value()

    async def _wait(self, tool: str, body: Any, content_type: str, options: dict[str, Any]) -> Any:
        ground = self._ground
        entered = ground.step_aside(self._call_id)
        try:
            waiter = self._tool_calls.ask(self._call_id, tool, body, content_type, **options)
            ground.expect()
        finally:
            ground.step_in(entered)
        try:
            await waiter.gate.wait(waiter.ready)
        finally:
            if not waiter.is_over:
                self._give_up(waiter)
        return waiter.value()

    def _give_up(self, waiter: Waiter) -> None:
        entered = self._ground.step_aside(self._call_id)
        try:
            self._tool_calls.give_up(waiter)
        finally:
            self._ground.step_in(entered)


class RemoteTool:
    """A tool to be called like a function: with a dict, by keywords or both; or with bytes."""

    __slots__ = ("_caller", "_options", "name")

    def __init__(self, caller: Caller, name: str, timeout: Optional[float], idempotent: bool) -> None:
        self.name = name
        self._caller = caller
        self._options: dict[str, Any] = {"idempotent": idempotent}
        if timeout is not None:
            self._options["timeout_ms"] = max(1, int(timeout * 1000))

    def __call__(self, arguments: Any = None, /, **keywords: Any) -> Any:
        """Its result or, where an event loop runs, an awaitable of it. Raises ToolCallError."""
        return self._caller.call(self.name, _merged(arguments, keywords), **self._options)


def _check_size(tool: str, body: Any) -> None:
    """Raises ToolCallError for what the gateway would not take: a larger frame would cost the worker its stream."""
    size = len(body) if type(body) is bytes else body.nbytes
    if size > calls.MAX_BODY:
        message = f"the arguments have {size} bytes; {calls.MAX_BODY} is the limit"
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
