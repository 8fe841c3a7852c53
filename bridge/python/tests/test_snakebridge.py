"""snakebridge.call and snakebridge.stream (snakepit 99 to 105)."""

import functools
import sys
import types

import pytest

from snakepit_bridge import CallContext, current, loading
from snakepit_bridge.allowed import ModuleNotAllowedError, Modules
from snakepit_bridge.errors import ToolError
from snakepit_bridge.references import InvalidRefError, RefNotFoundError, References, SessionMismatchError
from snakepit_bridge.snakebridge import ProtocolError, SnakeBridge


@pytest.fixture
def bridge():
    return SnakeBridge(["math", "collections", "fractions", "itertools", "os.path", "copy", "things"])


@pytest.fixture(autouse=True)
def things(monkeypatch):
    """A module of all that callers could want, and of what they must not get."""
    module = types.ModuleType("things")
    exec(
        "import os, subprocess\n"
        "from os import system\n"
        "from functools import reduce\n"
        "__all__ = ['reduce']\n"
        "class Point:\n"
        "    made = 0\n"
        "    def __init__(self, x, y=0): self.x, self.y, self.opener = x, y, open\n"
        "    def moved(self, by): return Point(self.x + by, self.y)\n"
        "    def itself(self): return [self, self]\n"
        "    def add(self, other): return self.x + other.x\n"
        "def count(n):\n"
        "    for i in range(n): yield (i,)\n"
        "def mixed(): return {'fine': 1, 'point': Point(1), 'module': os, 'opener': open}\n"
        "def fails(): raise KeyError('x')\n"
        "def frame():\n"
        "    import sys\n"
        "    return sys._getframe()\n"
        "def apply(f, x): return f(x)\n",
        module.__dict__,
    )
    for item in ("Point", "count", "mixed", "fails", "frame", "apply"):
        getattr(module, item).__module__ = "things"
    monkeypatch.setitem(sys.modules, "things", module)
    return module


@pytest.fixture
def session(pb):
    tokens = []

    def enter(session_id):
        invoke = pb.Invoke(call_id=1, session_id=session_id)
        tokens.append(current.running.set(CallContext(invoke, 0)))

    yield enter
    for token in reversed(tokens):
        current.running.reset(token)


def call(bridge, module="", function="", args=(), **members):
    params = {"python_module": module, "function": function, "args": list(args), **members}
    return bridge.call({name: value for name, value in params.items() if value})


def point(bridge, x=1, **members):
    return call(bridge, "things", call_type="class", **{"class": "Point"}, args=[x], **members)


def test_function_is_called(bridge):
    """snakepit 105"""
    assert call(bridge, "math", "sqrt", [16]) == 4.0


def test_keywords_are_passed(bridge):
    assert point(bridge, kwargs={"y": 5})["type_name"] == "Point"


def test_class_makes_a_reference(bridge):
    """snakepit 105"""
    made = point(bridge, library="lib", session_id="s")
    assert made.pop("id")
    assert made == {
        "__type__": "ref", "__schema__": 1, "session_id": "s", "python_module": "things", "library": "lib",
        "type_name": "Point", "__type_name__": "Point",
    }  # fmt: skip


@pytest.mark.parametrize("members", [{"method": "moved"}, {"function": "moved"}])
def test_method_is_called(bridge, members):
    """snakepit 105"""
    moved = bridge.call({"call_type": "method", "ref": point(bridge), "args": [4], **members})
    assert bridge.call({"call_type": "get_attr", "instance": moved, "attr": "x"}) == 5


def test_attribute_is_set(bridge):
    """snakepit 105"""
    made = point(bridge)
    assert bridge.call({"call_type": "set_attr", "instance": made, "attr": "x", "args": [7]}) is True
    assert bridge.call({"call_type": "get_attr", "instance": made, "attr": "x"}) == 7


def test_module_attribute_is_got(bridge):
    """snakepit 105"""
    assert bridge.call({"call_type": "module_attr", "python_module": "math", "attr": "pi"}) == pytest.approx(3.14159265)


def test_reference_is_an_argument(bridge):
    made = point(bridge, 3, session_id="s")
    other = point(bridge, 4, session_id="s")
    assert bridge.call({"call_type": "method", "session_id": "s", "ref": made, "method": "add", "args": [other]}) == 7


def test_reference_by_its_id_alone(bridge):
    made = point(bridge, session_id="s")
    assert bridge.call({"call_type": "get_attr", "session_id": "s", "ref": made["id"], "attr": "x"}) == 1


