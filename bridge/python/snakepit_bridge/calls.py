"""What becomes of a call, whoever runs it."""

from __future__ import annotations

from typing import Any

from . import failure, values
from .errors import Refused

MAX_BODY = 64 << 20  # bytes of one result


def failed(invoke: Any, error: BaseException, run_us: int, cancelled: bool) -> Any:
    """The Failure for what a tool raised, or was made to raise if its call was ``cancelled``."""
    return failure.of_exception(invoke, error, run_us, "cancelled" if cancelled else "")


def unexpected(invoke: Any, error: Exception) -> Any:
    """The Failure for a call that could not be begun: a bug of ours, or an input that nobody thought of."""
    return failure.of_refusal(invoke, Refused(type(error).__name__, str(error), 500, "worker_error"))


def encode(invoke: Any, value: Any, run_us: int) -> Any:
    """The answer for what a tool returned: a result as the tuple that Outbox takes, or a Failure."""
    try:
        body, content_type = values.encode_result(value)
    except Exception as error:
        return failure.of_exception(invoke, error, run_us, "result_not_encodable")
    if len(body) > MAX_BODY:
        too_large = ValueError(f"the result has {len(body)} bytes; {MAX_BODY} is the limit")
        return failure.of_exception(invoke, too_large, run_us, "result_too_large")
    return invoke.call_id, body, content_type, run_us


def check(invoke: Any, tool: Any) -> None:
    """Raises Refused if there is no such tool, or it cannot be called like this."""
    if tool is None:
        raise Refused("ToolNotFound", f"there is no tool {invoke.tool!r}", 404, "tool_not_found")
    if tool.streaming:
        message = f"{invoke.tool} streams its results, which this version cannot do yet"
        raise Refused("StreamingNotSupported", message, 501, "streaming_not_supported")
