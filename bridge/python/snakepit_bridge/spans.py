"""Spans: pieces of a tool's work with a beginning, an end and a place in a trace (W3C Trace Context)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Optional

from . import bridge_pb2 as pb
from . import context, values

NAME_MAX, MESSAGE_MAX = 128, 1024  # characters
ATTRIBUTES_MAX = 4096  # bytes of JSON
_TRUNCATED = b'{"truncated":true}'

_open: ContextVar[Optional[Span]] = ContextVar("snakepit_span", default=None)


class Span:
    """One span; it ends with the block that opened it."""

    __slots__ = (
        "attributes", "begun", "call_id", "correlation_id", "ended", "name", "outer", "parent_id", "request_id",
        "span_id", "start_ns", "trace_id",
    )  # fmt: skip

    def __init__(self, name: str, attributes: Optional[Mapping[str, Any]], correlation_id: str, call: Any) -> None:
        """``call`` is the CallContext whose work this is, or None."""
        self.name = name
        self.attributes = dict(attributes or {})
        self.correlation_id = correlation_id
        self.call_id, self.request_id = (call.call_id, call.request_id) if call is not None else (0, "")
        self.outer = innermost(self.call_id)
        self.ended = False
        self.trace_id, self.parent_id = _place(self.outer, call)
        self.span_id = os.urandom(8)
        self.start_ns = time.time_ns()
        self.begun = time.perf_counter_ns()

    def set_attribute(self, name: str, value: Any) -> None:
        """Add something that is known only later."""
        self.attributes[name] = value

    def open(self) -> None:
        """What is told of from here on is within it."""
        _open.set(self)

    def close(self) -> int:
        """It has ended, after so many nanoseconds."""
        self.ended = True
        _open.set(self.outer)  # not by a token: a generator may end in another context than it began in
        return time.perf_counter_ns() - self.begun


def innermost(call_id: int) -> Optional[Span]:
    """The span of that call that runs here. Generators that take turns leave what has ended, or is another call's."""
    span = _open.get()
    while span is not None and (span.ended or span.call_id != call_id):
        span = span.outer
    return span


def _place(outer: Optional[Span], call: Any) -> tuple[bytes, bytes]:
    """The trace, and the span that what happens now is a part of: 16 and 8 bytes, or nothing."""
    if outer is not None:
        return outer.trace_id, outer.span_id
    if call is None:
        return os.urandom(16), b""
    parts = call.traceparent.split("-")
    try:
        trace_id, parent_id = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
        if len(trace_id) == 16 and len(parent_id) == 8:
            return trace_id, parent_id
    except (IndexError, ValueError):
        pass
    # Not by chance: all spans of a call that comes without a trace make one.
    return hashlib.blake2b(call.request_id.encode(), digest_size=16).digest(), b""


def _encode(attributes: Mapping[str, Any]) -> bytes:
    if not attributes:
        return b""
    body = values.encode({str(name): value for name, value in attributes.items()})
    return body if len(body) <= ATTRIBUTES_MAX else _TRUNCATED


def event_message(name: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], correlation_id: str) -> Any:
    """The Event for something that happens now."""
    call = context.current()
    call_id, request_id = (call.call_id, call.request_id) if call is not None else (0, "")
    outer = innermost(call_id)
    trace_id, span_id = _place(outer, call) if outer or call else (b"", b"")
    return pb.Event(
        origin=pb.Origin(
            call_id=call_id,
            request_id=request_id,
            correlation_id=correlation_id[:256],
            trace_id=trace_id,
            span_id=span_id,
        ),
        name=str(name)[:NAME_MAX],
        time_ns=time.time_ns(),
        measurements=_encode(measurements),
        metadata=_encode(metadata),
    )


def span_message(span: Span, duration_ns: int, error: Optional[BaseException]) -> Any:
    """The Span for one that has ended, by ``error`` or well."""
    return pb.Span(
        origin=pb.Origin(
            call_id=span.call_id,
            request_id=span.request_id,
            correlation_id=span.correlation_id[:256],
            trace_id=span.trace_id,
            span_id=span.span_id,
        ),
        name=str(span.name)[:NAME_MAX],
        start_ns=span.start_ns,
        end_ns=span.start_ns + duration_ns,
        parent_id=span.parent_id,
        attributes=_encode(span.attributes),
        error=type(error).__name__[:NAME_MAX] if error is not None else "",
        message=str(error)[:MESSAGE_MAX] if error is not None else "",
    )
