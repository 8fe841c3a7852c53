"""Results as bytes (snakepit 75, 77, 78, 80, 82)."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import os
import pathlib
import subprocess
import sys
import types
import uuid

import pytest

from snakepit_bridge import Binary, conversion, values


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


class Opaque:
    def __repr__(self):
        return "password=secret"


class Model:
    def model_dump(self):
        return {"dumped": True}

    def to_dict(self):
        return {"dumped": False}


class Frame:
    def to_dict(self):
        return {1: {"a": 2}}


class Array:
    def __init__(self, size):
        self.size = size

    def tolist(self):
        assert self.size <= conversion.MAX_LISTED, "it was not asked for its size"
        return [1, 2]


class Broken:
    def to_dict(self):
        raise OSError("disk full")


class Tuple:
    def _asdict(self):
        return {"named": True}


class FallsThrough:
    def model_dump(self):
        raise TypeError("wants arguments")

    def to_dict(self):
        return self

    def tolist(self):
        raise MemoryError

    def isoformat(self):
        return "2024"


Pair = collections.namedtuple("Pair", "a b")


class Colour(enum.Enum):
    RED = "red"


MARKER = {"__ffi_unserializable__": True, "__type__": "test_values.Opaque"}
CASES = [
    ({"a": [1, 2.5, None, True, "ü"]}, {"a": [1, 2.5, None, True, "ü"]}),
    ([math.nan, math.inf, -math.inf, 1.0], ["NaN", "Infinity", "-Infinity", 1.0]),
    ((1, 2), [1, 2]),
    ({1}, [1]),
    (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
    (Model(), {"dumped": True}),
    (Frame(), {"1": {"a": 2}}),
    (Array(5), [1, 2]),
    (datetime.date(2024, 5, 6), "2024-05-06"),
    (datetime.datetime(2024, 5, 6, 7), "2024-05-06T07:00:00"),
    (Colour.RED, "red"),
    (decimal.Decimal("1.50"), "1.50"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ([b"\x00"], [{"__type__": "bytes", "__schema__": 1, "data": "AA=="}]),
    ({"good": 1, "bad": Opaque()}, {"good": 1, "bad": MARKER}),
    ({(1, 2): 1, None: 2, True: 3, math.inf: 4}, {"(1, 2)": 1, "null": 2, "true": 3, "Infinity": 4}),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.deque([1]), [1]),
    ({"a": 1}.items(), [["a", 1]]),
    (collections.OrderedDict(a=1).values(), [1]),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (collections.UserDict(a=1), {"a": 1}),
    (collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    (collections.UserList([1]), [1]),
    (collections.UserString("ab"), "ab"),
    (datetime.time(7, 8), "07:08:00"),
    (datetime.timedelta(minutes=1), 60.0),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (Pair(1, 2), [1, 2]),
    (Tuple(), {"named": True}),
    (Binary(b"ab"), {"__type__": "bytes", "__schema__": 1, "data": "YWI="}),
    ([1, b"a", {2}], [1, {"__type__": "bytes", "__schema__": 1, "data": "YQ=="}, [2]]),
    ({datetime.date(2024, 5, 6): 1, Colour.RED: 2}, {"2024-05-06": 1, "red": 2}),
    ([math.nan, 1, "a"], ["NaN", 1, "a"]),
    ([True, {"a": False}], [True, {"a": False}]),
    (2**70, 2**70),
    (FallsThrough(), "2024"),
]


@pytest.mark.parametrize("value, expected", CASES, ids=lambda value: str(value)[:40])
def test_value_becomes_json(value, expected):
    assert json.loads(values.encode(value)) == expected


def test_json_is_compact_and_not_escaped():
    assert values.encode({"ü": [1, 2]}) == '{"ü":[1,2]}'.encode()


def test_failing_conversion_becomes_a_marker():
    assert json.loads(values.encode([1, Broken()]))[1]["__type__"] == "test_values.Broken"


def test_too_large_array_becomes_a_marker_unlisted():
    assert json.loads(values.encode(Array(conversion.MAX_LISTED + 1)))["__ffi_unserializable__"] is True


def test_circular_value_becomes_a_marker():
    circle = [1]
    circle.append(circle)
    assert json.loads(values.encode(circle))[1]["__ffi_unserializable__"] is True


def test_very_deep_value_does_not_end_the_process():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert values.encode(deep).startswith(b"[[")


class Unlistable(dict):
    def items(self):
        raise RuntimeError("no items")


class Endless(list):
    def __iter__(self):
        while True:
            yield 1


class Unfloatable(float):
    def __float__(self):
        raise RuntimeError("no float")


class Nameless(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")

    __mro__ = __name__

    def __getattr__(cls, name):
        raise RuntimeError("no " + name)


class Unnamed(metaclass=Nameless):
    @property
    def __class__(self):
        raise RuntimeError("no class")


@pytest.mark.parametrize(
    "spoilt, name",
    [
        ("\ud800", "builtins.str"),
        (10**5000, "builtins.int"),
        (Unlistable(a=1), "test_values.Unlistable"),
        (Unfloatable("nan"), "test_values.Unfloatable"),
        (Unnamed(), "test_values.Unnamed"),
    ],
    ids=["lone surrogate", "too many digits", "items() raises", "float() raises", "metaclass raises"],
)
def test_what_cannot_be_written_becomes_a_marker_and_the_rest_survives(spoilt, name):
    value = json.loads(values.encode({"a": 1, "b": [spoilt, "ü", 2**70], "c": {"d": spoilt}}))
    marker = {"__ffi_unserializable__": True, "__type__": name}
    assert value == {"a": 1, "b": [marker, "ü", 2**70], "c": {"d": marker}}


def test_list_with_an_iterator_of_its_own_is_its_elements():
    assert json.loads(values.encode([math.nan, Endless([1, 2])])) == ["NaN", [1, 2]]


@pytest.mark.parametrize("key", ["\udfff", ("\ud800", 1), "ü\ud800"])
def test_lone_surrogate_in_a_key_is_its_escape(key):
    value = json.loads(values.encode({key: 1, "b": 2}))
    assert value.pop("b") == 2
    assert list(value) == [str(key).encode("utf-8", "backslashreplace").decode()]


def test_key_that_fails_is_its_type_and_place():
    for key, shown in [(10**5000, "<builtins.int #1>"), (Unnamed(), "<test_values.Unnamed #1>")]:
        assert json.loads(values.encode({"b": 2, key: 1})) == {"b": 2, shown: 1}


class Number(enum.IntEnum):
    ONE = 1


class Level(enum.Enum):
    LOW = 1
    PAIR = (1, 2)


KEYS = [
    (Number.ONE, "1"),
    (Level.LOW, "1"),
    (Level.PAIR, "(1, 2)"),
    (datetime.timedelta(minutes=1), "60.0"),
    (Pair(1, Level.LOW), "(1, 1)"),
    (frozenset([1]), "frozenset({1})"),
    ((b"a", (1.5, None, Number.ONE)), "(b'a', (1.5, None, 1))"),
    (dataclasses.make_dataclass("Place", ["x"], frozen=True)(1), '{"x":1}'),
    (decimal.Decimal("1.5"), "1.5"),
    (1 + 2j, "(1+2j)"),
    (range, "<builtins.type #0>"),
    (print, "<builtins.builtin_function_or_method #0>"),
    ((1, object()), "<builtins.tuple #0>"),
]


@pytest.mark.parametrize("key, shown", KEYS, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("value", [1, math.nan], ids=["as it is", "to be rebuilt"])
def test_key_is_what_it_converts_to_whatever_else_the_dict_holds(key, shown, value):
    assert list(json.loads(values.encode({key: value}))) == [shown]


def test_keys_of_numpy_are_their_values():
    numpy = pytest.importorskip("numpy")
    counts = dict(zip(*numpy.unique(numpy.array([1, 1, 2]), return_counts=True)))
    assert json.loads(values.encode(counts)) == {"1": 2, "2": 1}
    others = {numpy.float32(0.5): 1, numpy.bool_(True): 2, (numpy.int64(3), numpy.str_("a")): 3}
    assert json.loads(values.encode(others)) == {"0.5": 1, "true": 2, "(3, 'a')": 3}


def test_keys_without_a_text_of_their_own_stay_apart():
    assert sorted(json.loads(values.encode({Opaque(): 1, Opaque(): 2})).values()) == [1, 2]


@pytest.mark.parametrize("value", [1, math.nan], ids=["as it is", "to be rebuilt"])
def test_of_two_keys_of_one_text_the_later_one_stays(value):
    assert json.loads(values.encode({"x": value, 1: "a", "1": "b"}))["1"] == "b"


def test_arguments_for_a_tool_keep_nan_and_infinities():
    nan = {"__type__": "special_float", "__schema__": 1, "value": "nan"}
    body, content_type = values.encode_arguments({"a": math.nan, "b": [1, (2, math.inf)], "c": {1}, 4: [math.nan]})
    found = json.loads(body)
    assert (found["a"], found["c"], found["4"], content_type) == (nan, [1], [nan], "")
    assert found["b"] == [1, [2, {**nan, "value": "infinity"}]]


def test_arguments_for_a_tool_are_otherwise_as_in_results():
    for value, expected in CASES:
        if not any(text in str(expected) for text in ("NaN", "unserializable")):
            assert json.loads(values.encode_arguments([value])[0]) == [expected]


@pytest.mark.parametrize("bad", [Opaque(), 10**5000, "\ud800", lambda: 1], ids=["object", "int", "surrogate", "lambda"])
def test_what_cannot_be_sent_to_a_tool_is_an_error(bad):
    circle = [bad]
    circle.append(circle)
    for value in ({"a": [bad]}, {"a": math.nan, "b": {"c": bad}}, circle):
        with pytest.raises(TypeError, match=type(bad).__name__):
            values.encode_arguments(value)


@pytest.mark.parametrize("value", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_are_sent_as_they_are(value):
    assert values.encode_result(value) == (b"ab", "application/octet-stream")


def test_binary_chooses_the_content_type():
    assert values.encode_result(Binary(b"ab", "image/png")) == (b"ab", "image/png")


@pytest.mark.parametrize("binary", [Binary(5), Binary("text"), Binary(b"", "a\r\nb"), Binary(b"", None)])
def test_binary_of_the_wrong_kind_is_an_error(binary):
    with pytest.raises((TypeError, ValueError)):
        values.encode_result(binary)


def test_addresses_of_objects_are_no_bytes_to_send():
    numpy = pytest.importorskip("numpy")
    for fields in ("O", [("a", "i4"), ("b", "O")]):
        array = numpy.zeros(2, dtype=fields)
        for value in (Binary(array), memoryview(array)):
            with pytest.raises(TypeError, match="addresses"):
                values.encode_result(value)
            assert json.loads(values.encode([1, value]))[1]["__ffi_unserializable__"] is True
    named = numpy.zeros(1, dtype=[("O", "u1")])
    assert values.encode_result(Binary(named))[0] == b"\0"


def test_numpy_values_are_converted():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.arange(3), "b": numpy.float64("nan"), "c": numpy.int64(7), "d": numpy.bool_(True)}
    assert json.loads(values.encode(value)) == {"a": [0, 1, 2], "b": "NaN", "c": 7, "d": True}


def test_failing_conversion_falls_through_to_the_next():
    """snakepit 77"""
    assert values.encode(FallsThrough()) == b'"2024"'


def test_array_at_the_limit_is_converted():
    """snakepit 80"""
    assert json.loads(values.encode(Array(conversion.MAX_LISTED))) == [1, 2]


class Unsized:
    def __init__(self, listed):
        self.listed = listed

    def tolist(self):
        return self.listed


def test_list_that_turns_out_too_large_becomes_a_marker(monkeypatch):
    """snakepit 80"""
    monkeypatch.setattr(conversion, "MAX_LISTED", 3)
    assert json.loads(values.encode(Unsized([[1, 2], [3]]))) == [[1, 2], [3]]
    assert json.loads(values.encode(Unsized([[1, 2], [3, 4]])))["__ffi_unserializable__"] is True


@pytest.mark.parametrize(
    "kind", [range, lambda n: array.array("i", [0] * n), lambda n: dict.fromkeys(range(n)).values()]
)
def test_any_collection_that_is_too_large_becomes_a_marker(monkeypatch, kind):
    """snakepit 80"""
    monkeypatch.setattr(conversion, "MAX_LISTED", 3)
    assert len(json.loads(values.encode(kind(3)))) == 3
    assert json.loads(values.encode(kind(4)))["__ffi_unserializable__"] is True


def test_sparse_matrix_is_measured_by_its_shape():
    """snakepit 80"""

    class Sparse(Array):
        shape = (10_000, 10_000)

    assert json.loads(values.encode(Sparse(5)))["__ffi_unserializable__"] is True


def test_large_table_is_not_converted():
    """snakepit 80"""

    class Table(Model):
        shape = (conversion.MAX_LISTED, 2)
        model_dump = None

    assert json.loads(values.encode(Table()))["__ffi_unserializable__"] is True


@pytest.mark.parametrize("text, limit", [("10", 10), ("many", 1_000_000), ("-1", 0), ("", 1_000_000)])
def test_limit_of_lists_comes_from_the_environment(package_root, text, limit):
    """snakepit 80"""
    code = "from snakepit_bridge import conversion; print(conversion.MAX_LISTED)"
    environment = {**os.environ, "PYTHONPATH": package_root, "SNAKEPIT_TOLIST_MAX_ELEMENTS": text}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(run.stdout) == limit


def test_object_that_converts_to_itself_for_ever_becomes_a_marker():
    class Endless:
        def to_dict(self):
            return {"again": Endless()}

    assert b"__ffi_unserializable__" in values.encode(Endless())


def test_key_of_an_unknown_class_does_not_show_its_repr():
    (key,) = json.loads(values.encode({Opaque(): 1}))
    assert "secret" not in key and "Opaque" in key


def test_pydantic_models_are_converted():
    """snakepit 77"""
    pydantic = pytest.importorskip("pydantic")

    class Item(pydantic.BaseModel):
        name: str
        when: datetime.date

    value = {"items": [Item(name="a", when=datetime.date(2024, 5, 6))]}
    assert json.loads(values.encode(value)) == {"items": [{"name": "a", "when": "2024-05-06"}]}


def test_array_with_nan_is_converted():
    """snakepit 75"""
    numpy = pytest.importorskip("numpy")
    value = numpy.array([[1.0, math.nan], [math.inf, 2.0]])
    assert json.loads(values.encode(value)) == [[1.0, "NaN"], ["Infinity", 2.0]]


class FakeOrjson:
    """orjson's contract, as far as it matters here: NaN becomes null, and only plain values are taken."""

    OPT_PASSTHROUGH_DATACLASS = OPT_PASSTHROUGH_DATETIME = OPT_PASSTHROUGH_SUBCLASS = 0

    @staticmethod
    def dumps(value, default, options):
        def plain(item):
            if type(item) is float and not math.isfinite(item):
                return None
            if type(item) is dict and all(type(key) is str for key in item):
                return {key: plain(part) for key, part in item.items()}
            if type(item) in (list, tuple):
                return [plain(part) for part in item]
            if item is None or type(item) in (str, int, float, bool):
                return item
            raise TypeError(f"Type is not JSON serializable: {type(item)}")

        return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).encode()


def orjsons():
    found = [pytest.param(FakeOrjson, id="stand-in")]
    try:
        import orjson
    except ImportError:
        return found
    return [*found, pytest.param(orjson, id="orjson")]


@pytest.mark.parametrize("orjson", orjsons())
def test_orjson_makes_no_difference(orjson, monkeypatch):
    """snakepit 82"""
    monkeypatch.setattr(values, "_encode_plain", values.with_orjson(orjson, values._make_standard_encoder()))
    for value, expected in [*CASES, ([None, math.nan, {"a": None}], [None, "NaN", {"a": None}])]:
        assert json.loads(values.encode(value)) == expected
    assert json.loads(values.encode({"a": "\ud800", "b": 1}))["b"] == 1


def test_encoder_without_its_c_part_makes_no_difference(monkeypatch):
    monkeypatch.setattr(values, "_json_encoder", types.SimpleNamespace())
    monkeypatch.setattr(values, "_encode_plain", values._make_standard_encoder())
    for value, expected in CASES:
        assert json.loads(values.encode(value)) == expected
