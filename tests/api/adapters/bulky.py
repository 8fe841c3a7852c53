"""Tools that say more than fits, and tools that send large values about. The same module serves two pools."""

import hashlib
import os
from typing import Any, Callable, Dict

from snakepit_bridge import BaseAdapter, CallContext, ToolError, calls, tool


def told(error: ToolError) -> Dict[str, Any]:
    return {"class": type(error).__name__, "code": error.code, "status": error.status, "pid": os.getpid()}


def tried(what: Callable[[], Any]) -> Dict[str, Any]:
    """What is known of the error, and who it was."""
    try:
        what()
    except ToolError as error:
        return told(error)
    return {"class": "", "pid": os.getpid()}


def sha(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


class Callee(BaseAdapter):
    """What is called."""

    @tool
    def size(self, body: memoryview) -> int:
        """Of the arguments."""
        return len(body)

    @tool
    def zeros(self, size: int) -> bytes:
        """So many."""
        return bytes(size)

    @tool
    def mirror(self, body: bytes) -> bytes:
        """There and back."""
        return body


class Caller(BaseAdapter):
    """Who calls."""

    @tool
    def pid(self) -> int:
        """Who it is."""
        return os.getpid()

    @tool
    def pass_on(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """Call a tool with so many bytes."""
        return tried(lambda: ctx.call_tool("size", bytes(size)))

    @tool
    async def apass_on(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """The same in a coroutine."""
        try:
            await ctx.call_tool("size", bytes(size))
        except ToolError as error:
            return told(error)
        return {"class": "", "pid": os.getpid()}

    @tool
    def disregard(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """The same without asking whether it is too much."""
        limit, calls.MAX_BODY = calls.MAX_BODY, 1 << 40
        try:
            return tried(lambda: ctx.call_tool("size", bytes(size)))
        finally:
            calls.MAX_BODY = limit

    @tool
    def fetch(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """Have a tool return so many bytes."""
        return tried(lambda: ctx.call_tool("zeros", size=size))

    @tool
    def name(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """Call a tool of a name as long as that."""
        return tried(lambda: ctx.call_tool("x" * size))

    @tool
    def remember(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """Write a variable as large as that."""
        return tried(lambda: ctx.variables.set("large", "x" * size))

    @tool
    def recall(self, ctx: CallContext, size: int) -> Dict[str, Any]:
        """Read a variable of a name as long as that."""
        return tried(lambda: ctx.variables.get("x" * size))

    @tool(supports_streaming=True)
    def progress(self, ctx: CallContext, size: int) -> Any:
        """Tell of it in so many words, and yield a value."""
        ctx.progress(message="x" * size)
        yield os.getpid()
