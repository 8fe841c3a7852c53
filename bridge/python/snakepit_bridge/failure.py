"""Exceptions as the bridge's Failure messages."""

from __future__ import annotations

import json
import os
import sys
import traceback
from types import TracebackType
from typing import Any, Optional

from . import bridge_pb2 as pb
from . import naming, parcel, telemetry, values
from .errors import Refused, ToolCallError, ToolError, nearest_builtin

MAX_TEXT = 64 << 10  # bytes of a message or a traceback: people read them, and failures lie in frames whole
MAX_DETAILS = 1 << 20  # bytes of a ToolError's details, for the same reason
_SDK = os.path.dirname(os.path.abspath(__file__))
MAX_ARGS = 1 << 20  # bytes of arguments that are looked at for what they call
_KNOWN = (
    "ValueError", "KeyError", "IndexError", "TypeError", "AttributeError", "ImportError", "RuntimeError",
    "NotImplementedError", "FileNotFoundError", "PermissionError", "ZeroDivisionError",
)  # fmt: skip
_HINTS = (
    "shape", "size", "dimension", "channels", "dtype", "type", "device", "cuda", "gpu", "nvidia", "backend", "memory",
    "alloc", "oom",
)  # fmt: skip
_EVENTS = {  # that the kinds of faults are told with
    "shape_mismatch": "error.shape_mismatch",
    "dtype_mismatch": "error.dtype_mismatch",
    "device_mismatch": "error.device",
    "device_unavailable": "error.device",
    "out_of_memory": "error.oom",
}
MAX_LOOKED_AT = 4096  # characters of a message
_SNAKEBRIDGE = ("library", "python_module", "function", "call_type", "payload_version")
_OWN = (
    "runner.py", "strand.py", "tasks.py", "batch.py", "calls.py", "values.py", "eventloop.py", "feed.py",
    "generators.py", "scopes.py", "dialect.py", "tools.py", "snakebridge.py", "toolcalls.py",
    "asking.py", "requests.py",
)  # fmt: skip
_OWN_FILES = tuple(os.path.join(_SDK, name) for name in _OWN)
_LOOP_FILES = (os.sep + "asyncio" + os.sep, "<frozen asyncio")


def of_exception(invoke: Any, error: BaseException, run_us: int, code: str = "") -> Any:
    """The Failure for what a started tool raised; ``code`` when it was the SDK's part (encoding) that failed.

    The exception and its class are the tool's code: nothing that they do when they are looked at gets out of here.
    """
    kind = type(error)  # and not what it says in __class__, as isinstance() would ask
    failure = pb.Failure(
        call_id=invoke.call_id,
        type=_text(naming.name(kind)),
        message=(message := _message(error)),
        traceback=_traceback(error),
        context=_context_of(invoke, error, message),
        code=code,
        run_us=run_us,
        started=True,
    )
    if issubclass(kind, ToolError):
        _tell(failure, error)
    return failure


def of_refusal(invoke: Any, error: Refused) -> Any:
    """The Failure for a call whose tool was not entered."""
    parcel.drop(invoke)
    failure = pb.Failure(
        call_id=invoke.call_id,
        type=error.kind,
        message=_text(str(error)),
        context=_context(invoke),
        status=error.status,
        code=error.code,
    )
    if error.errors:
        failure.details = values.encode(error.errors)
    return failure


def _tell(failure: Any, error: Any) -> None:
    """Take over what the tool says about its answer, as far as it can be said."""
    try:
        if issubclass(type(error), ToolCallError):
            details = error.to_dict()  # the status and code of a tool that was called are not those of its caller
        else:
            details = _choose(failure, error)
        if details is not None:
            body = values.encode(details)
            failure.details = body if len(body) <= MAX_DETAILS else b'"(too large)"'
    except BaseException as problem:  # its members may be the tool's code too
        print(f"snakepit_bridge: a ToolError cannot be sent as it is: {_message(problem)}", file=sys.stderr)


def _choose(failure: Any, error: Any) -> Any:
    failure.status = error.status
    failure.code = _text(error.code)
    return error.details


def _context(invoke: Any) -> bytes:
    return values.encode(_place(invoke))


def _place(invoke: Any) -> dict[str, Any]:
    return {"tool_name": invoke.tool, "session_id": invoke.session_id, **_called(invoke)}


def _called(invoke: Any) -> dict[str, str]:
    """What a call of SnakeBridge's was for."""
    if not invoke.tool.startswith("snakebridge.") or len(invoke.args) > MAX_ARGS:
        return {}
    try:
        arguments = json.loads(invoke.args)
        return {name: _text(arguments[name]) for name in _SNAKEBRIDGE if name in arguments}
    except (ValueError, TypeError, RecursionError):
        return {}


def _context_of(invoke: Any, error: BaseException, message: str) -> bytes:
    """Where it happened, which of the well-known exceptions it is, and what a numerical library complained about."""
    place, kind = _place(invoke), type(error)
    builtin = nearest_builtin(kind)
    if builtin not in ("", naming.name(kind)):
        place["builtin"] = builtin
    if issubclass(kind, Exception) and not issubclass(kind, ToolError):
        place["error_type"] = known = known_type(kind)
        found = _fault(naming.name(kind), message)
        if found is not None:
            place["error"] = found
        _emit(place, naming.name(kind), known, found)
    return values.encode(place)


def _fault(name: str, message: str) -> Optional[dict[str, Any]]:
    """What a numerical library complained about, if it did."""
    text = message[:MAX_LOOKED_AT].lower()
    if "Memory" not in name and not any(hint in text for hint in _HINTS):
        return None
    from . import faults  # its many expressions are not worth their time in workers that never fail like that

    return faults.parse(name, message)


def known_type(kind: type) -> str:
    """The nearest of the exceptions that callers know by name, else PythonException."""
    return nearest_builtin(kind, _KNOWN) or "PythonException"


def _emit(place: dict[str, Any], name: str, kind: str, found: Optional[dict[str, Any]]) -> None:
    event = "python.exception.unmapped" if kind == "PythonException" else "python.exception.mapped"
    metadata = {"python_type": name, "tool": place["tool_name"]}
    telemetry.emit(event, {"count": 1}, metadata)
    if found is not None:
        keys = ("operation", "device", "expected", "got")
        telemetry.emit(_EVENTS[found["kind"]], {"count": 1}, {key: found[key] for key in keys if found.get(key)})


def _message(error: BaseException) -> str:
    try:
        return _text(str(error))
    except BaseException:  # __str__ is the tool's code too
        return "(the exception has no message: its __str__ failed)"


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _without_own_frames(error.__traceback__))
        return _text("".join(lines), keep_end=True)
    except BaseException:
        return ""


def _without_own_frames(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """The part below the SDK and, for async tools, below the event loop."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in _OWN_FILES and not any(part in file for part in _LOOP_FILES):
            return trace
        trace = trace.tb_next
    return None


def _text(text: str, keep_end: bool = False) -> str:
    """``text`` as protobuf takes it: no lone surrogates, at most 64 KiB of UTF-8."""
    data = str(text).encode("utf-8", "backslashreplace")
    if len(data) > MAX_TEXT:
        data = b"..." + data[3 - MAX_TEXT :] if keep_end else data[: MAX_TEXT - 3] + b"..."
    return data.decode("utf-8", "ignore")
