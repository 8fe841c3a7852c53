"""Adapters written for Snakepit."""

import asyncio
import inspect
import json

import pytest

import snakepit_bridge
from snakepit_bridge import BaseAdapter, CallContext, current, loading, tool, tools
from snakepit_bridge.base_adapter import BaseAdapter as TheirBase
from snakepit_bridge.base_adapter import tool as their_tool
from snakepit_bridge.base_adapter_threaded import (
    ThreadSafeAdapter,
    require_thread_safe,
    thread_safe_method,
    validate_thread_safety,
)
from snakepit_bridge.chunk import StreamChunk, unpack
from snakepit_bridge.errors import LoadError, ToolError
from snakepit_bridge.session_context import SessionContext


class Loop:
    def call(self, hook):
        return hook()


def start(target):
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(loading, "_find", lambda name: target)
    adapter = loading.Adapter("a")
    monkeypatch.undo()
    instance = adapter.start(Loop())
    return instance, {item.name: item for item in adapter.tools}


def bound(item, arguments):
    return item.parameters.bind(json.dumps(arguments).encode(), "")


def test_names_are_where_snakepit_has_them():
    assert TheirBase is BaseAdapter and their_tool is tool
    assert snakepit_bridge.SessionContext is SessionContext


class Dispatching(BaseAdapter):
    def __init__(self):
        super().__init__()
        self.seen = []
        functions = {"greet": self.greet, "numbers": self.numbers, "not a name": id}
        self._handler_tools = {name: Handler(function) for name, function in functions.items()}

    def set_session_context(self, session_context):
        self.session_context = session_context

    def execute_tool(self, tool_name, arguments, context):
        self.seen.append(tool_name)
        if tool_name in self._handler_tools:
            return self._handler_tools[tool_name].func(context, **arguments)
        return self.call_tool(tool_name, **arguments)

    def greet(self, ctx, name: str = "you"):
        return f"Hello {name} of {ctx.session_id!r}"

    def numbers(self, ctx, n: int):
        for number in range(n):
            yield StreamChunk(number, is_final=number == n - 1)

    @tool(description="Twice.")
    def double(self, x: int):
        return 2 * x


class Handler:
    def __init__(self, func):
        self.func = func


def test_tools_go_through_the_adapters_own_dispatch():
    instance, found = start(Dispatching)
    assert found["double"].function(x=4) == 8
    assert instance.seen == ["double"]


def test_tools_that_only_the_adapter_knows_are_announced(capsys):
    _, found = start(Dispatching)
    assert sorted(found) == ["double", "execute_tool", "greet", "numbers"]
    assert found["numbers"].streaming and not found["greet"].streaming
    assert json.loads(found["greet"].schema)["properties"] == {"name": {"type": "string", "default": "you"}}
    assert "not a name" in capsys.readouterr().err


def test_context_of_a_dispatched_tool_is_the_calls_session(pb):
    _, found = start(Dispatching)
    token = current.running.set(CallContext(pb.Invoke(session_id="s1"), 0))
    try:
        assert found["greet"].function(name="Ada") == "Hello Ada of 's1'"
    finally:
        current.running.reset(token)


def test_stream_of_a_dispatched_tool():
    """snakepit 62"""
    _, found = start(Dispatching)
    assert [unpack(item) for item in found["numbers"].function(n=2)] == [(0, False), (1, True)]


def test_any_tool_can_be_called_by_its_name():
    _, found = start(Dispatching)
    run = found["execute_tool"]
    assert run.function(**bound(run, {"tool_name": "double", "arguments": {"x": 2}})) == 4
    with pytest.raises(ToolError, match="streams"):
        run.function(tool_name="numbers", arguments={"n": 1})


def test_plain_adapter_that_only_dispatches_has_that_tool():
    class Template:
        def execute_tool(self, tool_name, arguments, context):
            return tool_name

    _, found = start(Template)
    assert list(found) == ["execute_tool"]


def test_hooks_of_snakepits_are_no_tools():
    class Adapter:
        def set_session_context(self, session_context):
            pass

        def health(self):
            pass

        def on_session_start(self, session_id):
            pass

        def run(self):
            pass

    assert [item.name for item in tools.collect(Adapter)] == ["run"]


def test_base_classes_offer_no_tools():
    class Adapter(ThreadSafeAdapter):
        def run(self):
            pass

    assert [item.name for item in tools.collect(Adapter)] == ["run"]


@pytest.mark.parametrize("mark", [tool, tool(), tool("Says."), tool(description="Says.")])
def test_tool_is_marked_bare_or_called(mark):
    @mark
    def run(self):
        "Says."

    assert tools.mark_of(run) is not None
    assert tools.Tool("run", run, True).description == "Says."


def test_mark_is_where_snakepits_code_looks_for_it():
    @tool(description="d", supports_streaming=True, required_variables=["v"])
    def run(self):
        pass

    mark = run._tool_metadata
    assert (mark.description, mark.supports_streaming, mark.required_variables) == ("d", True, ["v"])


def test_declared_parameters_take_the_place_of_the_signature():
    x = {"name": "x", "type": "int", "required": True, "description": "An x."}

    @tool(parameters=[x, {"name": "y", "default": 2}])
    def run(**kwargs):
        return kwargs

    schema = json.loads(tools.Tool("run", run, False).schema)
    assert schema["properties"] == {"x": {"type": "integer", "description": "An x."}, "y": {"default": 2}}
    assert schema["required"] == ["x"]


