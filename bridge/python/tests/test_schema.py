"""Type hints as JSON Schema."""

import dataclasses
import enum
import sys
from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

import pytest

from snakepit_bridge import docstring, schema


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    name: str
    size: int


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Node:
    next: "Optional[Node]" = None


CASES = [
    (int, {"type": "integer"}),
    (bool, {"type": "boolean"}),
    (bytes, {"type": "string"}),
    (Any, {}),
    (Optional[int], {"type": ["integer", "null"]}),
    (Union[int, float], {"type": "number"}),
    (Union[int, Any], {}),
    (List[int], {"type": "array", "items": {"type": "integer"}}),
    (list, {"type": "array"}),
    (Dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    (dict, {"type": "object"}),
    (Tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
    (Literal["a", 1], {"enum": ["a", 1]}),
    (Colour, {"type": "string", "enum": ["red", "blue"]}),
    (Optional[Colour], {"anyOf": [{"type": "string", "enum": ["red", "blue"]}, {"type": "null"}]}),
    (object(), {}),
]


@pytest.mark.parametrize("hint, expected", CASES, ids=lambda value: str(value)[:40])
def test_hint_becomes_schema(hint, expected):
    assert schema.of_type(hint) == expected


def test_fixed_tuple_has_a_schema_per_place():
    found = schema.of_type(Tuple[int, str])
    assert found["prefixItems"] == [{"type": "integer"}, {"type": "string"}]
    assert (found["minItems"], found["maxItems"]) == (2, 2)


def test_typed_dict_becomes_closed_object():
    found = schema.of_type(Place)
    assert found["properties"] == {"name": {"type": "string"}, "size": {"type": "integer"}}
    assert found["required"] == ["name", "size"]
    assert found["additionalProperties"] is False


def test_dataclass_requires_fields_without_default():
    found = schema.of_type(Point)
    assert found["required"] == ["x"]
    assert set(found["properties"]) == {"x", "y"}


def test_recursive_type_ends_somewhere():
    assert schema.of_type(Node)["type"] == "object"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y needs Python 3.10")
def test_new_union_syntax_is_a_union():
    assert schema.of_type(eval("int | None")) == {"type": ["integer", "null"]}


def test_unresolvable_hint_is_left_out():
    def function(a: "NoSuchThing", b: int):  # noqa: F821
        pass

    assert schema.hints_of(function) == {"b": int} or schema.hints_of(function) == {}


def documented():
    """Say what it does,
    on two lines.

    More of it.

    Args:
        a: The first,
            which goes on.
        b (int): The second.

    Returns:
        c: nothing
    """


def test_first_paragraph_is_the_summary():
    assert docstring.summary(documented) == "Say what it does, on two lines."


def test_args_section_describes_arguments():
    assert docstring.argument_descriptions(documented) == {"a": "The first, which goes on.", "b": "The second."}
