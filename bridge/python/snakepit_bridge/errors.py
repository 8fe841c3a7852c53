"""The exceptions of the SDK."""

from __future__ import annotations

import builtins
import functools
import json
from collections.abc import Container
from typing import Any, Optional

from .naming import ancestors


class ToolError(Exception):
    """Raised by a tool to choose the answer that its caller gets.

    ``status`` is the HTTP status (400 to 599; 0 leaves it to the gateway), ``code`` a short machine-readable word and
    ``details`` anything that can be encoded as JSON. Raises ValueError for another status. What is not given is as the
    class has it: a subclass may say ``status = 429``.
    """

    status = 0
    code = ""
    details: Any = None

    def __init__(self, message: str, status: int = 0, code: str = "", details: Any = None) -> None:
        super().__init__(message)
        if status and not 400 <= status <= 599:
            raise ValueError(f"the status of a ToolError must be 400 to 599, not {status}")
        if status:
            self.status = status
        if code:
            self.code = code
        if details is not None:
            self.details = details


class ToolCallError(ToolError):
    """A tool that was called has failed, or could not be run.

    ``tool`` is its name; ``kind`` the class of the exception that it raised, empty when none of its code did; ``code``,
    ``status`` and ``details`` are what another caller would have been told; ``traceback`` is the tool's.

    If the tool raised one of Python's own exceptions, or one that derives from it, it is one of these too:
    ``except ValueError`` catches it. Not so those that mean something to the interpreter (StopIteration), nor
    ExceptionGroup, whose exceptions do not travel: they are named in ``kind``.

    A tool that lets it pass has failed itself: its own caller gets a ``python_error`` that tells of this one.
    """

    def __init__(
        self, tool: str, message: str, kind: str = "", code: str = "", status: int = 0, details: Any = None,
        traceback: str = "",
    ) -> None:  # fmt: skip
        super().__init__(f"tool {tool!r}: {message}" if tool else message, 0, code, details)
        self.args = (f"tool {tool!r}: {message}" if tool else message,)  # an OSError would keep all of them
        self.status = status
        self.tool = tool
        self.message = message
        self.kind = kind
        self.traceback = traceback

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show its repr

    def to_dict(self) -> dict[str, Any]:
        """What is told of it to the caller of a tool that let it pass."""
        told = {"tool": self.tool, "type": self.kind, "code": self.code, "status": self.status, "details": self.details}
        return {name: value for name, value in told.items() if value}


class ToolNotFound(ToolCallError):
    """There is no tool of that name, or not in the pool that was named, or no such pool (``code`` says which)."""


class ToolCallTimeout(ToolCallError, TimeoutError):
    """It did not answer in time, or found no worker in time."""


class ToolCallDeadlock(ToolCallError):
    """All workers that could run it wait for calls that only they could run, this one among them."""


class ToolCallDepthError(ToolCallError):
    """Tools call tools that call tools, too deep."""


_BY_CODE = {
    "tool_not_found": ToolNotFound,
    "pool_not_found": ToolNotFound,
    "tool_call_deadlock": ToolCallDeadlock,
    "tool_call_depth": ToolCallDepthError,
    **dict.fromkeys(
        (
            "worker_timeout",
            "deadline_exceeded",
            "deadline_unreachable",
            "queue_timeout",
            "stream_idle_timeout",
            "callback_timeout",
        ),
        ToolCallTimeout,
    ),
}


def _of_message(kind: type[Exception], *arguments: Any) -> type[Exception]:
    """A class of that name that derives from it, and is made of a message alone; ``arguments`` are the others."""

    def init(self: Any, message: str) -> None:
        kind.__init__(self, *arguments, message)  # type: ignore[misc]

    return type(kind.__name__, (kind,), {"__init__": init, "__module__": __name__, "__doc__": kind.__doc__})


# Not those that mean something to the interpreter, nor one whose exceptions do not travel.
_LEFT_OUT = {"Exception", "StopIteration", "StopAsyncIteration", "ExceptionGroup"}

# What a called tool may raise that its caller may want to catch by the same name.
_BUILTINS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ not in _LEFT_OUT
}
_BUILTINS.update(
    UnicodeDecodeError=_of_message(UnicodeDecodeError, "unknown", b"", 0, 0),
    UnicodeEncodeError=_of_message(UnicodeEncodeError, "unknown", "", 0, 0),
    UnicodeTranslateError=_of_message(UnicodeTranslateError, "", 0, 0),
)


