"""Type hints as JSON Schema."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import re
import sys
import uuid
from typing import Annotated, Any, Dict, Generic, List, Literal, NamedTuple, NewType, Optional, Set, Tuple
from typing import TypedDict, TypeVar, Union

import late_hints
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


class Outer:
    @dataclasses.dataclass
    class Node:
        up: "Optional[Outer.Node]" = None


class Pair(NamedTuple):
    a: int
    b: str = "x"


CASES = [
    (int, {"type": "integer"}),
    (bool, {"type": "boolean"}),
    (bytes, {"type": "string", "format": "binary"}),
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


class Nothing(enum.Enum):
    pass


@pytest.mark.parametrize("hint, expected", [(Tuple[()], {"type": "array", "maxItems": 0}), (Tuple, {"type": "array"})])
def test_empty_tuple_is_no_tuple_of_anything(hint, expected):
    assert schema.of_type(hint) == expected


def test_enum_without_members_takes_nothing():
    assert schema.of_type(Nothing) == {"not": {}}


@dataclasses.dataclass
class Made:
    a: int = None
    b: dataclasses.InitVar[int] = 0
    c: "dataclasses.InitVar[str]" = ""
    kept: int = dataclasses.field(default=0, init=False)
    many: List[int] = dataclasses.field(default_factory=list)


def test_dataclass_has_what_its_constructor_takes():
    found = schema.of_type(Made)
    kinds = {name: each["type"] for name, each in found["properties"].items()}
    assert kinds == {"a": ["integer", "null"], "b": "integer", "c": "string", "many": "array"}
    assert "required" not in found


T = TypeVar("T")


@dataclasses.dataclass
class Box(Generic[T]):
    value: T
    more: List[T]
    inner: "Optional[Box[T]]" = None


def test_class_with_arguments_has_them_in_its_fields():
    found = schema.of_type(Box[int])
    assert found["$ref"] == "#/$defs/Box"
    assert found["$defs"]["Box"]["properties"] == {
        "value": {"type": "integer"},
        "more": {"type": "array", "items": {"type": "integer"}},
        "inner": {"anyOf": [{"$ref": "#/$defs/Box"}, {"type": "null"}]},
    }
    assert schema.of_type(Box)["properties"]["value"] == {}


class Labelled(TypedDict, Generic[T]):
    label: str
    value: T


def test_typed_dict_with_arguments_has_them_in_its_members():
    found = schema.of_type(Labelled[int])
    assert (found["properties"]["value"], found["required"]) == ({"type": "integer"}, ["label", "value"])


VARIABLES = [(TypeVar("B", bound=int), {"type": "integer"}), (TypeVar("C", int, str), {"type": ["integer", "string"]})]


@pytest.mark.parametrize("hint, expected", VARIABLES, ids=str)
def test_type_variable_is_what_it_is_bound_to(hint, expected):
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


def test_recursive_type_refers_to_itself():
    found = schema.of_type(Node)
    assert found["$ref"] == "#/$defs/Node"
    node = found["$defs"]["Node"]
    assert node["properties"] == {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}


def test_recursive_types_of_one_name_are_told_apart():
    found = schema.whole({"type": "object", "properties": {"a": schema.of_type(Node), "b": schema.of_type(Outer.Node)}})
    definitions = found["$defs"]
    assert sorted(definitions) == ["Node", "Node_2"]
    first, second = (found["properties"][name]["$ref"].rpartition("/")[2] for name in "ab")
    assert set(definitions[first]["properties"]) == {"next"}
    assert definitions[second]["properties"]["up"]["anyOf"][0] == {"$ref": f"#/$defs/{second}"}


def test_typed_dict_knows_what_is_required_in_annotations_that_are_texts():
    assert schema.of_type(late_hints.Late)["required"] == ["b"]
    assert schema.of_type(late_hints.LateTotal)["required"] == ["b"]


def test_named_tuple_is_an_array_whose_defaults_may_be_missing():
    assert schema.of_type(Pair) == {
        "type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 1, "maxItems": 2
    }  # fmt: skip


TEXTS = [
    (datetime.datetime, ["2024-05-06T07:08:09", "2024-05-06 07:08:09.5+02:00", "2024-05-06T07:08Z"], ["2024-05-06"]),
    (datetime.date, ["2024-05-06"], ["2024-13-01", "2024-05-06T00:00:00", "garbage"]),
    (datetime.time, ["07:08", "07:08:09.123456", "23:59:60Z"], ["24:00:00", "7:08"]),
    (uuid.UUID, [str(uuid.UUID(int=5))], ["00000000", str(uuid.UUID(int=5)) + "0"]),
    (decimal.Decimal, ["1.50", "-1E+3", ".5", "NaN", "-Infinity"], ["", "one", "1.2.3"]),
]


@pytest.mark.parametrize("hint, good, bad", TEXTS, ids=lambda value: getattr(value, "__name__", ""))
def test_texts_that_stand_for_values_have_a_pattern(hint, good, bad):
    pattern = schema.of_type(hint)["pattern"]
    assert [text for text in good if not re.search(pattern, text)] == []
    assert [text for text in bad if re.search(pattern, text)] == []


def test_number_may_be_given_for_a_decimal_and_a_text_for_a_path():
    assert schema.of_type(decimal.Decimal)["type"] == ["number", "string"]
    assert schema.of_type(pathlib.Path) == schema.of_type(pathlib.PurePosixPath) == {"type": "string"}


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


@dataclasses.dataclass(frozen=True)
class Matching:
    pattern: Any = None
    regex: Any = None


class Fields:
    """As pydantic 2 makes them."""

    metadata = [Between(1, 9), Matching("^a")]


NULLABLE = ["integer", "null"]
DEEPER = [
    (Annotated[str, Matching("^a+$")], {"type": "string", "pattern": "^a+$"}),
    (Annotated[str, Matching(re.compile("b"))], {"type": "string", "pattern": "b"}),
    (Annotated[str, Matching(regex="a|b")], {"type": "string", "pattern": "^(?:a|b)"}),
    (Annotated[Optional[int], Between(1, 9)], {"type": NULLABLE, "minimum": 1, "exclusiveMaximum": 9}),
    (
        Annotated[Union[int, str], Fields],
        {"type": ["integer", "string"], "minimum": 1, "exclusiveMaximum": 9, "pattern": "^a"},
    ),
    (
        Annotated[Optional[List[int]], Length(1, 2)],
        {"anyOf": [{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, {"type": "null"}]},
    ),
]


@pytest.mark.parametrize("hint, expected", DEEPER, ids=lambda value: str(value)[:40])
def test_bounds_are_put_where_their_type_is(hint, expected, capsys):
    assert schema.of_type(hint) == expected
    assert capsys.readouterr().err == ""


@dataclasses.dataclass(frozen=True)
class Even:
    func: Any = None


UNCHECKED = [
    (Annotated[int, Even(len)], "func"),
    (Annotated[Any, Length(7)], "min_length=7"),
    (Annotated[datetime.date, Between(datetime.date(2020, 1, 1), None)], "ge=datetime.date(2020, 1, 1)"),
    (Annotated[decimal.Decimal, Between(17, None)], "ge=17"),
    (Annotated[Point, Matching("^x")], "pattern='^x'"),
]


@pytest.mark.parametrize("hint, told", UNCHECKED, ids=lambda value: str(value)[:40])
def test_bounds_that_cannot_be_checked_are_told_of(hint, told, capsys):
    schema.of_type(hint)
    assert f"{told}" in capsys.readouterr().err


class UserId(int):
    pass


@pytest.mark.parametrize("hint, kind", [(UserId, "integer"), (type("Name", (str,), {}), "string")])
def test_class_is_what_it_is_derived_from(hint, kind):
    assert schema.of_type(hint) == {"type": kind}


def test_types_that_pydantic_1_makes_have_their_bounds():
    pydantic = pytest.importorskip("pydantic", "1.10")
    if not pydantic.VERSION.startswith("1."):
        pytest.skip("of pydantic 1")
    assert schema.of_type(pydantic.conint(ge=1)) == {"type": "integer", "minimum": 1}
    code = {"type": "string", "minLength": 2, "pattern": "^a+$"}
    assert schema.of_type(pydantic.constr(regex="^a+$", min_length=2)) == code
    few = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}
    assert schema.of_type(pydantic.conlist(int, min_items=1, max_items=3)) == few
    field = pydantic.Field(..., regex="^[a-z]+$", min_length=2)
    assert schema.of_type(Annotated[str, field]) == {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"}


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


def test_hint_that_cannot_be_resolved_takes_anything_and_is_told_of_once(capsys):
    def function(a: "NoSuchThing", b: "int"):  # noqa: F821
        pass

    for _ in range(2):
        assert schema.hints_of(function) == {"a": Any, "b": int}
    (line,) = capsys.readouterr().err.splitlines()
    assert "function: 'a' takes anything" in line and "NoSuchThing" in line


def test_result_that_cannot_be_resolved_leaves_the_parameters_their_types(capsys):
    def function(image: "bytes", more: "Optional[int]" = None) -> "NoSuchThing":  # noqa: F821
        pass

    hints = schema.hints_of(function)
    assert (hints["image"], hints["more"]) == (bytes, Optional[int])
    assert capsys.readouterr().err == ""


@dataclasses.dataclass
class HalfKnown(Point):
    table: "NoSuchThing" = None  # noqa: F821
    number: "int" = 0


def test_field_that_cannot_be_resolved_leaves_the_others_their_types():
    number, whole = {"type": "number"}, {"type": "integer"}
    assert schema.of_type(HalfKnown)["properties"] == {"x": number, "y": number, "table": {}, "number": whole}


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


@pytest.mark.parametrize(
    "hint, found",
    [
        (complex, "complex"), (Optional[complex], "complex"), (List[complex], "complex"),
        (Dict[str, complex], "complex"), (Union[int, complex], "complex"),
        (Tuple[int, complex], "complex"), (Annotated[complex, 1], "complex"),
        (range, "range"), (Outer, "Outer"),
        (int, ""), (Any, ""), (object, ""), (list, ""), (List[Any], ""), (Dict[int, str], ""), (Tuple[int, ...], ""),
        (Optional[Colour], ""), (Point, ""), (Literal["a"], ""), (datetime.date, ""), (NewType("Key", str), ""),
    ],
)  # fmt: skip
def test_a_type_that_has_no_schema_is_named(hint, found):
    assert schema.unchecked(hint) == found
