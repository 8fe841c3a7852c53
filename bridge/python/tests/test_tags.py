"""Tagged values both ways (snakepit 104)."""

import collections
import dataclasses
import datetime
import decimal
import json
import math
import pathlib
import uuid

import pytest

from snakepit_bridge import Binary, parameters, tags, tools
from snakepit_bridge.chunk import StreamChunk
from snakepit_bridge.errors import Refused
from snakepit_bridge.tags import Atom, decode, encode


def refuse(value):
    raise AssertionError(f"{value!r} has no tag")


ROUND_TRIPS = [
    None,
    True,
    7,
    2**70,
    1.5,
    math.inf,
    -math.inf,
    "text",
    b"\x00\xff",
    (1, (2, "a")),
    {1, 2},
    frozenset({"a"}),
    1 + 2j,
    datetime.datetime(2024, 5, 6, 7, 8, 9, 10, datetime.timezone.utc),
    datetime.date(2024, 5, 6),
    datetime.time(7, 8),
    {"a": [1, {"b": (2,)}]},
    {1: "a", None: "b", (1, 2): "c"},
    {"__type__": "tuple", "elements": []},
    [math.inf, [b"x"]],
]


@pytest.mark.parametrize("value", ROUND_TRIPS, ids=repr)
def test_value_comes_back_as_it_was(value):
    """snakepit 104, 75"""
    back = decode(encode(value, refuse))
    assert back == value and type(back) is type(value)


def test_nan_comes_back_at_any_depth():
    """snakepit 75, 104"""
    assert math.isnan(decode(encode({"a": [(math.nan,)]}, refuse))["a"][0][0])


def test_booleans_stay_booleans():
    """snakepit 75"""
    assert encode([True, False], refuse) == [True, False]


SHAPES = [
    (b"ab", {"__type__": "bytes", "__schema__": 1, "data": "YWI="}),
    ((1,), {"__type__": "tuple", "__schema__": 1, "elements": [1]}),
    (math.nan, {"__type__": "special_float", "__schema__": 1, "value": "nan"}),
    (math.inf, {"__type__": "special_float", "__schema__": 1, "value": "infinity"}),
    (-math.inf, {"__type__": "special_float", "__schema__": 1, "value": "neg_infinity"}),
    (1 + 2j, {"__type__": "complex", "__schema__": 1, "real": 1.0, "imag": 2.0}),
    ({1: 2}, {"__type__": "dict", "__schema__": 1, "pairs": [[1, 2]]}),
    (Atom("ok"), {"__type__": "atom", "__schema__": 1, "value": "ok"}),
    (datetime.date(2024, 5, 6), {"__type__": "date", "__schema__": 1, "value": "2024-05-06"}),
]


@pytest.mark.parametrize("value, tagged", SHAPES, ids=lambda value: str(value)[:30])
def test_tags_have_snakebridges_form(value, tagged):
    assert encode(value, refuse) == tagged


UTC = datetime.timezone.utc
OTHERS = [
    ({"__type__": "binary", "data": "YWI="}, b"ab"),
    ({"__type__": "set", "value": [1]}, {1}),
    ({"__type__": "infinity"}, math.inf),
    ({"__type__": "atom", "value": "ok"}, "ok"),
    ({"__type__": "datetime", "value": "2024-05-06T07:00:00Z"}, datetime.datetime(2024, 5, 6, 7, tzinfo=UTC)),
]


@pytest.mark.parametrize("tagged, value", OTHERS, ids=str)
def test_other_spellings_are_understood(tagged, value):
    assert decode(tagged) == value


def test_atom_is_an_atom_on_request(monkeypatch):
    monkeypatch.setenv("SNAKEBRIDGE_ATOM_CLASS", "true")
    assert decode({"__type__": "atom", "value": "ok"}) == Atom("ok")


MALFORMED = [
    {"__type__": "bytes"},
    {"__type__": "bytes", "data": "not base64!"},
    {"__type__": "bytes", "data": 5},
    {"__type__": "tuple", "elements": "ab"},
    {"__type__": "set", "elements": [[1]]},
    {"__type__": "complex", "real": "a", "imag": 0},
    {"__type__": "datetime", "value": "yesterday"},
    {"__type__": "datetime", "value": None},
    {"__type__": "special_float", "value": "huge"},
    {"__type__": "special_float", "value": ["nan"]},
    {"__type__": "dict", "pairs": [[1]]},
    {"__type__": "atom", "value": {}},
    {"__type__": ["tuple"], "elements": []},
    {"__type__": "unknown", "x": 1},
    {"__type__": "ref", "id": "a"},
]


@pytest.mark.parametrize("value", MALFORMED, ids=str)
def test_what_is_no_tag_stays_as_it_is(value):
    assert decode(value) == value