_NAMES = {id(kind): name for name, kind in vars(builtins).items() if isinstance(kind, type)}


def nearest_builtin(kind: type, among: Container[str] = _BUILTINS) -> str:
    """The name of the first of the class's ancestors that is one of those exceptions of Python's own, or nothing."""
    names = (_NAMES.get(id(base), "") for base in ancestors(kind))
    return next((name for name in names if name in among), "")


@functools.lru_cache(maxsize=256)
def _mixed(kind: type[ToolCallError], builtin: type[Exception], name: str) -> type[ToolCallError]:
    """A class that is both, or only the first one where an object cannot be: an OSError is no SyntaxError."""
    bases = (kind,) if issubclass(kind, builtin) else (kind, builtin)
    try:
        return type(name, bases, {"__module__": kind.__module__, "__doc__": kind.__doc__})
    except TypeError:
        return kind


def also(error: ToolCallError, builtin: type[Exception], message: str) -> ToolCallError:
    """The same error, which is a ``builtin`` too, by name as well, and says ``message``."""
    kind = _mixed(type(error), builtin, builtin.__name__)
    made = kind(error.tool, error.message, error.kind, error.code, error.status, error.details, error.traceback)
    made.args = (message,)
    return made


def tool_call_error(tool: str, failure: Any) -> ToolCallError:
    """The exception for a reply's Failure."""
    kind = _BY_CODE.get(failure.code, ToolCallError)
    builtin = _BUILTINS.get(failure.type) or _BUILTINS.get(_builtin_of(failure))
    if builtin is not None:
        kind = _mixed(kind, builtin, kind.__name__)
    details = _parsed(failure.details)
    return kind(tool, failure.message, failure.type, failure.code, failure.status, details, failure.traceback)


def _builtin_of(failure: Any) -> str:
    """Which of Python's own exceptions the class of another one derives from, as its worker says; see failure.py."""
    context = _parsed(failure.context)
    found = context.get("builtin") if isinstance(context, dict) else None
    return found if isinstance(found, str) else ""


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


class VariableError(ToolError):
    """A session's variables cannot be read or written so.

    ``code`` and ``message`` say why, ``variable`` which one is to blame, or is empty. A tool that lets it pass answers
    with that code.
    """

    def __init__(self, message: str, code: str = "", variable: str = "", version: int = 0) -> None:
        super().__init__(f"variable {variable!r}: {message}" if variable else message, _STATUSES.get(code, 0), code)
        self.message = message
        self.variable = variable
        self.version = version

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show its repr


class VariableNotFound(VariableError, KeyError):
    """The session has no variable of that name."""


class VersionConflict(VariableError):
    """The variable has not the expected version but ``version``; 0: it is not there."""


class ConstraintViolation(VariableError, ValueError):
    """The value does not fit the variable's type or constraints, or they cannot be."""


_STATUSES = {
    "invalid_variable": 422,
    "payload_too_large": 413,
    "session_not_found": 404,
    "session_quota_exceeded": 429,
    "variable_not_found": 404,
    "variable_too_large": 413,
    "version_conflict": 409,
}
_VARIABLE_ERRORS: dict[str, type[VariableError]] = {
    "invalid_variable": ConstraintViolation,
    "variable_not_found": VariableNotFound,
    "version_conflict": VersionConflict,
}


def variable_error(code: str, message: str, variable: str, version: int) -> VariableError:
    """The exception for a SessionReply."""
    return _VARIABLE_ERRORS.get(code, VariableError)(message, code, variable, version)


class Cancelled(BaseException):
    """Raised inside a running tool when nobody waits for its answer any more: the caller left, or the time ran out.

    Not an Exception, so that a tool's ``except Exception`` lets it pass; ``finally`` and ``with`` clean up as usual.
    """


class LoadError(Exception):
    """The adapter cannot be used as it is written; the message says what to change."""


class Refused(Exception):
    """A call that is answered before the tool's code is entered."""

    def __init__(
        self, kind: str, message: str, status: int, code: str, errors: Optional[list[dict[str, str]]] = None
    ) -> None:
        """``errors``: what is wrong where, each a JSON ``pointer`` and a ``detail``."""
        super().__init__(message)
        self.errors = errors
        self.kind = kind
        self.status = status
        self.code = code