def test_tags_go_both_ways(bridge):
    """snakepit 104"""
    arguments = [{"__type__": "tuple", "elements": [1, 2]}]
    result = call(bridge, "collections", "Counter", arguments, call_type="class")
    assert result["type_name"] == "Counter"
    assert call(bridge, "math", "frexp", [8.0]) == {"__type__": "tuple", "__schema__": 1, "elements": [0.5, 4]}


def test_references_and_callbacks_are_found_inside_of_tagged_values(bridge):
    """snakepit 104"""
    made = point(bridge, session_id="s")
    pair = {"__type__": "tuple", "elements": [made, [made]]}
    first, (second,) = call(bridge, "copy", "copy", [pair], session_id="s")["elements"]
    assert first["id"] == second["id"] and first["type_name"] == "Point"


def test_same_object_is_the_same_reference(bridge):
    first, second = bridge.call({"call_type": "method", "ref": point(bridge), "method": "itself"})
    assert first["id"] == second["id"]


def test_what_cannot_travel_spoils_nothing(bridge):
    mixed = call(bridge, "things", "mixed")
    assert mixed["fine"] == 1 and mixed["point"]["__type__"] == "ref"
    assert mixed["module"]["__ffi_unserializable__"] and mixed["opener"]["__ffi_unserializable__"]


def test_stream_reference_is_read_item_by_item(bridge):
    """snakepit 103, 105"""
    stream = call(bridge, "things", "count", [2])
    assert (stream["__type__"], stream["stream_type"]) == ("stream_ref", "generator")
    step = {"call_type": "stream_next", "stream_ref": stream}
    assert [bridge.call(step)["elements"] for _ in range(2)] == [[0], [1]]
    assert bridge.call(step) == {"__type__": "stop_iteration"}


def test_stream_tool_yields_the_items(bridge):
    """snakepit 105"""
    items = bridge.stream({"python_module": "things", "function": "count", "args": [2]})
    assert [item["elements"] for item in items] == [[0], [1]]


def test_stream_of_a_single_value(bridge):
    assert list(bridge.stream({"python_module": "math", "function": "sqrt", "args": [4]})) == [2.0]


def test_exception_is_the_functions_own(bridge):
    with pytest.raises(KeyError):
        call(bridge, "things", "fails")


# Sessions and references.


def test_reference_is_invalid_in_another_session(bridge, session):
    """snakepit 99"""
    session("one")
    made = point(bridge)
    session("two")
    with pytest.raises(SessionMismatchError) as caught:
        bridge.call({"call_type": "get_attr", "ref": made, "attr": "x"})
    assert (caught.value.status, caught.value.code) == (409, "session_mismatch")


def test_forged_session_of_a_reference_is_of_no_use(bridge, session):
    """snakepit 99"""
    session("one")
    made = point(bridge)
    session("two")
    with pytest.raises(RefNotFoundError):
        bridge.call({"call_type": "get_attr", "ref": {**made, "session_id": "two"}, "attr": "x"})


def test_session_of_the_call_cannot_be_talked_over(bridge, session):
    session("one")
    with pytest.raises(SessionMismatchError):
        call(bridge, "math", "sqrt", [4], session_id="two")


def test_call_without_a_session_gets_one_of_its_own(bridge):
    """snakepit 106"""
    first, second = point(bridge), point(bridge)
    assert first["session_id"].startswith("auto-") and first["session_id"] != second["session_id"]
    assert bridge.call({"call_type": "get_attr", "ref": first, "attr": "x"}) == 1


def test_call_without_a_session_cannot_name_the_gateways(bridge, session):
    session("one")
    made = point(bridge)
    session("")
    get = {"call_type": "get_attr", "attr": "x"}
    for reference in ({"ref": made}, {"ref": made, "session_id": "one"}, {"ref": made["id"], "session_id": "one"}):
        with pytest.raises(RefNotFoundError):
            bridge.call({**get, **reference})
        assert bridge.release_ref(reference) is False
    assert bridge.release_session({"session_id": "one"}) == 0
    assert bridge.release_session({"session_id": "*one"}) == 0
    session("one")
    assert bridge.call({**get, "ref": made}) == 1


def test_session_of_the_gateways_cannot_reach_what_calls_without_one_have_named(bridge, session):
    made = point(bridge, session_id="one")
    session("one")
    with pytest.raises(RefNotFoundError):
        bridge.call({"call_type": "get_attr", "attr": "x", "ref": made})
    assert bridge.release_session({}) == 0


