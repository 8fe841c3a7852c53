"""Tools that tell of themselves, for the tests."""

from typing import Any, Dict

from snakepit_bridge import BaseAdapter, CallContext, telemetry, tool


class Telling(BaseAdapter):
    @tool
    def tell(self, name: str = "model.loaded", times: int = 1, metadata: Dict[str, Any] = {}) -> int:
        """Tell of events."""
        for number in range(times):
            telemetry.emit(name, {"number": number}, metadata)
        return times

    @tool
    def tell_many(self, count: int) -> int:
        """Tell of events with different names."""
        for number in range(count):
            telemetry.emit(f"many.{number}", {"number": number})
        return count

    @tool
    def measure(self, ctx: CallContext, fail: bool = False) -> str:
        """Measure two pieces of work, one within the other."""
        with ctx.span("outer", size=3) as outer:
            with telemetry.span("inner", {"layer": 1}):
                telemetry.emit("inside", {"n": 1})
                if fail:
                    raise ValueError("bad input")
            outer.set_attribute("rows", 2)
        return ctx.correlation_id

    @tool
    def metadata(self, ctx: CallContext) -> Dict[str, Any]:
        """What came with the request."""
        return ctx.metadata

    @tool
    def metadata_stream(self, ctx: CallContext) -> Any:
        """The same, as a stream."""
        yield ctx.metadata

    @tool
    def metadata_of_another(self, ctx: CallContext) -> Any:
        """What goes along to a tool that is called."""
        return ctx.call_tool("metadata")

    @tool
    async def ameasure(self, ctx: CallContext) -> str:
        """Measure in a coroutine."""
        with ctx.span("async"):
            pass
        return ctx.request_id

    @tool
    def odd(self) -> str:
        """Tell of what cannot be told as it is."""
        telemetry.emit("n" * 1000, {"nan": float("nan")}, {"object": object(), "text": "\ud800"})
        telemetry.emit("large", {}, {"text": "x" * 10000})
        telemetry.emit("", {})
        return "told"


class Loading(BaseAdapter):
    """Tells of itself before it serves."""

    def initialize(self) -> None:
        telemetry.emit("model.loaded", {"ms": 41})
        with telemetry.span("load", {"rows": 3}):
            pass

    @tool
    def ready(self) -> bool:
        return True
