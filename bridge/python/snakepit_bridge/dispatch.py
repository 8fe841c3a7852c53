"""Telemetry on its way to the gateway: it leaves with the next frame that leaves anyway."""

from __future__ import annotations

import _thread
import os
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, Optional

from . import bridge_pb2 as pb
from . import values
from .limits import number

BUFFERED = 1024  # messages, unless $SNAKEPIT_TELEMETRY_BUFFER says otherwise; those above it are lost and counted
BUFFERED_MAX = 4096  # a frame takes all that wait, 10 KiB each at most
NAME_MAX, MESSAGE_MAX, CORRELATION_MAX = 128, 1024, 256  # characters
ATTRIBUTES_MAX = 4096  # bytes of JSON
_TRUNCATED = b'{"truncated":true}'


class Dispatch:
    """What waits to be sent. fill() is for the thread that makes a frame, the others are for any."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()  # Events and Spans
        self._limit = min(number(os.environ, "SNAKEPIT_TELEMETRY_BUFFER", BUFFERED), BUFFERED_MAX)
        self._lock = _thread.allocate_lock()  # guards:
        self._dropped = 0  # since the last frame that said so

    def put_event(self, event: Any) -> None:
        """A telemetry.Event is to be sent. Raises what its values do that cannot be encoded."""
        self._put(_event, event)

    def put_span(self, span: Any, error: Optional[BaseException]) -> None:
        """A spans.Span has ended, by ``error`` or well. Raises as put_event()."""
        self._put(_span, span, error)

    def _put(self, make: Callable[..., Any], *told: Any) -> None:
        """Lost, and counted, if too many wait or it cannot be made."""
        if len(self.waiting) >= self._limit:
            self._drop()
            return
        try:
            message = make(*told)
        except BaseException:
            self._drop()
            raise
        self.waiting.append(message)

    def _drop(self) -> None:
        with self._lock:
            self._dropped += 1

    def fill(self, frame: Any) -> None:
        """Move what waits into a frame."""
        for _ in range(len(self.waiting)):
            message = self.waiting.popleft()
            (frame.spans if type(message) is pb.Span else frame.events).append(message)
        with self._lock:
            frame.telemetry_dropped, self._dropped = self._dropped, 0


def _event(event: Any) -> Any:
    return pb.Event(
        origin=_origin(event),
        name=str(event.name)[:NAME_MAX],
        time_ns=event.time_ns,
        measurements=_encode(event.measurements),
        metadata=_encode(event.metadata),
    )


def _span(span: Any, error: Optional[BaseException]) -> Any:
    return pb.Span(
        origin=_origin(span),
        name=str(span.name)[:NAME_MAX],
        start_ns=span.start_ns,
        end_ns=span.start_ns + span.duration_ns,
        parent_id=span.parent_id,
        attributes=_encode(span.attributes),
        error=type(error).__name__[:NAME_MAX] if error is not None else "",
        message=str(error)[:MESSAGE_MAX] if error is not None else "",
    )


def _origin(told: Any) -> Any:
    return pb.Origin(
        call_id=told.call_id,
        request_id=told.request_id,
        correlation_id=told.correlation_id[:CORRELATION_MAX],
        trace_id=told.trace_id,
        span_id=told.span_id,
    )


def _encode(attributes: Mapping[str, Any]) -> bytes:
    if not attributes:
        return b""
    body = values.encode({str(name): value for name, value in attributes.items()})
    return body if len(body) <= ATTRIBUTES_MAX else _TRUNCATED
