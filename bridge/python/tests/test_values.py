"""Results as bytes."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
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


def test_lone_surrogate_is_an_error():
    with pytest.raises(UnicodeEncodeError):
        values.encode({"a": "\ud800"})


@pytest.mark.parametrize("value", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_are_sent_as_they_are(value):
    assert values.encode_result(value) == (b"ab", "application/octet-stream")


def test_binary_chooses_the_content_type():
    assert values.encode_result(Binary(b"ab", "image/png")) == (b"ab", "image/png")


@pytest.mark.parametrize("binary", [Binary(5), Binary("text"), Binary(b"", "a\r\nb"), Binary(b"", None)])
def test_binary_of_the_wrong_kind_is_an_error(binary):
    with pytest.raises((TypeError, ValueError)):
        values.encode_result(binary)


def test_numpy_values_are_converted():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.arange(3), "b": numpy.float64("nan"), "c": numpy.int64(7), "d": numpy.bool_(True)}
    assert json.loads(values.encode(value)) == {"a": [0, 1, 2], "b": "NaN", "c": 7, "d": True}
