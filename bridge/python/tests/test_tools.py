"""Which functions are tools, and how they are announced."""

import functools
import itertools
import json
import types

import pytest

from snakepit_bridge import BaseAdapter, ToolError, loading, tool, tools
from snakepit_bridge.errors import LoadError


@pytest.fixture(autouse=True)
def adapters(monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parent / "adapters"))


def names(adapter):
    return sorted(item.name for item in loading.Adapter(adapter).tools)


def only(target):
    (item,) = tools.collect(target)
    return item


def test_public_functions_of_a_module_are_tools():
    assert names("plain") == ["double"]


def test_public_methods_of_a_plain_class_are_tools():
    assert names("plain.Greeter") == ["hello"]


def test_marked_functions_are_the_only_tools():
    assert names("marked") == ["chosen.name"]


def test_all_names_the_tools():
    assert names("listed") == ["one"]


def test_name_that_is_not_allowed_is_named():
    with pytest.raises(LoadError, match="'not allowed'"):
        names("badly_named")


def test_name_of_65_bytes_is_not_allowed():
    with pytest.raises(LoadError):
        tools.Tool("a" * 65, lambda: 1, False)


def test_missing_module_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        names("no_such_module.Class")


def test_missing_class_is_named():
    with pytest.raises(LoadError, match="NoSuchClass"):
        names("plain.NoSuchClass")


def test_import_that_fails_inside_is_reported_as_itself():
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        names("broken_import")


def test_two_tools_of_one_name_are_refused():
    class Twice(BaseAdapter):
        @tool(name="x")
        def a(self):
            pass

        @tool(name="x")
        def b(self):
            pass

    with pytest.raises(LoadError, match="two tools named 'x'"):
        tools.collect(Twice)


def test_adapter_without_tools_is_refused():
    class Empty(BaseAdapter):
        pass

    with pytest.raises(LoadError, match="no tools"):
        tools.collect(Empty)


def test_snakepits_dialect_is_understood():
    class Dialect(BaseAdapter):
        @tool(description="Streams.", supports_streaming=True, required_variables=["x"])
        def run(self, n: int):
            "Not this."

    item = only(Dialect)
    assert (item.name, item.description, item.streaming) == ("run", "Streams.", True)


def test_generator_is_a_streaming_tool():
    class Streams(BaseAdapter):
        @tool
        def run(self):
            yield 1

    assert only(Streams).streaming


def test_derived_method_takes_the_place_of_its_base():
    class Base(BaseAdapter):
        @tool
        def run(self, a):
            pass

    class Derived(Base):
        @tool(description="derived")
        def run(self, a, b):
            pass

    item = only(Derived)
    assert (item.description, sorted(item.parameters.allowed)) == ("derived", ["a", "b"])


@pytest.mark.parametrize("wrapper", [staticmethod, classmethod])
@pytest.mark.parametrize("outside", [True, False])
def test_static_and_class_methods_can_be_tools(wrapper, outside):
    if wrapper is staticmethod:

        def run(a: int):
            return a
    else:

        def run(cls, a: int):
            return a

    class Holder:
        pass

    Holder.run = tool(wrapper(run)) if outside else wrapper(tool(run))
    item = only(Holder)
    item.bind(getattr(Holder(), item.attribute))
    assert item.function(a=3) == 3
    assert list(json.loads(item.schema)["properties"]) == ["a"]


def test_hooks_and_properties_are_no_tools():
    class Hooked(BaseAdapter):
        def initialize(self):
            pass

        def work(self):
            pass

    assert only(Hooked).name == "work"


@pytest.mark.parametrize("status", [200, 399, 600, -1])
def test_tool_error_must_have_an_error_status(status):
    with pytest.raises(ValueError):
        ToolError("x", status=status)


class Adding:
    "Adds."

    def __init__(self, to):
        self.to = to

    def __call__(self, x: int):
        "Add."
        return self.to + x


def multiplied(a: int, b: int = 1):
    "Multiply."
    return a * b


OBJECTS = [
    ("cached", lambda: tool(functools.lru_cache(lambda x: x + 2)), "", {"x": {}}),
    ("partial", lambda: tool(functools.partial(multiplied, 3)), "Multiply.", {"b": {"type": "integer", "default": 1}}),
    ("object", lambda: tool(Adding(2)), "Add.", {"x": {"type": "integer"}}),
]


