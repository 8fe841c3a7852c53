"""What a called tool's failure is for who called it."""

import builtins
import json

import pytest

from snakepit_bridge.errors import (
    ToolCallError, ToolCallTimeout, ToolNotFound, also, nearest_builtin, tool_call_error,
)  # fmt: skip


def error_of(pb, kind="", code="", message="m"):
    return tool_call_error("t", pb.Failure(type=kind, message=message, code=code, status=500, traceback="tb"))


BUILTINS = [
    kind for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
    and kind.__name__ not in ("Exception", "StopIteration", "StopAsyncIteration", "ExceptionGroup")
]  # fmt: skip


@pytest.mark.parametrize("builtin", BUILTINS)
def test_what_a_tool_raised_is_caught_by_its_name(pb, builtin):
    with pytest.raises(builtin) as caught:
        raise error_of(pb, builtin.__name__, "python_error")
    assert isinstance(caught.value, ToolCallError)
    assert str(caught.value) == "tool 't': m"
    assert (caught.value.kind, caught.value.code, caught.value.traceback) == (builtin.__name__, "python_error", "tb")
    assert type(caught.value).__name__ == "ToolCallError"


@pytest.mark.parametrize(
    "own, builtin", [("JSONDecodeError", "ValueError"), ("IncompleteReadError", "EOFError"), ("Own", "KeyError")]
)
def test_what_derives_from_it_is_caught_by_its_name(pb, own, builtin):
    context = json.dumps({"builtin": builtin}).encode()
    error = tool_call_error("t", pb.Failure(type=own, message="m", context=context))
    assert isinstance(error, getattr(builtins, builtin)) and isinstance(error, ToolCallError)
    assert (error.kind, str(error)) == (own, "tool 't': m")


@pytest.mark.parametrize("context", [b"{", b"[]", b'{"builtin":5}', b'{"builtin":"SystemExit"}', b'{"builtin":[]}'])
def test_a_context_that_says_nothing_sensible_changes_nothing(pb, context):
    assert type(tool_call_error("t", pb.Failure(type="Own", message="m", context=context))) is ToolCallError


@pytest.mark.parametrize(
    "raised, nearest",
    [(json.JSONDecodeError("m", "", 0), "ValueError"), (UnicodeDecodeError("a", b"", 0, 1, "m"), "UnicodeDecodeError"),
     (FileNotFoundError(), "FileNotFoundError"), (Exception(), ""), (SystemExit(), ""), (StopIteration(), "")],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)  # fmt: skip
def test_the_nearest_of_pythons_own_exceptions(raised, nearest):
    assert nearest_builtin(type(raised)) == nearest


@pytest.mark.parametrize("kind", ["StopIteration", "SystemExit", "ExceptionGroup", "MyError", "", "Exception"])
def test_others_are_tool_call_errors(pb, kind):
    assert type(error_of(pb, kind)) is ToolCallError


def test_the_code_says_more_than_the_name(pb):
    assert isinstance(error_of(pb, "ValueError", "tool_not_found"), ToolNotFound)
    assert isinstance(error_of(pb, "TimeoutError", "deadline_exceeded"), ToolCallTimeout)


@pytest.mark.parametrize("builtin", BUILTINS)
def test_the_code_says_more_than_a_name_that_cannot_be_mixed_with_it(pb, builtin):
    assert isinstance(error_of(pb, builtin.__name__, "queue_timeout"), ToolCallTimeout)


def test_no_class_is_made_twice(pb):
    kinds = {type(error_of(pb, "ValueError")) for _ in range(2)}
    assert len(kinds) == 1


def test_an_error_may_be_something_else_too(pb):
    made = also(error_of(pb, "KeyError", "python_error"), RuntimeError, "said otherwise")
    assert isinstance(made, RuntimeError) and isinstance(made, KeyError) and isinstance(made, ToolCallError)
    assert (str(made), made.kind, made.message) == ("said otherwise", "KeyError", "m")


def test_a_unicode_error_has_the_members_of_one(pb):
    error = error_of(pb, "UnicodeDecodeError", "python_error")
    assert (error.encoding, error.object, error.start, error.end, error.reason) == ("unknown", b"", 0, 0, "tool 't': m")
