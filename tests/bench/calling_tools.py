"""Tools that call tools, to be measured."""

import time
from typing import List

from snakepit_bridge import BaseAdapter, CallContext, tool


class Called(BaseAdapter):
    """The pool that is called."""

    @tool
    def add(self, a: int, b: int) -> int:
        """Add two numbers."""
        return a + b


class Callers(BaseAdapter):
    """The pool that calls, and measures in nanoseconds."""

    @tool
    def call_add(self, ctx: CallContext, n: int) -> List[int]:
        """Call n times."""
        times = []
        for _ in range(n):
            begun = time.perf_counter_ns()
            ctx.call_tool("add", a=1, b=2)
            times.append(time.perf_counter_ns() - begun)
        return times

    @tool
    async def acall_add(self, ctx: CallContext, n: int) -> List[int]:
        """The same in a coroutine."""
        times = []
        for _ in range(n):
            begun = time.perf_counter_ns()
            await ctx.call_tool("add", a=1, b=2)
            times.append(time.perf_counter_ns() - begun)
        return times