def test_released_reference_is_not_found(bridge):
    """snakepit 100"""
    made = point(bridge, session_id="s")
    release = {"ref": made, "session_id": "s"}
    assert (bridge.release_ref(release), bridge.release_ref(release)) == (True, False)
    with pytest.raises(RefNotFoundError) as caught:
        bridge.call({"call_type": "get_attr", "ref": made, "attr": "x"})
    assert (caught.value.status, caught.value.code) == (404, "ref_not_found")


def test_released_session_has_no_references(bridge):
    made = [point(bridge, session_id="s") for _ in range(3)]
    point(bridge, session_id="t")
    assert bridge.release_session({"session_id": "s"}) == 3
    with pytest.raises(RefNotFoundError):
        bridge.call({"call_type": "get_attr", "ref": made[0], "attr": "x"})


@pytest.mark.parametrize(
    "reference, reason",
    [
        ({"__type__": "ref"}, "missing_id"),
        ({"id": "a"}, "not_a_reference"),
        (5, "not_a_reference"),
        (None, "not_a_reference"),
    ],
)
def test_what_is_no_reference_is_refused_with_a_reason(bridge, reference, reason):
    with pytest.raises(InvalidRefError) as caught:
        bridge.call({"call_type": "get_attr", "ref": reference, "attr": "x"})
    assert caught.value.details == {"reason": reason}


def test_least_recently_used_references_are_evicted():
    """snakepit 101"""
    kept = References(most=2)
    ids = [kept.keep("s", number) for number in range(2)]
    kept.get("s", ids[0])
    kept.keep("s", 2)
    assert kept.get("s", ids[0]) == 0
    with pytest.raises(RefNotFoundError):
        kept.get("s", ids[1])


def test_unused_references_expire():
    """snakepit 101"""
    time = [0.0]
    kept = References(ttl=10, now=lambda: time[0])
    ref_id = kept.keep("s", "x")
    time[0] = 9
    assert kept.get("s", ref_id) == "x"
    time[0] = 18
    assert kept.get("s", ref_id) == "x"
    time[0] = 29
    with pytest.raises(RefNotFoundError):
        kept.get("s", ref_id)


@pytest.mark.parametrize("environment, most, ttl", [({}, 10_000, 0), ({"SNAKEBRIDGE_REF_MAX": "2"}, 2, 0)])
def test_limits_come_from_the_environment(environment, most, ttl):
    """snakepit 101"""
    kept = References.from_environment(environment)
    assert (kept._most, kept._ttl) == (most, ttl)


# The protocol.


@pytest.mark.parametrize("members", [{}, {"protocol_version": 1, "min_supported_version": 1}, {"protocol_version": 3}])
def test_versions_that_overlap_are_served(bridge, members):
    assert call(bridge, "math", "sqrt", [4], **members) == 2.0


@pytest.mark.parametrize(
    "members",
    [{"protocol_version": 2, "min_supported_version": 2}, {"min_supported_version": 1}, {"protocol_version": "1"}],
)
def test_other_versions_are_refused(bridge, members):
    """snakepit 102"""
    with pytest.raises(ProtocolError, match="protocol version mismatch") as caught:
        call(bridge, "math", "sqrt", [4], **members)
    assert caught.value.details["adapter_protocol_version"] == 1


def test_versions_can_be_required(bridge, monkeypatch):
    """snakepit 102"""
    monkeypatch.setenv("SNAKEBRIDGE_ALLOW_LEGACY_PROTOCOL", "false")
    with pytest.raises(ProtocolError):
        call(bridge, "math", "sqrt", [4])


@pytest.mark.parametrize("members", [{"call_type": "eval"}, {"args": "ab"}, {"kwargs": [1]}, {"function": None}])
def test_call_that_makes_no_sense_is_refused(bridge, members):
    with pytest.raises(ToolError) as caught:
        bridge.call({"python_module": "math", "function": "sqrt", **members})
    assert caught.value.status == 422


def test_callback_is_called_through_the_gateway(bridge, monkeypatch):
    asked = []

    class Call:
        session_id = correlation_id = request_id = traceparent = ""
        call_id = 1

        def call_tool(self, name, arguments):
            asked.append((name, arguments))
            return {"__type__": "tuple", "elements": [1]}

    monkeypatch.setattr(current, "_source", Call)
    callback = {"__type__": "callback", "ref_id": "cb", "arity": 1}
    assert call(bridge, "things", "apply", [callback, 5]) == {"__type__": "tuple", "__schema__": 1, "elements": [1]}
    assert asked == [("snakebridge.callback", {"callback_id": "cb", "args": [5]})]


# What callers may reach.


def refused(bridge, **params):
    with pytest.raises(ModuleNotAllowedError) as caught:
        bridge.call(params)
    assert (caught.value.status, caught.value.code) == (403, "module_not_allowed")


