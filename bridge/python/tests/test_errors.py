"""What a called tool's failure is for who called it."""

import builtins
import json

import pytest

from snakepit_bridge.errors import (
    ToolCallError, ToolCallTimeout, ToolNotFound, also, nearest_builtin, tool_call_error,
)  # fmt: skip


def error_of(pb, kind="", code="", message="m"):
    return tool_call_error("t", pb.Failure(type=kind, message=message, code=code, status=500, traceback="tb"))


@pytest.mark.parametrize(
    "builtin",
    [ValueError, TypeError, KeyError, IndexError, ZeroDivisionError, FileNotFoundError, ConnectionError, TimeoutError,
     NotImplementedError, MemoryError, RecursionError, UnicodeError],
)  # fmt: skip
def test_what_a_tool_raised_is_caught_by_its_name(pb, builtin):
    with pytest.raises(builtin) as caught:
        raise error_of(pb, builtin.__name__, "python_error")
    assert isinstance(caught.value, ToolCallError)
    assert str(caught.value) == "tool 't': m"
    assert (caught.value.kind, caught.value.code, caught.value.traceback) == (builtin.__name__, "python_error", "tb")
    assert type(caught.value).__name__ == "ToolCallError"


@pytest.mark.parametrize(
    "own, builtin", [("JSONDecodeError", "ValueError"), ("UnicodeDecodeError", "UnicodeError"), ("Own", "KeyError")]
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
    [(json.JSONDecodeError("m", "", 0), "ValueError"), (UnicodeDecodeError("a", b"", 0, 1, "m"), "UnicodeError"),
     (FileNotFoundError(), "FileNotFoundError"), (Exception(), ""), (SystemExit(), ""), (StopIteration(), "")],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)  # fmt: skip
def test_the_nearest_of_pythons_own_exceptions(raised, nearest):
    assert nearest_builtin(type(raised)) == nearest


@pytest.mark.parametrize("kind", ["StopIteration", "SystemExit", "UnicodeDecodeError", "MyError", "", "Exception"])
def test_others_are_tool_call_errors(pb, kind):
    assert type(error_of(pb, kind)) is ToolCallError


def test_the_code_says_more_than_the_name(pb):
    assert isinstance(error_of(pb, "ValueError", "tool_not_found"), ToolNotFound)
    assert isinstance(error_of(pb, "TimeoutError", "deadline_exceeded"), ToolCallTimeout)


def test_no_class_is_made_twice(pb):
    kinds = {type(error_of(pb, "ValueError")) for _ in range(2)}
    assert len(kinds) == 1


def test_an_error_may_be_something_else_too(pb):
    made = also(error_of(pb, "KeyError", "python_error"), RuntimeError, "said otherwise")
    assert isinstance(made, RuntimeError) and isinstance(made, KeyError) and isinstance(made, ToolCallError)
    assert (str(made), made.kind, made.message) == ("said otherwise", "KeyError", "m")