@pytest.mark.parametrize("name, make, description, properties", OBJECTS, ids=lambda value: str(value)[:8])
def test_what_can_be_called_can_be_a_tool_of_a_module(name, make, description, properties):
    module = types.ModuleType("a_module")
    module.run = make()
    item = only(module)
    assert (item.description, json.loads(item.schema)["properties"]) == (description, properties)
    assert item.function(1) == 3


def test_what_can_be_called_can_be_a_tool_of_a_class():
    class Holder(BaseAdapter):
        added = tool(Adding(2))
        tripled = tool(functools.partial(multiplied, 3))

        @tool
        @functools.lru_cache
        def cached(self, x: int):
            return x + 2

    found = {item.name: item for item in tools.collect(Holder)}
    holder = Holder()
    for item in found.values():
        item.bind(getattr(holder, item.attribute))
    assert (found["added"].function(x=1), found["tripled"].function(b=1), found["cached"].function(x=1)) == (3, 3, 3)


@pytest.mark.parametrize("thing", [Adding, property(len), functools.partialmethod(multiplied), "abc".join, 5], ids=repr)
def test_what_cannot_be_a_tool_is_named(thing):
    with pytest.raises(LoadError, match="@tool"):
        tool(thing)


@pytest.mark.parametrize("decorate", [lambda f: f, functools.lru_cache])
def test_derived_method_is_the_tool_that_it_takes_the_place_of(decorate):
    class Base(BaseAdapter):
        @tool(name="named", description="base")
        def run(self, a):
            pass

        @tool
        def other(self):
            pass

    class Derived(Base):
        @decorate
        def run(self, a, b):
            pass

        other = None

    item = only(Derived)
    assert (item.name, item.description, sorted(item.parameters.allowed)) == ("named", "base", ["a", "b"])


def test_object_that_stands_for_one_that_is_not_there_is_no_tool():
    class Absent:
        def __getattr__(self, name):
            raise RuntimeError("not yet")

    module = types.ModuleType("a_module")
    module.absent, module.run = Absent(), tool(lambda: 1)
    assert only(module).name == "run"


SENSELESS = [
    {"timeout": "5s"}, {"run_timeout": -1}, {"idle_timeout": float("nan")}, {"queue_timeout": True}, {"batch": -1},
    {"batch": 1.5}, {"timeout": 10**12}, {"description": 5}, {"name": 5}
]  # fmt: skip


@pytest.mark.parametrize("told", SENSELESS, ids=str)
def test_what_a_tool_is_told_that_makes_no_sense_is_named(told):
    (name,) = told

    class Holder(BaseAdapter):
        @tool(**told)
        def run(self, calls):
            pass

    with pytest.raises(LoadError, match=f"'run': {name} must be "):
        tools.collect(Holder)


def test_snakepits_three_parameters_may_be_given_by_their_places():
    class Holder(BaseAdapter):
        @tool("Runs.", True, ["a"])
        def run(self):
            pass

    item = only(Holder)
    assert (item.description, item.streaming, item.mark.required_variables) == ("Runs.", True, ["a"])


def test_a_tool_errors_class_may_choose_its_answer():
    class Busy(ToolError):
        status = 429
        code = "busy"
        details = {"wait": 1}

    plain, own = Busy("m"), Busy("m", 503, "down", [])
    assert (plain.status, plain.code, plain.details) == (429, "busy", {"wait": 1})
    assert (own.status, own.code, own.details) == (503, "down", [])


@pytest.mark.parametrize("make", [tuple, iter, lambda items: map(abs, items), lambda items: (item for item in items)])
def test_results_of_a_batch_may_be_any_iterable(make):
    item = tools.Tool("run", tools.tool(batch=True)(lambda calls: None), False)
    assert item.results(make([1, 2]), 2) == [1, 2]


@pytest.mark.parametrize("outcome", ["ab", {"a": 1, "b": 2}, 5, itertools.count(), [1]], ids=str)
def test_results_of_a_batch_are_as_many_as_its_calls(outcome):
    item = tools.Tool("run", tools.tool(batch=True)(lambda calls: None), False)
    with pytest.raises(TypeError, match="a batch tool returned"):
        item.results(outcome, 2)
