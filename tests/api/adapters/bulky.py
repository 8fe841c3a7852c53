"""Tools that say more than fits, and tools that send large values about. The same module serves two pools."""

import asyncio
import gc
import hashlib
import os
import random
import time
from typing import Any, Callable, Dict, List

from snakepit_bridge import BaseAdapter, CallContext, ToolError, freight, parcel, tool, toolcalls, values


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


def sample(size: int) -> bytes:
    """Bytes that are not all the same."""
    return random.Random(size).randbytes(1 << 16) * (size >> 16) + bytes(size & 0xFFFF)


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

    @tool
    def echo(self, text: str) -> str:
        """The same in JSON."""
        return text

    @tool
    def descriptors(self) -> int:
        """How many this process has."""
        return len(os.listdir("/proc/self/fd"))


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
        """The same in one frame, without asking whether it is too much."""
        limits, (values.MAX_BODY, toolcalls.LARGE) = (values.MAX_BODY, toolcalls.LARGE), (1 << 40, 1 << 40)
        try:
            return tried(lambda: ctx.call_tool("size", bytes(size)))
        finally:
            values.MAX_BODY, toolcalls.LARGE = limits

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

    @tool
    def exchange(self, ctx: CallContext, size: int, times: int = 1) -> List[int]:
        """Send so many bytes to a tool, and get them back; how many came, unless they were others."""
        data = sample(size)
        return [len(got) if got == data else -1 for got in (ctx.call_tool("mirror", data) for _ in range(times))]

    @tool
    async def aexchange(self, ctx: CallContext, size: int, times: int = 1) -> List[int]:
        """The same in a coroutine, all at once."""
        data = sample(size)
        found = await asyncio.gather(*(ctx.call_tool("mirror", data) for _ in range(times)))
        return [len(got) if got == data else -1 for got in found]

    @tool
    def exchange_text(self, ctx: CallContext, size: int) -> bool:
        """The same in JSON."""
        return bool(ctx.call_tool("echo", text="x" * size) == "x" * size)

    @tool
    def mirror_here(self, body: bytes) -> bytes:
        """A body there and back."""
        return body

    @tool
    async def quick(self, n: int) -> int:
        """Small."""
        return n

    @tool
    def store(self, ctx: CallContext, name: str, size: int) -> int:
        """Write a variable as large as that."""
        return int(ctx.variables.set(name, "v" * size))

    @tool
    def store_many(self, ctx: CallContext, count: int, size: int) -> List[int]:
        """Write several at once; how long they are."""
        ctx.variables.update({f"v{n}": "v" * size for n in range(count)})
        ctx.variables.clear_cache()
        return [len(value) for value in ctx.variables.get_many([f"v{n}" for n in range(count)]).values()]

    @tool
    def stored(self, ctx: CallContext, name: str) -> str:
        """What a variable is."""
        ctx.variables.clear_cache()
        return sha(ctx.variables[name].encode())

    @tool(supports_streaming=True)
    def pour(self, ctx: CallContext, sizes: List[int]) -> Any:
        """Strings of such lengths, each with its number before it."""
        for number, size in enumerate(sizes):
            ctx.progress(done=number)
            yield {"n": number, "text": "c" * size}

    @tool
    def descriptors_here(self) -> int:
        """How many this process has."""
        return len(os.listdir("/proc/self/fd"))


class Slow(Caller):
    """In parts, of which those that leave take their time."""

    def initialize(self) -> None:
        """Have each wait a little."""
        parcel.close_channel()
        load = freight.Freight.load

        def wait_and_load(self: Any, frame: Any) -> Any:
            if self.is_ready:
                time.sleep(0.01)
            return load(self, frame)

        freight.Freight.load = wait_and_load

    @tool
    def moved(self) -> Dict[str, int]:
        """Bytes of parts that have come and have left, and parcels of which some are here."""
        collection = parcel._collection
        mine = [each for each in gc.get_objects() if type(each) is freight.Freight]
        return {
            "came": collection._taken,
            "left": sum(each._sent for each in mine),
            "here": len(collection._collected) + sum(len(each.held) for each in mine),
        }

    @tool
    def zeros_here(self, size: int) -> bytes:
        """So many."""
        return bytes(size)


class PartedCallee(Callee):
    """Without a descriptor channel: what is large goes and comes in parts."""

    def initialize(self) -> None:
        """Let go of it."""
        parcel.close_channel()


class PartedCaller(Caller):
    """The same."""

    def initialize(self) -> None:
        """Let go of it."""
        parcel.close_channel()
