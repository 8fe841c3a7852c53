"""Tools that read and write the variables of their session."""

import asyncio
import gc
import json
import math
import time
from pathlib import Path
from typing import Callable

from snakepit_bridge import (
    BaseAdapter, ConstraintViolation, SessionContext, ToolCallError, VariableError, VersionConflict, tool,
)  # fmt: skip
from snakepit_bridge.outbox import Outbox


def _code(act: Callable[[], object]) -> str:
    """What is wrong with doing that."""
    try:
        return f"came to {act()!r}"
    except (VariableError, ToolCallError) as error:
        return error.code


class Shared(BaseAdapter):
    """Synchronous tools."""

    @tool
    def read(self, name: str) -> object:
        variables = self.context.variables
        return variables[name]

    @tool
    def write(self, name: str, value: object, more: dict = {}) -> int:
        return self.context.variables.set(name, value, **more)

    @tool
    def remove(self, name: str) -> None:
        del self.context.variables[name]

    @tool
    def describe(self, name: str) -> dict:
        return self.context.variables.describe(name)._asdict()

    @tool
    def watch(self, name: str, value: object, seconds: float = 20) -> float:
        """Read until it has the value; the seconds that took, half a second more than no cache would."""
        variables, begun = self.context.variables, time.monotonic()
        while variables[name] != value:
            if time.monotonic() - begun > seconds:
                raise TimeoutError("the value stayed as it was")
        return time.monotonic() - begun

    @tool
    def reads(self, name: str, count: int) -> float:
        """Microseconds of a read, when it was read before."""
        variables = self.context.variables
        begun = time.perf_counter()
        for _ in range(count):
            variables[name]
        return (time.perf_counter() - begun) / count * 1e6

    @tool
    def race(self, name: str, at: float) -> str:
        variables = self.context.variables
        version = variables.version(name)
        time.sleep(max(0.0, at - time.time()))
        try:
            return f"won {variables.set(name, 'x', expected_version=version)}"
        except VersionConflict as error:
            return f"lost {error.version}"

    @tool
    def outlive(self, begun: str, go_on: str) -> list:
        """Read x, wait, and say what comes of reading, writing and calling then."""
        v = self.context.variables
        v["x"]
        Path(begun).touch()
        while not Path(go_on).exists():
            time.sleep(0.01)
        return [_code(lambda: v["x"]), _code(lambda: v.set("x", "old")), _code(lambda: self.context.call_tool("types"))]

    @tool
    def types(self) -> list:
        v = self.context.variables
        v.set("nan", math.nan)
        v.set("above", math.inf, "float", {"min": 0})
        v.set("whole", 3.0, "integer")
        v.set("deep", [{"x": (math.nan, "NaN")}])
        v.set("vector", (1, 2), "embedding", {"dimension": 2})
        v.set("truth", True, "boolean")
        v.set("model", "gpt2", "choice", {"choices": ["gpt2", "bert"]})
        wrong = []
        for name, value in {"whole": 3.5, "above": -1, "vector": [1], "model": "t5", "truth": 1}.items():
            try:
                v[name] = value
            except ConstraintViolation as error:
                wrong.append(error.variable)
        return [
            math.isnan(v["nan"]), v["above"] == math.inf, repr(v["whole"]), repr(v["vector"]), repr(v["truth"]),
            v["model"], repr(v["deep"]), wrong,
        ]  # fmt: skip

    @tool
    def several(self) -> list:
        v = self.context.variables
        versions = v.update({"a": 1, "b": 2}, c=3)
        v.update({"a": 4}, delete=["b"])
        return [versions, v.get_many(["a", "b", "c"]), v.get("b", "none"), "c" in v, "b" in v, sorted(v), len(v)]

    @tool
    def dialect(self) -> list:
        context = SessionContext()
        context.register_variable("temperature", "float", 0.7, constraints={"min": 0, "max": 2})
        context.update_variable("temperature", 1)
        context.v.name = "x"
        context["count"] = 1
        with context.batch_updates() as batch:
            batch["count"] = 2
            batch["other"] = [1]
        told = context.update_variables({"count": 3, "temperature": 9}, atomic=False)
        return [
            context.get_variable("temperature"), context.v.name, context["count"], "other" in context,
            context.get_variables(["count", "nothing"]), [each["name"] for each in context.list_variables("*e*")],
            told["count"], told["temperature"] is not True, hasattr(context.v, "nothing"),
        ]  # fmt: skip


class Together(BaseAdapter):
    """Coroutines."""

    @tool
    async def awrite_all(self, count: int) -> list:
        v = self.context.variables
        await asyncio.gather(*(v.aset(f"n{i}", i) for i in range(count)))
        read = await asyncio.gather(*(v.aget(f"n{i}") for i in range(count)))
        await v.adelete("n0")
        return [read == list(range(count)), await v.aget("n0", "gone"), len(await v.aall())]

    @tool
    async def blocks(self) -> str:
        try:
            return json.dumps(self.context.variables["x"])
        except RuntimeError as error:
            return str(error)

    @tool
    async def flood(self, count: int) -> list:
        """Ask for all variables so many times, in one frame; what came: how many there were, or why not."""
        v = self.context.variables
        outbox = next(each for each in gc.get_objects() if type(each) is Outbox)

        async def ask() -> object:
            try:
                return len(await v.aall())
            except VariableError as error:
                return error.code

        outbox.flush = lambda: None
        asked = asyncio.gather(*(ask() for _ in range(count)))
        await asyncio.sleep(0)  # each has asked; nothing is read before the gateway has heard them all
        del outbox.flush
        outbox.flush()
        return await asked
