"""Snakepit's checker of adapters whose tools run in several threads: it warns of what several threads enter."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

_UNSAFE = {
    "matplotlib": "figures belong to one thread",
    "sqlite3": "a connection belongs to the thread that has opened it",
    "pandas": "frames that are changed need a lock",
}


class ThreadSafetyChecker:
    """Told which methods are entered, it warns once of each that several threads have entered.

    ``strict_mode`` raises RuntimeError instead. For any thread.
    """

    def __init__(self, enabled: bool = True, strict_mode: bool = False) -> None:
        self.enabled = enabled
        self.strict_mode = strict_mode
        self._lock = threading.Lock()  # guards the following
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.start_time = time.monotonic()
        self.access_map: dict[str, set[int]] = {}
        self.warnings_issued: set[str] = set()
        self._calls: Counter[int] = Counter()
        self._seconds: defaultdict[int, float] = defaultdict(float)

    def check_method_access(self, method_name: str, caller_frame: Any = None) -> None:
        """This thread enters that method."""
        if not self.enabled:
            return
        thread = threading.get_ident()
        with self._lock:
            threads = self.access_map.setdefault(method_name, set())
            threads.add(thread)
            self._calls[thread] += 1
        if len(threads) > 1:
            self._warn(f"{method_name}_concurrent", f"method {method_name!r} is entered by {len(threads)} threads")

    def check_library_safety(self, imported_modules: Optional[Iterable[str]] = None) -> list[str]:
        """Warn of modules, by default those that are imported, that are known not to be made for threads."""
        if not self.enabled:
            return []
        imported = set(sys.modules if imported_modules is None else imported_modules)
        told = {name: f"{name} is imported: {why}" for name, why in _UNSAFE.items() if name in imported}
        return [text for name, text in told.items() if self._warn(f"unsafe_lib_{name}", text)]

    @contextmanager
    def track_execution(self, method_name: str) -> Iterator[None]:
        """Count the time of what runs inside for this thread."""
        begun = time.monotonic()
        try:
            yield
        finally:
            if self.enabled:
                with self._lock:
                    self._seconds[threading.get_ident()] += time.monotonic() - begun

    def get_report(self) -> dict[str, Any]:
        """What it has seen so far."""
        with self._lock:
            entered = {method: len(threads) for method, threads in self.access_map.items() if len(threads) > 1}
            return {
                "enabled": self.enabled,
                "strict_mode": self.strict_mode,
                "total_runtime": time.monotonic() - self.start_time,
                "warnings_issued": len(self.warnings_issued),
                "warnings": sorted(self.warnings_issued),
                "concurrent_accesses": entered,
                "total_methods_tracked": len(self.access_map),
                "total_threads_seen": len(self._calls),
                "thread_utilization": {
                    thread: {"calls": calls, "total_time": self._seconds[thread]}
                    for thread, calls in self._calls.items()
                },
            }

    def _warn(self, key: str, text: str) -> bool:
        """Once for each key; whether this was the first time."""
        with self._lock:
            if key in self.warnings_issued:
                return False
            self.warnings_issued.add(key)
        if self.strict_mode:
            raise RuntimeError(text)
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return True

    def __enter__(self) -> ThreadSafetyChecker:
        self.reset()
        return self

    def __exit__(self, *_: Any) -> None:
        """It keeps what it has seen, for get_report()."""
