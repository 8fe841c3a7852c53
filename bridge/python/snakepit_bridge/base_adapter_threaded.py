"""Snakepit's base class for adapters whose tools run in several threads."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

from .adapter import BaseAdapter
from .thread_safety_checker import ThreadSafetyChecker
from .tools import ToolMetadata, tool

__all__ = [
    "RequestTracker",
    "ThreadLocalStorage",
    "ThreadSafeAdapter",
    "ThreadSafetyChecker",
    "ToolMetadata",
    "require_thread_safe",
    "thread_safe_method",
    "tool",
    "validate_thread_safety",
]


class ThreadLocalStorage:
    """Values by name, each thread's own."""

    def __init__(self) -> None:
        self._local = threading.local()

    def get(self, key: str, default: Any = None) -> Any:
        return self._local.__dict__.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._local.__dict__[key] = value

    def delete(self, key: str) -> None:
        self._local.__dict__.pop(key, None)

    def clear(self) -> None:
        self._local.__dict__.clear()


class RequestTracker:
    """Counts the requests of each thread, and those that run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards the following
        self.total_requests = 0
        self.requests_by_thread: Counter[int] = Counter()
        self.active_requests: Counter[int] = Counter()

    def start_request(self, thread_id: Optional[int] = None) -> int:
        """Count a request in; its number."""
        thread = threading.get_ident() if thread_id is None else thread_id
        with self.lock:
            self.total_requests += 1
            self.requests_by_thread[thread] += 1
            self.active_requests[thread] += 1
            return self.total_requests

    def end_request(self, thread_id: Optional[int] = None) -> None:
        """Count it out."""
        thread = threading.get_ident() if thread_id is None else thread_id
        with self.lock:
            if self.active_requests[thread] > 0:
                self.active_requests[thread] -= 1

    def get_stats(self) -> dict[str, int]:
        with self.lock:
            return {
                "total_requests": self.total_requests,
                "active_threads": sum(1 for count in self.active_requests.values() if count > 0),
                "total_active_requests": sum(self.active_requests.values()),
                "threads_seen": len(self.requests_by_thread),
            }


class ThreadSafeAdapter(BaseAdapter):
    """An adapter with a lock, values per thread and a count of its requests."""

    __thread_safe__ = True
    _holds_no_tools = True

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._thread_local = ThreadLocalStorage()
        self._tracker = RequestTracker()

    @contextmanager
    def acquire_lock(self) -> Iterator[None]:
        """Hold the adapter's lock, which the same thread may take again."""
        with self._lock:
            yield

    def get_thread_local(self, key: str, default: Any = None) -> Any:
        return self._thread_local.get(key, default)

    def set_thread_local(self, key: str, value: Any) -> None:
        self._thread_local.set(key, value)

    def clear_thread_local(self, key: Optional[str] = None) -> None:
        """Forget one of this thread's values, or all."""
        if key is None:
            self._thread_local.clear()
        else:
            self._thread_local.delete(key)

    def get_stats(self) -> dict[str, Any]:
        return {
            "adapter_class": type(self).__name__,
            "thread_safe": self.__thread_safe__,
            "tracker": self._tracker.get_stats(),
        }

    @contextmanager
    def track_request(self, request_id: Optional[str] = None) -> Iterator[int]:
        """Count what runs inside as a request; gives its number."""
        number = self._tracker.start_request()
        try:
            yield number
        finally:
            self._tracker.end_request()


def thread_safe_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a method may run in several threads, and count its calls."""

    @functools.wraps(function)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self, ThreadSafeAdapter):
            return function(self, *args, **kwargs)
        with self.track_request():
            return function(self, *args, **kwargs)

    counted.__thread_safe__ = True  # type: ignore[attr-defined]
    return counted


def require_thread_safe(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function of an adapter raise ValueError for one that does not declare itself safe."""

    @functools.wraps(function)
    def checked(adapter: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(adapter, "__thread_safe__", False):
            raise ValueError(
                f"Adapter {type(adapter).__name__} is not thread-safe. Set __thread_safe__ = True if it is."
            )
        return function(adapter, *args, **kwargs)

    return checked


def validate_thread_safety(adapter_class: type) -> bool:
    """Whether an adapter's class declares itself safe."""
    return getattr(adapter_class, "__thread_safe__", False) is True
