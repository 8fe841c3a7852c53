"""Tools that call tools, for the tests. The same module serves both pools; each has some of the tools."""

import asyncio
import json
import os
import threading
import time
from typing import Any, Dict, List

from snakepit_bridge import BaseAdapter, Binary, CallContext, Cancelled, ToolCallError, ToolError, tool


def note(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


class OwnKeyError(KeyError):
    """What a tool's own code may define."""


class Models(BaseAdapter):
    """What is called."""

    @tool
    def add(self, a: int, b: int = 0) -> int:
        """Add two numbers."""
        return a + b

    @tool
    def turn(self, body: bytes, content_type: str = "") -> Binary:
        """The bytes in reverse."""
        return Binary(body[::-1], content_type)

    @tool
    def fail(self, how: str) -> None:
        """Go wrong."""
        if how == "die":
            os.kill(os.getpid(), 9)
        if how == "tool_error":
            raise ToolError("chosen", 418, "teapot", {"spout": 1})
        if how == "json":
            json.loads("{")
        if how == "unicode":
            b"\xff".decode()
        raise {"value": ValueError("bad"), "key": KeyError("k"), "own": OwnKeyError("k")}[how]

    @tool
    def nap(self, seconds: float, path: str = "") -> str:
        """Sleep, and note when that is interrupted."""
        try:
            if path:
                note(path, "begun")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.005)
        except Cancelled:
            note(path, "cancelled")
            raise
        return "slept"

    @tool
    def who(self, ctx: CallContext) -> Dict[str, Any]:
        """What is known of the call."""
        return {
            "request_id": ctx.request_id, "session_id": ctx.session_id, "correlation_id": ctx.correlation_id,
            "traceparent": ctx.traceparent, "left": ctx.time_left(), "pid": os.getpid(),
        }  # fmt: skip

    @tool
    def count(self, n: int) -> Any:
        """Yield numbers."""
        yield from range(n)

    @tool
    def where(self) -> str:
        """Which pool runs it: both have it."""
        return "models"

    @tool
    def back(self, ctx: CallContext, name: str, arguments: Dict[str, Any]) -> Any:
        """Call a tool, of the other pool for one."""
        return ctx.call_tool(name, arguments)


def told(error: ToolCallError) -> Dict[str, Any]:
    return {
        "class": type(error).__name__, "message": str(error), "kind": error.kind, "code": error.code,
        "status": error.status, "details": error.details,
    }  # fmt: skip


class Agents(BaseAdapter):
    """Who calls."""

    @tool
    def where(self) -> str:
        """Which pool runs it: both have it."""
        return "agents"

    @tool
    def ask_pool(self, ctx: CallContext, name: str, pool: str) -> Any:
        """Call a tool of that pool."""
        try:
            return ctx.tool(name, pool=pool)()
        except ToolCallError as error:
            return told(error)

    @tool
    def ask(self, ctx: CallContext, name: str, arguments: Dict[str, Any] = {}, timeout: float = 0.0) -> Any:
        """Call a tool; its value, or what is known of the error."""
        try:
            return ctx.tool(name, timeout=timeout or None)(arguments)
        except ToolCallError as error:
            return told(error)

    @tool
    def catch(self, ctx: CallContext, name: str, arguments: Dict[str, Any]) -> str:
        """Call a tool that fails: which of Python's own exceptions that is caught as."""
        try:
            ctx.call_tool(name, arguments)
        except KeyError:
            return "KeyError"
        except UnicodeDecodeError:
            return "UnicodeDecodeError"
        except ValueError:
            return "ValueError"
        return "none"

    @tool
    async def aask(self, ctx: CallContext, name: str, arguments: Dict[str, Any] = {}) -> Any:
        """The same, in a coroutine."""
        try:
            return await ctx.call_tool(name, arguments)
        except ToolCallError as error:
            return told(error)

    @tool
    def pass_on(self, ctx: CallContext, name: str, arguments: Dict[str, Any] = {}) -> Any:
        """Call a tool and let its exceptions pass."""
        return ctx.call_tool(name, arguments)

    @tool
    async def gather(self, ctx: CallContext, n: int, seconds: float = 0.0) -> List[Any]:
        """Call many at once."""
        name, arguments = ("nap", {"seconds": seconds}) if seconds else ("add", {"a": 1})
        return await asyncio.gather(*(ctx.call_tool(name, arguments) for _ in range(n)))

    @tool
    def turned(self, ctx: CallContext, size: int) -> List[Any]:
        """Bytes to and fro."""
        data = bytes(range(256)) * (size // 256)
        got = ctx.call_tool("turn", data)
        return [type(got).__name__, got == data[::-1]]

    @tool
    def deep(self, ctx: CallContext, n: int) -> Any:
        """Call itself n times over, and say where that ended."""
        try:
            return ctx.call_tool("deep", n=n - 1) if n else "bottom"
        except ToolCallError as error:
            return told(error)

    @tool
    async def give_up(self, ctx: CallContext, path: str) -> str:
        """Stop waiting for a tool."""
        try:
            await asyncio.wait_for(ctx.call_tool("nap", seconds=20, path=path), 0.3)
        except asyncio.TimeoutError:
            return "gave up"
        return "not"

    @tool
    def ask_late(self, ctx: CallContext, seconds: float, path: str) -> Any:
        """Call a tool after a while."""
        note(path, "begun")
        time.sleep(seconds)
        return ctx.call_tool("add", a=1, b=2)

    @tool
    def names(self, ctx: CallContext) -> List[str]:
        """The tools that can be called."""
        assert set(ctx.tools["add"]) == {"name", "description", "parameters"}
        return sorted(ctx.tools)

    @tool
    def in_thread(self, ctx: CallContext) -> Any:
        """Call a tool from a thread."""
        got: List[Any] = []
        thread = threading.Thread(target=lambda: got.append(ctx.call_tool("add", a=1, b=1)))
        thread.start()
        thread.join()
        return got

    @tool
    def converse(self, ctx: CallContext, name: str, arguments: Dict[str, Any] = {}, times: int = 1) -> Any:
        """Call a tool between two values."""
        yield "before"
        for _ in range(times):
            try:
                yield ctx.call_tool(name, arguments)
            except ToolCallError as error:
                yield told(error)
        yield "after"

    @tool
    async def aconverse(self, ctx: CallContext, name: str, n: int) -> Any:
        """Call a tool many times at once."""
        yield await asyncio.gather(*(ctx.call_tool(name, i=i) for i in range(n)))

    @tool
    def converse_hastily(self, ctx: CallContext, name: str) -> Any:
        """Wait for a tool for a short time."""
        try:
            yield ctx.tool(name, timeout=0.2)()
        except ToolCallError as error:
            yield told(error)

    @tool
    def converse_at_length(self, ctx: CallContext, name: str, size: int, n: int, path: str = "") -> Any:
        """Send large arguments, many times over, and note the end."""
        got: List[Any] = []
        for _ in range(n):
            try:
                ctx.tool(name, timeout=0.01)(text="x" * size)
            except ToolCallError as error:
                got.append(error.code)
        if path:
            note(path, "asked")
        yield got

    @tool
    def converse_names(self, ctx: CallContext) -> Any:
        """What can be called."""
        yield {name: tool["description"] for name, tool in ctx.tools.items()}

    @tool
    def converse_deeper(self, ctx: CallContext, name: str) -> Any:
        """Have another tool call it."""
        yield ctx.call_tool("back", {"name": name, "arguments": {}})
