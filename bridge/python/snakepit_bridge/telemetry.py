"""Events and spans of a tool's own: ``emit()`` and ``span()``.

An event is a dotted name, numbers and a few words about them. In a worker events and spans go to the gateway; elsewhere
they wait in a bounded buffer for whoever carries them away; an adapter that wants them elsewhere sets a backend.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Optional

from . import current, spans

BUFFERED = 1024  # events
CORRELATION_HEADER = "x-snakepit-correlation-id"

_correlation: ContextVar[Optional[str]] = ContextVar("snakepit_correlation_id", default=None)


class Event:
    """One event, bound to the call that made it (``call_id`` 0: none did) and to its place in a trace."""

    __slots__ = (
        "call_id", "correlation_id", "measurements", "metadata", "name", "request_id", "span_id", "time_ns", "trace_id",
    )  # fmt: skip

    def __init__(self, name: str, measurements: Mapping[str, Any], metadata: Any, correlation_id: str) -> None:
        call = current.call()
        self.name = name
        self.measurements = dict(measurements)
        self.metadata = dict(metadata or {})
        self.correlation_id = correlation_id
        self.time_ns = time.time_ns()
        self.call_id, self.request_id = spans.identify(call)
        self.trace_id, self.span_id = spans.place(call)


class TelemetryBackend:
    """Where events go. A backend has one of these methods; what it raises is ignored."""

    def emit(
        self,
        event_name: str,
        measurements: dict[str, Any],
        metadata: Optional[dict[str, Any]] = None,
        correlation_id: Optional[str] = None,
    ) -> None:
        """Take one event in its parts."""
        self.put(Event(event_name, measurements, metadata, correlation_id or ""))

    def put(self, event: Event) -> None:
        """Take one event."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more will come."""


class Buffer(TelemetryBackend):
    """Keeps the newest events until they are taken. For any thread."""

    def __init__(self, size: int = BUFFERED) -> None:
        self._events: deque[Event] = deque(maxlen=size)
        self.emitted = 0
        self._taken = 0

    def put(self, event: Event) -> None:
        self._events.append(event)
        self.emitted += 1

    def take(self) -> list[Event]:
        """All events that wait, oldest first."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        self._taken += len(taken)
        return taken

    @property
    def dropped(self) -> int:
        """Events that nobody took in time."""
        return self.emitted - self._taken - len(self._events)


class StderrBackend(TelemetryBackend):
    """Writes each event to standard error, as a line of JSON after ``TELEMETRY:``."""

    def put(self, event: Event) -> None:
        told = {
            "event": event.name,
            "measurements": event.measurements,
            "metadata": event.metadata,
            "timestamp_ns": event.time_ns,
            "correlation_id": event.correlation_id,
        }
        sys.stderr.write(f"TELEMETRY:{json.dumps(told, default=str)}\n")


class GatewayBackend(TelemetryBackend):
    """Sends events to the gateway; outside of a worker ``buffer`` keeps them."""

    def __init__(self) -> None:
        self.dispatch: Any = None  # the worker's, which takes them there; None outside of workers

    def put(self, event: Event) -> None:
        if self.dispatch is None:
            buffer.put(event)
        else:
            self.dispatch.put_event(event)


class GrpcBackend(TelemetryBackend):
    """Snakepit's name of what sends events to the gateway. They go with everything else: it needs no stream."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = stream

    def put(self, event: Event) -> None:
        gateway.put(event)


buffer = Buffer()
gateway = GatewayBackend()
"""What is used unless another backend is set."""

_backend: Optional[TelemetryBackend] = gateway


def set_backend(backend: Optional[TelemetryBackend]) -> None:
    """Send events there from now on; None sends them nowhere."""
    global _backend
    _backend = backend


def get_backend() -> Optional[TelemetryBackend]:
    return _backend


def is_enabled() -> bool:
    return _backend is not None


def emit(
    event: str,
    measurements: Mapping[str, Any],
    metadata: Optional[Mapping[str, Any]] = None,
    correlation_id: Optional[str] = None,
) -> None:
    """Send one event; without a ``correlation_id``, with that of the running call. Never raises."""
    if _backend is None:
        return
    try:
        _backend.emit(event, dict(measurements), dict(metadata or {}), correlation_id or get_correlation_id())
    except Exception as error:
        print(f"snakepit_bridge: an event was lost: {error!r}", file=sys.stderr)


@contextmanager
def span(
    operation: str, metadata: Optional[Mapping[str, Any]] = None, correlation_id: Optional[str] = None
) -> Iterator[spans.Span]:
    """Measure a piece of work; ``set_attribute()`` of what it gives adds to the metadata.

    The gateway gets it as a span when it has ended. A backend gets events, ``<operation>.start``, then ``.stop`` or
    ``.exception`` with the ``duration`` in nanoseconds. Tools that are called meanwhile are a part of it.
    """
    yield from _measure(current.call(), operation, metadata, correlation_id)


@contextmanager
def span_of(call: Any, operation: str, metadata: Mapping[str, Any]) -> Iterator[spans.Span]:
    """The same for work of that call, whichever runs here."""
    yield from _measure(call, operation, metadata, None)


def _measure(
    call: Any, operation: str, metadata: Optional[Mapping[str, Any]], correlation_id: Optional[str]
) -> Iterator[spans.Span]:
    made = spans.Span(operation, metadata, correlation_id or _correlation_of(call) or "", call)
    whole = _backend is gateway and gateway.dispatch is not None
    if not whole:
        emit(f"{operation}.start", {"system_time": made.start_ns}, made.attributes, made.correlation_id)
    made.open()
    try:
        yield made
    except BaseException as error:  # a cancelled one has ended too
        made.close()
        _end(made, whole, error)
        raise
    made.close()
    _end(made, whole, None)


def _end(made: spans.Span, whole: bool, error: Optional[BaseException]) -> None:
    duration = {"duration": made.duration_ns}
    if whole:
        _send(made, error)
    elif error is None:
        emit(f"{made.name}.stop", duration, made.attributes, made.correlation_id)
    else:
        told = {**made.attributes, "error_type": type(error).__name__, "error_message": str(error)}
        emit(f"{made.name}.exception", duration, told, made.correlation_id)


def _send(made: spans.Span, error: Optional[BaseException]) -> None:
    try:
        gateway.dispatch.put_span(made, error)
    except Exception as failure:
        print(f"snakepit_bridge: a span was lost: {failure!r}", file=sys.stderr)


otel_span = span


def new_correlation_id() -> str:
    return os.urandom(16).hex()


def set_correlation_id(value: str) -> Token[Optional[str]]:
    """Have what runs from here on use another id than its call's; reset_correlation_id() takes the token back."""
    return _correlation.set(value)


def reset_correlation_id(token: Token[Optional[str]]) -> None:
    _correlation.reset(token)


def get_correlation_id(default: Optional[str] = None) -> Optional[str]:
    """The id that was set here, else the running call's."""
    return _correlation_of(current.call()) or default


def _correlation_of(call: Any) -> Optional[str]:
    return _correlation.get() or (call.correlation_id if call else None)


def outgoing_metadata(initial: Optional[Iterable[tuple[str, str]]] = None) -> list[tuple[str, str]]:
    """Headers for a call to somewhere else: ``initial`` and the correlation id, made if there is none."""
    headers = list(initial or ())
    if not any(name.lower() == CORRELATION_HEADER for name, _ in headers):
        headers.append((CORRELATION_HEADER, get_correlation_id() or new_correlation_id()))
    return headers
