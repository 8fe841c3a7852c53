"""The check of arguments: held against Python's jsonschema, and as callers see it.

Snakepit 57.
"""

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest
import requests
from served import ROOT, Gateway
from jsonschema import Draft202012Validator

BUILD = Path(os.environ.get("SNAKEPIT_BIN", str(ROOT / "build" / "snakepit"))).parent
SUITE = os.environ.get("SNAKEPIT_SCHEMA_SUITE", "")  # tests/draft2020-12 of JSON-Schema-Test-Suite
ROUNDS = 5000


def verdicts(lines: List[Tuple[Any, List[Any]]]) -> List[Tuple[int, str]]:
    """For each schema the number of its problems, and a 1 or 0 for each of its values."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    program = str(BUILD / "tests" / "schema_oracle")
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True, timeout=120)
    answers = [line.split(" ") for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    return [(int(problems), found) for problems, found in answers]


# Random schemas and values.

NAMES = ["a", "b", "é", "x/y", ""]
SCALARS = [None, True, False, 0, 1, -1, 2, 3, 1.0, 0.5, 2.5, 10**20, "", "a", "ab", "é", "a\nb", "abc"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def value(draw: random.Random, depth: int = 3) -> Any:
    kind = draw.random()
    if depth == 0 or kind < 0.5:
        return draw.choice(SCALARS)
    if kind < 0.75:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {name: value(draw, depth - 1) for name in draw.sample(NAMES, draw.randrange(4))}


def count(draw: random.Random, _: int) -> int:
    return draw.randrange(4)


def bound(draw: random.Random, _: int) -> Any:
    return draw.choice([-1, 0, 0.5, 1, 2, 2.0, 10**20])


def schemas(draw: random.Random, depth: int) -> List[Any]:
    return [schema(draw, depth - 1) for _ in range(draw.randrange(1, 4))]


def members(draw: random.Random, depth: int) -> Any:
    return {name: schema(draw, depth - 1) for name in draw.sample(NAMES, draw.randrange(4))}


def inner(draw: random.Random, depth: int) -> Any:
    return schema(draw, depth - 1)


SIMPLE = {
    "type": lambda draw, _: draw.choice([draw.choice(TYPES), draw.sample(TYPES, 3)]),
    "enum": lambda draw, depth: [value(draw, 2) for _ in range(draw.randrange(1, 5))],
    "const": lambda draw, depth: value(draw, 2),
    "multipleOf": lambda draw, _: draw.choice([1, 2, 0.5, 3]),
    "pattern": lambda draw, _: draw.choice(["a", "^a", "b$", "^(a|é)+$", "^$", "."]),
    "required": lambda draw, _: draw.sample(NAMES, draw.randrange(3)),
    "uniqueItems": lambda draw, _: True,
    "$ref": lambda draw, _: "#/$defs/" + draw.choice("pq"),
    **{f"{side}{what}": count for side in ("min", "max") for what in ("Length", "Items", "Properties")},
    **{name: bound for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
}
NESTED = {
    **{name: schemas for name in ("allOf", "anyOf", "oneOf", "prefixItems")},
    **{name: inner for name in ("not", "items", "additionalProperties", "propertyNames")},
    "properties": members,
    "patternProperties": lambda draw, depth: {"^[ab]": schema(draw, depth - 1)},
}


def schema(draw: random.Random, depth: int) -> Any:
    if draw.random() < 0.05:
        return draw.random() < 0.5
    makers: dict[str, Callable[[random.Random, int], Any]] = {**SIMPLE, **(NESTED if depth else {})}
    return {name: makers[name](draw, depth) for name in draw.sample(sorted(makers), draw.randrange(1, 4))}


def document(draw: random.Random) -> Any:
    # What the definitions hold refers to nothing, so that every schema ends.
    parts = {name: {"type": draw.sample(TYPES, 2), "minLength": 1, "maximum": 2} for name in "pq"}
    found = schema(draw, 3)
    return {**found, "$defs": parts} if isinstance(found, dict) else found


def test_verdicts_are_those_of_jsonschema():
    draw = random.Random(4)
    lines = [(document(draw), [value(draw) for _ in range(10)]) for _ in range(ROUNDS)]
    fitting = 0
    for (text, values), (problems, found) in zip(lines, verdicts(lines)):
        assert problems == 0, text
        judge = Draft202012Validator(text)
        expected = "".join("1" if judge.is_valid(item) else "0" for item in values)
        assert (text, values, found) == (text, values, expected)
        fitting += expected.count("1")
    assert 0.1 < fitting / (10 * ROUNDS) < 0.9


@pytest.mark.skipif(not SUITE, reason="SNAKEPIT_SCHEMA_SUITE names no tests/draft2020-12 of JSON-Schema-Test-Suite")
def test_official_suite_agrees_where_all_keywords_are_supported():
    cases = [case for file in sorted(Path(SUITE).glob("*.json")) for case in json.loads(file.read_text())]
    lines = [(case["schema"], [test["data"] for test in case["tests"]]) for case in cases]
    judged = 0
    for case, (problems, found) in zip(cases, verdicts(lines)):
        for test, verdict in zip(case["tests"], found):
            name = f"{case['description']}: {test['description']}"
            assert (verdict == "1") == test["valid"] or (problems and verdict == "1"), name
            judged += not problems
    assert judged > 800


# As callers see it.


@pytest.fixture(scope="module")
def typed() -> Iterator[Gateway]:
    gateway = Gateway("--adapter", "typed.Typed", "--workers", "1")
    yield gateway
    gateway.stop()


def execute(gateway: Gateway, args: Any, name: str = "draw") -> requests.Response:
    return requests.post(gateway.url + "/execute", json={"tool": name, "args": args}, timeout=10)


def pointers(answer: requests.Response) -> List[str]:
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["code"], problem["category"], problem["executed"]) == ("invalid_arguments", "validation", "no")
    assert problem["tool"] and problem["pool"] == "default" and not problem["retryable"]
    return [error["pointer"] for error in problem["errors"]]


FITTING = [
    {"points": [{"x": 1}, {"x": 1.5, "y": -2}]},
    {"points": [], "colour": "blue", "width": 3, "weights": {"a": 1}, "size": 2, "note": None, "data": "x"},
    {"points": [], "width": None, "size": 1e3},
    {"points": [], "width": 4.0},
    {"points": {"__type__": "tuple", "elements": [{"x": 1}]}, "colour": {"__type__": "atom", "value": "blue"}},
    {"points": [], "weights": {"__type__": "dict", "pairs": [[1, 2]]}},
    {"points": [], "data": {"__type__": "bytes", "data": "AAE="}, "size": {"__type__": "nan"}},
]


@pytest.mark.parametrize("args", FITTING, ids=str)
def test_arguments_that_fit_reach_the_tool(typed, args):
    answer = execute(typed, args)
    assert answer.status_code == 200, answer.text


BROKEN = [
    ({"points": [{"x": 1}, {"x": "1"}]}, ["/args/points/1/x"]),
    ({"points": 1, "colour": "green"}, ["/args/points", "/args/colour"]),
    ({}, ["/args/points"]),
    ({"points": [], "color": "red"}, ["/args/color"]),
    ({"points": [{"y": 1, "z": 1}]}, ["/args/points/0/z", "/args/points/0/x"]),
    ({"points": [], "width": 1.5}, ["/args/width"]),
    ({"points": [], "weights": {"a/b": None}}, ["/args/weights/a~1b"]),
    ({"points": [], "size": {"__type__": "set", "elements": []}}, ["/args/size"]),
    ({"points": [], "colour": {"__type__": "atom", "value": "DROP TABLE"}}, ["/args/colour"]),
    ({"points": {"__type__": "tuple", "elements": [{"x": 1}, {"x": "1"}]}}, ["/args/points/elements/1/x"]),
    ({"points": [], "weights": {"__type__": "dict", "pairs": [[1, "a"]]}}, ["/args/weights/pairs/0/1"]),
    ({"points": {"__type__": "tuple", "elements": "none"}}, ["/args/points"]),
    ({"points": [], "note": {"__type__": "ref", "id": "1"}}, ["/args/note"]),
]


@pytest.mark.parametrize("args, expected", BROKEN, ids=str)
def test_faults_are_pointed_at_and_python_is_not_touched(typed, args, expected):
    before = execute(typed, {}, "count").json()["result"]
    assert pointers(execute(typed, args)) == expected
    bare = requests.post(typed.url + "/tools/draw", json=args, timeout=10)
    assert pointers(bare) == [pointer[len("/args"):] for pointer in expected]
    assert execute(typed, {}, "count").json()["result"] == before


def test_fault_says_what_was_expected_and_found(typed):
    problem = execute(typed, {"points": [], "width": "3"}).json()
    assert problem["errors"][0]["detail"] == 'expected an integer or null, found the string "3"'
    assert problem["detail"] == '/args/width: expected an integer or null, found the string "3"'


def test_what_cannot_be_checked_is_shown_and_logged_once(typed):
    tool = requests.get(typed.url + "/tools/foreign", timeout=10).json()
    found = [problem["pointer"] for problem in tool["schema_problems"]]
    assert found == ["/properties/model/contains", "/properties/model/properties/n/if"]
    assert "schema_problems" not in requests.get(typed.url + "/tools/draw", timeout=10).json()
    found = [line for line in typed.log().splitlines() if "part of a tool's schema cannot be checked" in line]
    assert len([line for line in found if '"foreign"' in line]) == 1


def test_a_type_that_cannot_be_checked_is_told_as_well(typed):
    tool = requests.get(typed.url + "/tools/unchecked", timeout=10).json()
    detail = "the type complex is not one that is checked"
    assert tool["schema_problems"] == [
        {"pointer": f"/properties/{name}/x-unchecked", "detail": detail} for name in ("z", "more")
    ]
    assert execute(typed, {"z": "anything"}, "unchecked").json()["result"] == "ran"


def test_the_rest_of_such_a_schema_is_checked(typed):
    assert execute(typed, {"model": {"n": 1}}, "foreign").json()["result"] == "ran"
    assert pointers(execute(typed, {"model": {"n": "1"}}, "foreign")) == ["/args/model/n"]


HINTS = [
    ({"at": "2024-05-06T07:08:09"}, {"at": "2024-05-06"}, "/args/at"),
    ({"day": "2024-05-06"}, {"day": "garbage"}, "/args/day"),
    ({"clock": "07:08:09+02:00"}, {"clock": "25:00"}, "/args/clock"),
    ({"key": "00000000-0000-0000-0000-00000000000f"}, {"key": "f"}, "/args/key"),
    ({"price": "1.50"}, {"price": "cheap"}, "/args/price"),
    ({"price": 1.5}, {"price": None}, "/args/price"),
    ({"path": "/a"}, {"path": 1}, "/args/path"),
    ({"pair": [1, "a"]}, {"pair": [1, 2]}, "/args/pair/1"),
    ({"pair": [1]}, {"pair": []}, "/args/pair"),
    ({"tree": {"below": [{"below": []}]}}, {"tree": {"below": [{"below": [5]}]}}, "/args/tree/below/0/below/0"),
    ({"at": {"__type__": "datetime", "value": "2024-05-06T07:08:09"}}, {"at": 5}, "/args/at"),
]


@pytest.mark.parametrize("good, bad, pointer", HINTS, ids=lambda value: str(value)[:30])
def test_hints_of_the_standard_library_are_checked(typed, good, bad, pointer):
    """With times without a zone, which isoformat() writes too."""
    assert execute(typed, good, "hinted").status_code == 200, execute(typed, good, "hinted").text
    assert pointers(execute(typed, bad, "hinted")) == [pointer]
    assert "schema_problems" not in requests.get(typed.url + "/tools/hinted", timeout=10).json()
