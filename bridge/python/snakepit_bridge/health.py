"""What an adapter says about itself: its ``health()``."""

from __future__ import annotations

import time
from typing import Any, Callable, Optional

FRESH_SECONDS = 1.0  # for which an answer is not asked for again
LABELS_MAX = 64  # of what is loaded; the gateway remembers no more (WORKER_LABELS_MAX)
LABEL_MAX = 128  # characters of one


class Health:
    """Asks an adapter's object, not too often. report() is for one thread at a time."""

    def __init__(self, instance: Any, now: Callable[[], float] = time.monotonic) -> None:
        """An object without a health() is healthy."""
        self._hook = getattr(instance, "health", None)
        self._now = now
        self._asked: Optional[float] = None
        self._report: dict[str, Any] = {"status": "ok", "loaded": []}

    @property
    def is_asked(self) -> bool:
        """Whether the object has a health() at all."""
        return callable(self._hook)

    def report(self) -> dict[str, Any]:
        """``status`` (``ok`` or ``unhealthy``), ``loaded`` labels, ``error``, and what else the adapter told.

        The hook returns a dict, a list of labels, a truth value, or None for healthy; what it raises is unhealthy. It
        must not wait: it is called between calls.
        """
        if not self.is_asked:
            return self._report
        now = self._now()
        if self._asked is None or now - self._asked >= FRESH_SECONDS:
            self._asked = now
            try:
                self._report = _as_report(self._hook())
            except BaseException as error:  # who asks must go on: it reads the stream
                self._report = {"status": "unhealthy", "loaded": [], "error": f"{type(error).__name__}: {error}"}
        return self._report


def _as_report(told: Any) -> dict[str, Any]:
    if isinstance(told, dict):
        report = dict(told)
        loaded = report.get("loaded_models", []) if "loaded" not in report else report["loaded"]
        good = report.get("status", "ok") in ("ok", "healthy", True) and report.get("healthy", True) is not False
        report["status"] = "ok" if good else "unhealthy"
    elif isinstance(told, (list, tuple, set, frozenset)):
        report, loaded = {"status": "ok"}, told
    else:
        report, loaded = {"status": "ok" if told is None or told else "unhealthy"}, ()
    if isinstance(loaded, str):
        loaded = [loaded]
    report["loaded"] = [_label(each) for each in list(loaded)[:LABELS_MAX]]
    return report


def _label(told: Any) -> str:
    """Short, and good UTF-8."""
    return str(told)[:LABEL_MAX].encode(errors="replace").decode()