def test_declared_parameters_may_be_a_schema():
    @tool(parameters={"properties": {"x": {"type": "integer", "minimum": 1}}, "required": ["x"]})
    def run(x):
        return x

    schema = json.loads(tools.Tool("run", run, False).schema)
    assert schema["type"] == "object" and schema["properties"]["x"]["minimum"] == 1


@pytest.mark.parametrize("declared", [5, [{"type": "int"}], ["x"]])
def test_parameters_that_are_none_are_refused(declared):
    @tool(parameters=declared)
    def run(x):
        return x

    with pytest.raises(LoadError, match="parameters"):
        tools.Tool("run", run, False)


# Batches.


def batch(function):
    item = tools.Tool("run", tool(batch=True)(function), False)
    item.bind(function)
    return item


def test_batch_tool_takes_one_list():
    with pytest.raises(LoadError, match="one list"):
        batch(lambda a, b: [])


# What adapters call on themselves.


class Listed(BaseAdapter):
    @tool(description="Adds.", required_variables=["v"])
    def add(self, a: int, b: int = 1, **rest):
        return a + b


def test_tools_are_listed_as_registrations():
    (item,) = Listed().get_tools()
    assert (item.name, item.description, item.metadata["required_variables"]) == ("add", "Adds.", "v")
    assert [(p.name, p.type, p.required, p.validation_json) for p in item.parameters] == [
        ("a", "int", True, ""),
        ("b", "int", False, '{"default": 1}'),
        ("rest", "any", False, ""),
    ]
    assert Listed().register_with_session("s", None) == ["add"]
    assert asyncio.run(Listed().register_with_session_async("s", None)) == ["add"]


def test_tool_is_called_by_name():
    assert Listed().call_tool("add", a=1) == 2
    with pytest.raises(AttributeError, match="not found"):
        Listed().call_tool("missing")
    with pytest.raises(TypeError, match="not a callable"):
        Listed().call_tool("scope")


class Threaded(ThreadSafeAdapter):
    @thread_safe_method
    @tool(description="Runs.")
    def run(self, x: int = 1):
        self.set_thread_local("x", x)
        with self.acquire_lock(), self.acquire_lock():
            return [self.get_thread_local("x"), self._tracker.get_stats()["total_active_requests"]]

    @thread_safe_method
    @tool
    def counts(self):
        yield 1

    @thread_safe_method
    @tool
    async def later(self):
        return 1


def test_counted_method_is_a_tool_like_any_other():
    instance, found = start(Threaded)
    assert found["run"].function(x=5) == [5, 1]
    assert instance.get_stats()["tracker"]["total_requests"] == 1
    assert found["counts"].streaming and found["later"].in_loop
    instance.clear_thread_local("x")
    assert instance.get_thread_local("x", 7) == 7


def test_thread_safety_is_declared():
    check = require_thread_safe(lambda adapter: True)
    assert check(Threaded()) and validate_thread_safety(Threaded) and not validate_thread_safety(Listed)
    with pytest.raises(ValueError, match="not thread-safe"):
        check(Listed())


# Sessions.


class Call:
    """A call as the worker makes it, with the parts that go through the gateway."""

    session_id, correlation_id, call_id = "s", "c", 1
    tools = {"sum": {"name": "sum"}}
    variables = {"x": 1}
    metadata = {"user": "ada"}

    def __init__(self):
        self.asked = []

    def call_tool(self, name, arguments):
        self.asked.append((name, arguments))
        if name == "missing":
            raise ToolError("there is no tool", 404, "tool_not_found")
        if name == "broken":
            raise KeyError("x")
        return 5


@pytest.fixture
def call(monkeypatch):
    running = Call()
    monkeypatch.setattr(current, "_source", lambda: running)
    return running


def test_session_context_speaks_of_the_running_call(call):
    kept = SessionContext()
    assert (kept.session_id, kept.elixir_tools, kept.variables) == ("s", {"sum": {"name": "sum"}}, {"x": 1})
    assert kept.request_metadata == {"user": "ada"}
    assert SessionContext(None, "mine", {"a": 1}).session_id == "mine"
    assert SessionContext(None, "mine", {"a": 1}).request_metadata == {"a": 1}


def test_elixir_tool_is_called_with_a_dict_or_keywords(call):
    """snakepit 60"""
    with SessionContext() as session:
        assert session.call_elixir_tool("sum", {"a": 1}) == 5
        assert session.call_elixir_tool("sum", a=1) == 5
    assert call.asked == [("sum", {"a": 1})] * 2


def test_missing_elixir_tool_is_a_value_error(call):
    """snakepit 60"""
    with pytest.raises(ValueError, match="not found"):
        SessionContext().call_elixir_tool("missing")


def test_failing_elixir_tool_is_a_runtime_error(call):
    """snakepit 60"""
    with pytest.raises(RuntimeError, match="Failed to call"):
        SessionContext().call_elixir_tool("broken")


def test_outside_of_calls_there_is_no_session():
    assert SessionContext().session_id == "" and SessionContext().elixir_tools == {}
    with pytest.raises(RuntimeError, match="no call"):
        SessionContext().call_elixir_tool("sum")


def test_chunk_of_any_make_is_unpacked():
    class Theirs:
        data, is_final = 1, True

    assert unpack(Theirs()) == (1, True)
    assert unpack({"data": 1, "is_final": True}) == ({"data": 1, "is_final": True}, False)
    assert inspect.isclass(snakepit_bridge.StreamChunk)