def test_value_that_holds_itself_ends_in_what_the_caller_chose():
    circle = [1]
    circle.append(circle)
    assert encode(circle, lambda value: "again") == [1, "again"]


def test_arguments_of_any_tool_may_be_tagged():
    """snakepit 59, 104"""

    def run(a, b: bytes):
        pass

    bound = parameters.Parameters("run", run, False).bind(
        b'{"a":{"__type__":"tuple","elements":[1]},"b":{"__type__":"binary","data":"AP8="}}', ""
    )
    assert bound == {"a": (1,), "b": b"\x00\xff"}


def test_arguments_of_a_raw_tool_keep_their_tags():
    @tools.tool(raw=True)
    def run(a):
        pass

    tagged = {"__type__": "tuple", "elements": [1]}
    assert tools.Tool("run", run, False).parameters.bind(json.dumps({"a": tagged}).encode(), "") == {"a": tagged}


def test_results_of_a_tagged_tool_keep_their_types():
    @tools.tool(tagged=True)
    def run():
        return {"a": (1, math.inf)}

    item = tools.Tool("run", run, False)
    item.bind(run)
    assert decode(item.function()) == {"a": (1, math.inf)}


Pair = collections.namedtuple("Pair", "a b")
Point = dataclasses.make_dataclass("Point", ["x"])
CONVERTED = [
    (Pair(1, (2,)), (1, (2,))),
    (Point((1, b"a")), {"x": (1, b"a")}),
    (decimal.Decimal("1.5"), "1.5"),
    (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (pathlib.PurePosixPath("/a"), "/a"),
    (collections.OrderedDict(a=(1,)), {"a": (1,)}),
    (collections.deque([(1,)]), [(1,)]),
    (Binary(b"ab"), b"ab"),
    (memoryview(b"abcd")[::2], b"ac"),
]


@pytest.mark.parametrize("value, expected", CONVERTED, ids=lambda value: str(value)[:30])
def test_what_has_no_tag_is_converted_and_what_it_holds_keeps_its_type(value, expected):
    @tools.tool(tagged=True)
    def run():
        return {"a": [value]}

    item = tools.Tool("run", run, False)
    item.bind(run)
    assert decode(item.function()) == {"a": [expected]}


def test_values_of_numpy_are_converted_before_they_are_tagged():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.array([1.0, math.inf]), "b": numpy.float32(0.5), "c": numpy.array([1j]), numpy.int64(3): 1}
    item = tools.Tool("run", tools.tool(tagged=True)(lambda: value), False)
    item.bind(lambda: value)
    assert decode(item.function()) == {"a": [1.0, math.inf], "b": 0.5, "c": [1j], 3: 1}


def test_what_cannot_be_tagged_is_a_marker_and_the_rest_survives():
    class Endless:
        def to_dict(self):
            return Endless()

    numpy = pytest.importorskip("numpy")
    released = memoryview(b"ab")
    released.release()
    for bad in (object(), Endless(), released, memoryview(numpy.array([object()]))):
        item = tools.Tool("run", tools.tool(tagged=True)(lambda: None), False)
        found = item.finish({"good": (1,), "bad": bad})
        assert decode(found["good"]) == (1,) and found["bad"]["__ffi_unserializable__"] is True


def test_items_of_a_tagged_stream_keep_their_types():
    @tools.tool(tagged=True)
    def run():
        yield (1,)

    item = tools.Tool("run", run, False)
    item.bind(run)
    assert [decode(value) for value in item.function()] == [(1,)]


def test_chunks_of_a_tagged_stream_are_tagged_by_their_data():
    item = tools.Tool("run", tools.tool(tagged=True, supports_streaming=True)(lambda: None), False)
    item.bind(lambda: iter([StreamChunk((1,))]))
    assert [decode(value) for value in item.function()] == [(1,)]


def test_depth_of_what_is_encoded_is_limited():
    deep = []
    for _ in range(tags.MAX_DEPTH + 10):
        deep = [deep]
    assert "cut" in str(encode(deep, lambda value: "cut"))


@pytest.mark.parametrize(
    "value",
    [
        {"__type__": "bytes", "data": "not base64!"},
        {"__type__": "datetime", "value": "2024-02-30"},
        {"__type__": "set", "elements": [[1]]},
        {"__type__": "dict", "pairs": ["ab"]},
        {"__type__": "dict", "pairs": {"ab": 1}},
    ],
    ids=str,
)
def test_an_argument_with_a_malformed_tag_is_refused(value):
    """It is nothing that the tool was asked for, whatever type its parameter has."""

    def run(a):
        pass

    with pytest.raises(Refused) as caught:
        parameters.Parameters("run", run, False).bind(json.dumps({"a": [value]}).encode(), "")
    assert caught.value.status == 422
    assert [error["pointer"] for error in caught.value.errors] == ["/a"]
