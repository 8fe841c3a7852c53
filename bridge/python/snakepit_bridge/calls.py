"""What becomes of a call, whoever runs it."""

from __future__ import annotations

from typing import Any

from . import failure, parcel, values
from .parcel import LARGE
from .chunk import unpack
from .errors import Refused
from .stream import Stream


class Unencodable(Exception):
    """A value that cannot be sent ends its call: ``error`` says why, ``code`` is the answer's."""

    def __init__(self, error: Exception, code: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


def failed(invoke: Any, error: BaseException, run_us: int, cancelled: bool) -> Any:
    """The Failure for what a tool raised, or was made to raise if its call was ``cancelled``."""
    if type(error) is Unencodable:
        return failure.of_exception(invoke, error.error, run_us, error.code)
    return failure.of_exception(invoke, error, run_us, "cancelled" if cancelled else "")


def arguments(tool: Any, invoke: Any, context: Any, feed: Any) -> dict[str, Any]:
    """What the tool's function is given; ``tool`` is None if there is none. Raises Refused, and what nobody expects."""
    if tool is None:
        raise unknown(invoke)
    parameters = tool.parameters
    given: dict[str, Any] = parameters.bind(invoke.args or parcel.arguments(invoke), invoke.content_type)
    if parameters.context:
        given[parameters.context] = context
    if parameters.stream:
        given[parameters.stream] = Stream(feed)
    return given


def not_begun(invoke: Any, error: Exception) -> Any:
    """The Failure for a call that was Refused, or has met a bug of ours or an input that nobody thought of."""
    if not isinstance(error, Refused):
        error = Refused(type(error).__name__, str(error), 500, "worker_error")
    return failure.of_refusal(invoke, error)


def encode(invoke: Any, value: Any, run_us: int) -> Any:
    """The answer for what a tool returned: a result as the tuple that Outbox takes, or a Failure."""
    try:
        body, content_type = values.encode_result(value)
    except Exception as error:
        return failure.of_exception(invoke, error, run_us, "result_not_encodable")
    size = len(body) if type(body) is bytes else body.nbytes
    if size > LARGE:
        if size > values.MAX_BODY:
            return failed(invoke, too_large(size), run_us, False)
        body = parcel.pack(body)
    return invoke.call_id, body, content_type, run_us


def encode_chunk(value: Any) -> bytes:
    """A value of a stream as JSON text without a line feed. Raises Unencodable."""
    try:
        body = values.encode(unpack(value)[0])
    except Exception as error:
        raise Unencodable(error, "result_not_encodable") from None
    if len(body) > values.MAX_BODY:
        raise too_large(len(body))
    return body


def limited(body: bytes) -> bytes:
    """The same, if it is not too large. Raises Unencodable."""
    if len(body) > values.MAX_BODY:
        raise too_large(len(body))
    return body


def too_large(size: int) -> Unencodable:
    """The error for a result of ``size`` bytes or more."""
    return Unencodable(ValueError(f"the result has {size} bytes; {values.MAX_BODY} is the limit"), "result_too_large")


def unknown(invoke: Any) -> Refused:
    """The error for a call of a tool that there is not."""
    return Refused("ToolNotFound", f"there is no tool {invoke.tool!r}", 404, "tool_not_found")