def test_nothing_is_allowed_by_default():
    refused(SnakeBridge(), python_module="math", function="sqrt", args=[4])


@pytest.mark.parametrize("module", ["os", "builtins", "mathematics", "things_else", "..math", " math", 5])
def test_other_modules_are_refused_and_not_imported(bridge, module):
    refused(bridge, python_module=module, function="anything")
    assert "mathematics" not in sys.modules


@pytest.mark.parametrize(
    "name",
    ["os", "os.system", "subprocess.run", "system", "__builtins__", "__class__", "Point.__init__", "_private",
     "Point.__init__.__globals__", "count.__globals__", "os.path.join", "fails.func_globals\u200b"],
)  # fmt: skip
def test_attributes_lead_nowhere_else(bridge, name):
    with pytest.raises((ModuleNotAllowedError, AttributeError)):
        call(bridge, "things", name, call_type="module_attr")


def test_builtin_found_in_an_object_is_refused(bridge):
    refused(bridge, call_type="get_attr", ref=point(bridge), attr="opener")


@pytest.mark.parametrize("name", ["gi_frame", "gi_code", "gi_frame.f_globals"])
def test_frames_are_refused(bridge, name):
    refused(bridge, call_type="get_attr", ref=call(bridge, "things", "count", [3]), attr=name)


def test_frame_in_a_result_is_a_marker(bridge):
    assert call(bridge, "things", "frame")["__ffi_unserializable__"] is True


def test_what_a_module_exports_on_purpose_may_be_called(bridge, things):
    assert Modules(["things"]).attribute(things, "reduce") is functools.reduce


def test_missing_module_below_an_allowed_one_is_an_import_error(bridge):
    with pytest.raises(ModuleNotFoundError):
        call(bridge, "math.os", "system", ["true"])


def test_methods_of_built_in_kinds_work(bridge):
    made = call(bridge, "collections", "deque", [[1, 2]], call_type="class")
    bridge.call({"call_type": "method", "ref": made, "method": "append", "args": [3]})
    assert bridge.call({"call_type": "method", "ref": made, "method": "count", "args": [3]}) == 1


def test_inherited_methods_work(bridge):
    made = call(bridge, "collections", "Counter", ["aab"], call_type="class")
    assert bridge.call({"call_type": "method", "ref": made, "method": "most_common", "args": [1]}) == [
        {"__type__": "tuple", "__schema__": 1, "elements": ["a", 2]}
    ]
    assert bridge.call({"call_type": "method", "ref": made, "method": "get", "args": ["b"]}) == 1


def test_module_known_by_another_name_is_allowed(bridge):
    assert call(bridge, "os.path", "join", ["a", "b"]) == "a/b"


def test_class_cannot_be_changed(bridge):
    made = call(bridge, "things", "Point", call_type="module_attr")
    refused(bridge, call_type="set_attr", ref=made, attr="made", args=[1])


def test_submodules_are_allowed_with_their_package():
    modules = Modules(["collections"])
    assert modules.load("collections.abc").__name__ == "collections.abc"
    with pytest.raises(ModuleNotAllowedError):
        modules.load("collections_extra")


def test_numpy_works():
    numpy = pytest.importorskip("numpy")
    bridge = SnakeBridge(["numpy"])
    made = call(bridge, "numpy", "arange", [6])
    reshaped = bridge.call({"call_type": "method", "ref": made, "method": "reshape", "args": [2, 3]})
    assert bridge.call({"call_type": "get_attr", "ref": reshaped, "attr": "shape"})["elements"] == [2, 3]
    listed = bridge.call({"call_type": "method", "ref": reshaped, "method": "tolist"})
    assert listed == numpy.arange(6).reshape(2, 3).tolist()
    assert call(bridge, "numpy", "add", [1, 2]) == 3
    assert bridge.call({"call_type": "method", "ref": reshaped, "method": "mean"}) == 2.5
    refused(bridge, python_module="numpy", function="ctypeslib.os.system", args=["true"])


# In a worker.


def started(allow):
    adapter = loading.Adapter("snakepit_bridge.demo.Demo", allow)
    adapter.start(Loop())
    return adapter, {item.name: item for item in adapter.tools if item.name.startswith("snakebridge.")}


