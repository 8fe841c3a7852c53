"""Tools that call tools within spans, for the tests. What they return says which span, and what the callee got."""

import asyncio
import contextvars
import threading
from typing import Any, Callable, Dict, List

from snakepit_bridge import BaseAdapter, CallContext, telemetry, tool


class Callee(BaseAdapter):
    """What is called."""

    @tool
    def place(self, ctx: CallContext) -> str:
        """Measure something, and say which trace this is a part of."""
        with ctx.span("called"):
            pass
        return ctx.traceparent


def told(span: Any, traceparent: Any) -> Dict[str, str]:
    return {"trace": span.trace_id.hex(), "span": span.span_id.hex(), "callee": traceparent}


def in_thread(function: Callable[[], Any]) -> Any:
    got: List[Any] = []
    thread = threading.Thread(target=lambda: got.append(function()))
    thread.start()
    thread.join()
    return got[0]


class Caller(BaseAdapter):
    """Who calls."""

    @tool
    def plain(self, ctx: CallContext, name: str = "place") -> Any:
        """Call a tool within a span that is within another."""
        with ctx.span("outer"), telemetry.span("asks") as span:
            return told(span, ctx.call_tool(name))

    @tool
    async def coroutine(self, ctx: CallContext, name: str = "place") -> Any:
        """The same, in a coroutine."""
        with ctx.span("outer"), telemetry.span("asks") as span:
            return told(span, await ctx.call_tool(name))

    @tool
    def generator(self, ctx: CallContext) -> Any:
        """The same, between two values."""
        with ctx.span("outer"), telemetry.span("asks") as span:
            yield 0
            yield told(span, ctx.call_tool("place"))

    @tool
    async def async_generator(self, ctx: CallContext) -> Any:
        """The same, in a coroutine."""
        with ctx.span("outer"), telemetry.span("asks") as span:
            yield 0
            yield told(span, await ctx.call_tool("place"))

    @tool
    def carried(self, ctx: CallContext) -> Any:
        """Open a span in a thread that has the context."""

        def work() -> Any:
            with telemetry.span("asks") as span:
                return told(span, ctx.call_tool("place"))

        with ctx.span("outer"):
            context = contextvars.copy_context()
            return in_thread(lambda: context.run(work))

    @tool
    def by_name(self, ctx: CallContext) -> Any:
        """Open a span of the call in a thread that has no context but the call's object."""

        def work() -> Any:
            with ctx.span("asks") as span:
                return told(span, ctx.call_tool("place"))

        return in_thread(work)

    @tool
    def after(self, ctx: CallContext) -> Any:
        """Call a tool when the span is over."""
        with ctx.span("over"):
            pass
        return ctx.call_tool("place")

    @tool
    async def made(self, ctx: CallContext) -> Any:
        """Call within a span, and wait for it when that is over."""
        with ctx.span("asks") as span:
            asked = ctx.call_tool("place")
        return told(span, await asked)

    @tool
    async def tasks(self, ctx: CallContext, n: int) -> Any:
        """Tasks that take turns, each within a span of its own."""

        async def one(number: int) -> Any:
            with telemetry.span("asks", {"number": number}) as span:
                await asyncio.sleep(0.001 * (number % 3))
                return told(span, await ctx.call_tool("place"))

        return await asyncio.gather(*(one(number) for number in range(n)))

    @tool
    def forged(self, ctx: CallContext, trace_id: str, span_id: str) -> Any:
        """Say to be within a span that is none of the call's."""
        asked = ctx.tool("place")
        asked._options.update(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id))
        return asked()
