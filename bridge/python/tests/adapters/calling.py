"""Tools that call tools."""

import asyncio
import os
import select
import signal
import threading
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, Cancelled, ToolCallError, VariableError, tool


def told(error):
    return {
        "class": type(error).__name__, "message": str(error), "kind": error.kind, "code": error.code,
        "status": error.status, "details": error.details, "timeout": isinstance(error, TimeoutError),
    }  # fmt: skip


def in_child(function):
    """The error of what a forked child does, as text."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            function()
            told = b"nothing was raised"
        except BaseException as error:
            told = repr(error).encode()
        os.write(ours, told)
        os._exit(0)
    found = os.read(theirs, 4096).decode() if select.select([theirs], [], [], 5)[0] else "it hangs"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(theirs)
    os.close(ours)
    return found


class Calling(BaseAdapter):
    cancelled = ""

    @tool
    def ask_in_child(self, ctx):
        return [in_child(lambda: ctx.call_tool("add")), in_child(lambda: ctx.variables.get("x"))]

    @tool
    def ask(self, ctx, name: str, arguments: dict = {}):
        return ctx.call_tool(name, arguments)

    @tool
    async def aask(self, ctx, name: str, arguments: dict = {}):
        return await ctx.call_tool(name, **arguments)

    @tool
    def ask_with_an_object(self, ctx):
        try:
            return ctx.call_tool("add", a=object())
        except TypeError as error:
            return str(error)

    @tool
    def ask_bytes(self, ctx, name: str):
        got = ctx.call_tool(name, b"\0\1")
        return [type(got).__name__, got.hex()]

    @tool
    def ask_and_catch(self, ctx, name: str):
        try:
            return ctx.call_tool(name)
        except ToolCallError as error:
            return told(error)

    @tool
    def ask_in_thread(self, ctx, name: str):
        got = []
        thread = threading.Thread(target=lambda: got.append(ctx.call_tool(name)))
        thread.start()
        thread.join()
        return got

    @tool
    async def ask_many(self, ctx, name: str, n: int):
        return await asyncio.gather(*(ctx.call_tool(name, i=i) for i in range(n)))

    @tool
    async def ask_hastily(self, ctx, name: str):
        try:
            return await asyncio.wait_for(ctx.acall_tool(name), 0.01)
        except asyncio.TimeoutError:
            return "gave up"

    @tool
    def ask_with_options(self, ctx, name: str):
        return ctx.tool(name, timeout=1.5, idempotent=True, pool="other")(x=1)

    @tool
    def names(self, ctx):
        return [sorted(ctx.tools), sorted(ctx.tools)]

    @tool
    def wait_for(self, ctx, name: str):
        try:
            return ctx.call_tool(name)
        except Cancelled:
            Calling.cancelled = name
            raise

    @tool
    def was_cancelled(self):
        return Calling.cancelled

    @tool
    def elixir(self, name: str):
        return self.session_context.call_elixir_tool(name, {"a": 1}, b="x")

    @tool
    async def elixir_names(self):
        return sorted(await self.session_context.aelixir_tools())

    def set_session_context(self, session_context):
        self.session_context = session_context

    @tool
    def chatty(self, ctx, name: str, stream):
        stream.send(1)
        stream.send(ctx.call_tool(name))
        return None

    @tool
    def fails_and_spins(self, ctx, way: str, mark: str):
        """Goes on computing, for longer than anybody waits, after an error of what it asked the SDK for."""
        ways = {
            "variable": lambda: ctx.variables.get("x"),
            "timeout": lambda: ctx.tool("add", timeout=1e20)(x=1),
            "name": lambda: ctx.call_tool("\ud800"),
        }
        try:
            ways[way]()
        except (VariableError, ValueError):
            Path(mark).touch()
        until = time.monotonic() + 600
        while time.monotonic() < until:
            pass
