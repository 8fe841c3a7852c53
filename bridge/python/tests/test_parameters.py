"""How a call's bytes become keyword arguments."""

import json
from typing import Any, Dict, List, Optional, Tuple

import late_hints
import pytest

from snakepit_bridge import CallContext, SessionContext, Stream
from snakepit_bridge.errors import LoadError, Refused
from snakepit_bridge.parameters import Parameters


def bind(function, arguments, content_type=""):
    args = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    return Parameters("it", function, False).bind(args, content_type)


def refusal(function, arguments, content_type=""):
    with pytest.raises(Refused) as caught:
        bind(function, arguments, content_type)
    return caught.value


def schema_of(function):
    return Parameters("it", function, False).schema(function)


def plain(a: int, b: str = "x"):
    """Do it.

    Args:
        a: The first.
    """


def test_members_become_keywords():
    assert bind(plain, {"a": 1}) == {"a": 1}


def test_schema_has_types_defaults_and_descriptions():
    assert schema_of(plain) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "The first."},
            "b": {"type": "string", "default": "x"},
        },
        "required": ["a"],
        "additionalProperties": False,
    }


def test_default_of_none_admits_null():
    def function(a: int = None, b: str = "x"):
        pass

    properties = schema_of(function)["properties"]
    assert properties["a"] == {"type": ["integer", "null"], "default": None}
    assert properties["b"]["type"] == "string"


def test_missing_argument_is_named():
    error = refusal(plain, {})
    assert (error.kind, error.code, error.status) == ("TypeError", "invalid_arguments", 422)
    assert "'a'" in str(error)


def test_unexpected_argument_is_named():
    assert "'zzz'" in str(refusal(plain, {"a": 1, "zzz": 2}))


@pytest.mark.parametrize("args", [b"[1]", b"null", b'{"a":1', b'{"a":1} x', b"\xff", b'{"a":1}{}', b"[" * 100_000])
def test_what_is_no_object_is_refused(args):
    assert refusal(plain, args).code == "invalid_arguments"


def test_spaces_around_the_object_do_not_matter():
    assert bind(plain, b' {"a":1}\n') == {"a": 1}


def test_empty_body_is_an_empty_object():
    assert bind(lambda a=1: a, b"") == {}


def test_json_content_type_may_have_parameters():
    assert bind(plain, {"a": 1}, "Application/JSON; charset=utf-8") == {"a": 1}


def test_unannotated_params_gets_the_whole_object():
    assert bind(lambda params: params, {"a": 1}) == {"params": {"a": 1}}


def test_params_dict_gets_the_whole_object():
    def whole(params: Dict[str, Any]):
        pass

    assert bind(whole, {"params": 1}) == {"params": {"params": 1}}


def test_params_of_another_type_is_an_ordinary_argument():
    def whole(params: int):
        pass

    assert bind(whole, {"params": 1}) == {"params": 1}


def test_rest_parameter_takes_anything():
    def rest(**rest):
        pass

    assert bind(rest, {"self": 1}) == {"self": 1}
    assert schema_of(rest)["additionalProperties"] is True


def test_type_of_the_rest_parameter_is_that_of_all_other_arguments():
    def rest(n: str, **rest: int):
        pass

    assert schema_of(rest)["additionalProperties"] == {"type": "integer"}


def test_unpacked_typed_dict_names_the_other_arguments():
    found = schema_of(late_hints.unpacks)
    assert found["properties"] == {"n": {"type": "integer"}, "a": {"type": "integer"}, "b": {"type": "string"}}
    assert (found["required"], found["additionalProperties"]) == (["n", "b"], False)
    assert bind(late_hints.unpacks, {"n": 1, "b": "x"}) == {"n": 1, "b": "x"}


def test_rest_parameter_cannot_replace_self():
    def method(self, **rest):
        pass

    with pytest.raises(Refused, match="'self'"):
        Parameters("it", method, True).bind(b'{"self":1}', "")


def test_context_is_not_an_argument():
    def method(x, ctx):
        pass

    assert list(schema_of(method)["properties"]) == ["x"]
    assert "'ctx'" in str(refusal(method, {"x": 1, "ctx": 2}))


def test_context_of_another_type_is_an_argument():
    def method(question: str, context: str, ctx: Dict[str, Any] = None):
        pass

    assert Parameters("it", method, False).context == ""
    assert sorted(schema_of(method)["properties"]) == ["context", "ctx", "question"]
    assert bind(method, {"question": "q", "context": "c"}) == {"question": "q", "context": "c"}


CONTEXTS = [CallContext, Optional[CallContext], "CallContext", SessionContext]


@pytest.mark.parametrize("hint", CONTEXTS, ids=str)
def test_parameter_of_the_contexts_type_is_the_context_under_any_name(hint):
    def method(call, context, n=1):
        pass

    method.__annotations__ = {"call": hint, "context": "NoSuchThing"}
    assert Parameters("it", method, False).context == "call"
    assert sorted(schema_of(method)["properties"]) == ["context", "n"]


@pytest.mark.parametrize("hint, context", [(Any, "ctx"), ("Any", "ctx"), ("NoSuchThing", "")], ids=str)
def test_any_is_no_type_and_one_that_cannot_be_resolved_is_one(hint, context):
    def method(ctx):
        pass

    method.__annotations__ = {"ctx": hint}
    assert Parameters("it", method, False).context == context


