"""Spans: pieces of a tool's work with a beginning, an end and a place in a trace (W3C Trace Context)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Optional

try:  # hashlib's own, without OpenSSL, which is a megabyte in each worker
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_open: ContextVar[Optional[Span]] = ContextVar("snakepit_span", default=None)


class Span:
    """One span; it ends with the block that opened it."""

    __slots__ = (
        "attributes", "begun", "call_id", "correlation_id", "duration_ns", "ended", "name", "outer", "parent_id",
        "request_id", "span_id", "start_ns", "trace_id",
    )  # fmt: skip

    def __init__(self, name: str, attributes: Optional[Mapping[str, Any]], correlation_id: str, call: Any) -> None:
        """``call`` is the CallContext whose work this is, or None."""
        self.name = name
        self.attributes = dict(attributes or {})
        self.correlation_id = correlation_id
        self.call_id, self.request_id = identify(call)
        self.outer = innermost(self.call_id)
        self.ended = False
        trace_id, self.parent_id = _place(self.outer, call)
        self.trace_id = trace_id or os.urandom(16)
        self.span_id = os.urandom(8)
        self.duration_ns = 0
        self.start_ns = time.time_ns()
        self.begun = time.perf_counter_ns()

    def set_attribute(self, name: str, value: Any) -> None:
        """Add something that is known only later."""
        self.attributes[name] = value

    def open(self) -> None:
        """What is told of from here on is within it."""
        _open.set(self)

    def close(self) -> None:
        """It has ended."""
        self.duration_ns = time.perf_counter_ns() - self.begun
        self.ended = True
        _open.set(self.outer)  # not by a token: a generator may end in another context than it began in


def identify(call: Any) -> tuple[int, str]:
    """The call's id and its request's; 0 and an empty string for no call."""
    return (0, "") if call is None else (call.call_id, call.request_id)


def innermost(call_id: int) -> Optional[Span]:
    """The span of that call that runs here. Generators that take turns leave what has ended, or is another call's."""
    span = _open.get()
    while span is not None and (span.ended or span.call_id != call_id):
        span = span.outer
    return span


def place(call: Any) -> tuple[bytes, bytes]:
    """The trace, and the span that what that call does now is a part of: 16 and 8 bytes, or nothing."""
    return _place(innermost(identify(call)[0]), call)


def _place(outer: Optional[Span], call: Any) -> tuple[bytes, bytes]:
    if outer is not None:
        return outer.trace_id, outer.span_id
    if call is None:
        return b"", b""
    parts = call.traceparent.split("-")
    try:
        trace_id, parent_id = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
        if len(trace_id) == 16 and len(parent_id) == 8:
            return trace_id, parent_id
    except (IndexError, ValueError):
        pass
    # Not by chance: all spans of a call that comes without a trace make one.
    return blake2b(call.request_id.encode(), digest_size=16).digest(), b""