def names(allow, monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return list(started(allow)[1])


class Loop:
    def call(self, hook):
        return hook()


TOOLS = [f"snakebridge.{name}" for name in ("call", "stream", "release_ref", "release_session", "helpers")]


def test_tools_are_there_only_if_modules_are_allowed(monkeypatch):
    assert names((), monkeypatch) == []
    assert sorted(names(["math"], monkeypatch)) == sorted(TOOLS)


def test_environment_allows_modules(monkeypatch):
    assert sorted(names((), monkeypatch, SNAKEPIT_SNAKEBRIDGE_ALLOW="math, json")) == sorted(TOOLS)


def test_dict_that_is_more_than_its_items_is_a_reference(bridge):
    assert call(bridge, "collections", "Counter", ["ab"], call_type="class")["__type__"] == "ref"


def test_end_of_a_session_lets_go_of_its_references(session):
    """snakepit 56"""
    adapter, found = started(["collections"])
    session("s")
    run = found["snakebridge.call"].function
    made = run(params={"python_module": "collections", "call_type": "class", "class": "Counter"})
    adapter.end_session("s")
    with pytest.raises(RefNotFoundError):
        run(params={"call_type": "get_attr", "ref": made, "attr": "most_common"})


def test_worker_serves_them_in_the_calls_session(zygotes, gateway):
    zygote = zygotes(SNAKEPIT_SNAKEBRIDGE_ALLOW="collections")
    zygote.load("snakepit_bridge.demo.Demo")
    worker = gateway.fork(zygote)
    make = {"python_module": "collections", "call_type": "class", "class": "Counter", "args": ["aab"]}
    made = worker.stream.value("snakebridge.call", make, session_id="one")
    assert made["session_id"] == "one"
    step = {"call_type": "method", "ref": made, "method": "most_common", "args": [1]}
    assert worker.stream.value("snakebridge.call", step, session_id="one")[0]["elements"] == ["a", 2]
    answer = worker.stream.call("snakebridge.call", step, session_id="two")
    assert (answer.type, answer.status, answer.code) == ("SessionMismatchError", 409, "session_mismatch")
    worker.kill()


def test_load_order_allows_modules(zygotes, gateway):
    zygote = zygotes()
    order = {"op": "load", "adapter": "snakepit_bridge.demo.Demo", "pool": "default", "snakebridge_allow": ["math"]}
    zygote.order(order)
    assert zygote.event()["event"] == "loaded"
    worker = gateway.fork(zygote)
    call = {"python_module": "math", "function": "sqrt", "args": [4]}
    assert worker.stream.value("snakebridge.call", call) == 2.0
    worker.kill()


# Helpers.


@pytest.fixture
def helped(things):
    def scale(x, by=2):
        """Make it larger."""
        return x * by

    things.__snakebridge_helpers__ = {"scale": scale, "not_one": 5, "system": things.system}
    return things


def test_helper_is_called_by_its_name(bridge, helped):
    assert bridge.call({"call_type": "helper", "helper": "scale", "args": [4], "kwargs": {"by": 3}}) == 12
    assert bridge.call({"call_type": "helper", "function": "scale", "args": [4]}) == 8


@pytest.mark.parametrize("name", ["not_one", "none", "", 5, "os.system", "__class__"])
def test_helper_that_is_none_is_not_found(bridge, helped, name):
    with pytest.raises(ToolError) as caught:
        bridge.call({"call_type": "helper", "helper": name})
    assert type(caught.value).__name__ == "HelperNotFoundError"
    assert (caught.value.status, caught.value.code) == (404, "helper_not_found")


def test_helpers_are_listed_with_their_parameters(bridge, helped):
    listed = bridge.helpers({})
    assert [each["name"] for each in listed] == ["scale", "system"]
    assert listed[0] == {
        "name": "scale",
        "parameters": [
            {"name": "x", "kind": "POSITIONAL_OR_KEYWORD"},
            {"name": "by", "kind": "POSITIONAL_OR_KEYWORD", "default": 2},
        ],
        "docstring": "Make it larger.",
    }


def test_modules_that_are_not_allowed_offer_no_helpers(helped):
    bridge = SnakeBridge(["math", "no_such_module"])
    assert bridge.helpers({}) == []
    with pytest.raises(ToolError):
        bridge.call({"call_type": "helper", "helper": "scale"})


def test_scalars_of_numpy_are_values_and_no_references():
    numpy = pytest.importorskip("numpy")
    found = SnakeBridge(["numpy"])._encode([numpy.float32(0.5), numpy.int64(3), numpy.bool_(True)], "s", {})
    assert found == [0.5, 3, True]


def test_call_type_that_is_no_text_is_refused():
    with pytest.raises(ToolError) as refused:
        SnakeBridge(["math"])._perform({"call_type": ["function"]}, "s")
    assert refused.value.status == 422