def test_stream_may_be_optional():
    def method(n: int, stream: Optional[Stream] = None, out: int = 1):
        pass

    assert Parameters("it", method, False).stream == "stream"
    assert sorted(schema_of(method)["properties"]) == ["n", "out"]


def test_stream_of_another_type_is_an_argument():
    def method(stream: bool = False):
        pass

    assert Parameters("it", method, False).stream == ""


class Ambiguous:
    """As an array: what it is equal to is no truth value."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("ambiguous")


def test_default_may_be_an_array():
    assert list(schema_of(lambda x, weights=Ambiguous(): 0)["properties"]) == ["x", "weights"]


def test_untyped_parameter_with_a_value_of_its_own_is_an_argument():
    assert list(schema_of(lambda context="words", stream=False: 0)["properties"]) == ["context", "stream"]


def test_body_goes_to_the_parameter_annotated_bytes():
    def method(name: str = "", content: Optional[bytes] = None):
        pass

    assert bind(method, b"\xff", "image/png") == {"content": b"\xff"}


def test_body_goes_to_the_parameter_named_body():
    assert bind(lambda body: body, b"\xff", "image/png") == {"body": b"\xff"}


def test_content_type_is_passed_to_its_parameter():
    assert bind(lambda data, content_type: data, b"x", "text/plain") == {"data": b"x", "content_type": "text/plain"}


def test_body_without_a_parameter_for_it_is_unsupported():
    error = refusal(plain, b"x", "text/plain")
    assert (error.code, error.status) == ("unsupported_media_type", 415)


def test_body_does_not_replace_other_required_arguments():
    def method(body: bytes, other: int):
        pass

    assert "'other'" in str(refusal(method, b"x", "text/plain"))


def test_string_for_bytes_is_given_as_utf8():
    def method(body: bytes):
        pass

    assert bind(method, {"body": "ü"}) == {"body": b"\xc3\xbc"}


def test_lone_surrogate_for_bytes_is_refused():
    def method(body: bytes):
        pass

    assert refusal(method, b'{"body":"\\ud800"}').code == "invalid_arguments"


def test_positional_only_parameter_cannot_be_a_tool():
    with pytest.raises(LoadError, match="it.*positional-only"):
        bind(eval("lambda x, /: x"), {})


def test_a_whole_number_with_an_exponent_is_one() -> None:
    def tool(n: int, m: Optional[int] = None, x: float = 0.0) -> None:
        """Numbers."""

    bound = Parameters("tool", tool, False).bind(b'{"n": 1e2, "m": 2.0, "x": 3.0}', "")
    assert bound == {"n": 100, "m": 2, "x": 3.0}
    assert [type(value) for value in bound.values()] == [int, int, float]


@pytest.mark.parametrize("text", ["1e400", "-1e400"])
def test_a_whole_number_that_python_cannot_read_is_refused(text: str) -> None:
    def tool(n: int) -> None:
        """One."""

    with pytest.raises(Refused) as refused:
        Parameters("tool", tool, False).bind(b'{"n": %s}' % text.encode(), "")
    assert (refused.value.status, refused.value.errors[0]["pointer"]) == (422, "/n")


def test_texts_of_what_python_cannot_read_are_for_callers() -> None:
    def tool(n: Any) -> None:
        """One."""

    parameters = Parameters("tool", tool, False)
    for text, expected in (
        (b'{"n": ' + b"9" * 5000 + b"}", "a whole number of more than 4300 digits"),
        (b'{"n": ' + b"[" * 100000 + b"]" * 100000 + b"}", "nested too deep for Python"),
    ):
        with pytest.raises(Refused, match=expected) as refused:
            parameters.bind(text, "")
        assert refused.value.status == 422


def test_a_type_that_cannot_be_checked_is_said_to_be():
    def tool(z: complex, later: "Nowhere" = None, body: memoryview = b"", free=1, n: int = 0):  # noqa: F821
        """One of each."""

    properties = schema_of(tool)["properties"]
    told = {name: found["x-unchecked"] for name, found in properties.items() if "x-unchecked" in found}
    assert told == {"z": "complex", "later": "Nowhere"}


@pytest.mark.parametrize("hint", [List[int], Optional[List[int]], Tuple[int, ...], Tuple[int, int]], ids=str)
def test_whole_numbers_with_an_exponent_are_such_in_lists_too(hint) -> None:
    def tool(n) -> None:
        """Numbers."""

    tool.__annotations__["n"] = hint
    bound = Parameters("tool", tool, False).bind(b'{"n": [3.0, 1e2]}', "")
    assert [type(value) for value in bound["n"]] == [int, int]


def test_lists_of_other_numbers_stay_as_they_came() -> None:
    def tool(n: List[float], m: List[Any], o: Tuple[int, float]) -> None:
        """Numbers."""

    bound = Parameters("tool", tool, False).bind(b'{"n": [3.0], "m": [3.0], "o": [1, 3.0]}', "")
    assert [type(value[-1]) for value in bound.values()] == [float, float, float]


def test_optional_params_dict_gets_the_whole_object():
    def whole(params: Optional[Dict[str, int]] = None):
        pass

    assert bind(whole, {"params": 1}) == {"params": {"params": 1}}
    found = schema_of(whole)
    assert (found["type"], found["additionalProperties"]) == ("object", {"type": "integer"})
