"""Type hints as JSON Schema."""

import dataclasses
import enum
import sys
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Set, Tuple, TypedDict, Union

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


def test_recursive_type_ends_where_it_begins_anew():
    assert schema.of_type(Node)["properties"] == {"next": {}}


class Grade(enum.Enum):
    TOP = ("a", 1)


@dataclasses.dataclass(frozen=True)
class Between:
    ge: float
    lt: float


@dataclasses.dataclass(frozen=True)
class Length:
    min_length: int = 0
    max_length: Any = None


ANNOTATED = [
    (Annotated[int, Between(0, 10)], {"type": "integer", "minimum": 0, "exclusiveMaximum": 10}),
    (Annotated[str, Length(1, 5)], {"type": "string", "minLength": 1, "maxLength": 5}),
    (Annotated[List[int], Length(1)], {"type": "array", "items": {"type": "integer"}, "minItems": 1}),
    (Annotated[str, Between(0, 1), "a note"], {"type": "string"}),
    (Annotated[Any, Length(1)], {}),
]


@pytest.mark.parametrize("hint, expected", ANNOTATED, ids=lambda value: str(value)[:40])
def test_bounds_of_annotated_become_keywords(hint, expected):
    assert schema.of_type(hint) == expected


def test_bounds_are_seen_in_a_signature():
    def function(n: "Annotated[int, Between(1, 2)]"):
        pass

    assert schema.of_type(schema.hints_of(function)["n"])["minimum"] == 1


@pytest.mark.parametrize("hint", [Grade, Literal[b"x"]])
def test_choices_that_json_lacks_are_no_constraint(hint):
    assert schema.of_type(hint) == {}


def test_literal_members_of_an_enum_are_their_values():
    assert schema.of_type(Literal[Colour.RED]) == {"type": "string", "enum": ["red"]}


def test_set_takes_duplicates():
    assert schema.of_type(Set[int]) == {"type": "array", "items": {"type": "integer"}}


def test_new_type_is_what_it_is_made_of():
    assert schema.of_type(NewType("Id", int)) == {"type": "integer"}


OR_NULL = [
    ({}, {}),
    ({"type": "integer"}, {"type": ["integer", "null"]}),
    ({"type": ["integer", "null"]}, {"type": ["integer", "null"]}),
    ({"enum": [1]}, {"anyOf": [{"enum": [1]}, {"type": "null"}]}),
]


@pytest.mark.parametrize("given, expected", OR_NULL, ids=str)
def test_null_is_added_once(given, expected):
    assert schema.or_null(given) == expected
    assert schema.or_null(expected) == expected


class Model:
    """As pydantic makes them: with definitions of its own."""

    @staticmethod
    def model_json_schema():
        return {
            "$defs": {"Part": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Part"}}}},
            "properties": {"part": {"$ref": "#/$defs/Part"}, "definitions": {"type": "string"}},
            "default": {"$ref": "#/$defs/Part"},
        }


def test_definitions_are_lifted_to_the_top_and_kept_apart():
    class Other:
        @staticmethod
        def model_json_schema():
            return {"definitions": {"Part": {"type": "null"}}, "$ref": "#/definitions/Part"}

    found = schema.whole({"properties": {"a": schema.of_type(Model), "b": schema.of_type(Other)}})
    assert found["properties"]["a"] == {
        "properties": {"part": {"$ref": "#/$defs/Part"}, "definitions": {"type": "string"}},
        "default": {"$ref": "#/$defs/Part"},
    }
    assert found["properties"]["b"] == {"$ref": "#/$defs/Part_2"}
    assert found["$defs"]["Part"]["properties"]["next"] == {"$ref": "#/$defs/Part"}
    assert found["$defs"]["Part_2"] == {"type": "null"}


def test_old_model_is_described_by_its_fields():
    class Field:
        def __init__(self, required, allow_none=False, **info):
            self.required, self.allow_none, self.field_info = required, allow_none, Between(**info) if info else None

    class Old:
        n: int
        text: Optional[str]
        __fields__ = {"n": Field(True, ge=1, lt=5), "text": Field(False, allow_none=True)}

    assert schema.of_type(Old) == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 5},
            "text": {"type": ["string", "null"]},
        },
        "required": ["n"],
    }


def test_model_without_a_schema_is_no_constraint():
    class Broken:
        @staticmethod
        def model_json_schema():
            raise ValueError("no schema for a field")

    assert schema.of_type(Broken) == {}


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
