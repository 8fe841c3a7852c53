"""What stands in the place of a value that cannot be converted, so that it does not spoil the rest of a result."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Optional

from . import telemetry
from .limits import number
from .naming import clean, full_name

KEY = "__ffi_unserializable__"
TYPE_KEY = "__type__"
REPR_KEY = "__repr__"

REPR_DEFAULT = 500  # characters of a repr
REPR_MAX = 2000
TYPES_MAX = 10_000  # that an event is sent for
_WITH_REPR = ("repr_truncated", "repr_redacted_truncated")

_SECRETS = (  # compiled when first needed, and kept by re
    (r"(Authorization:\s*Bearer\s+)[^\s'\"\\]+", r"\1<REDACTED>"),
    (r"(Bearer\s+)[A-Za-z0-9\-._~+/]+=*", r"\1<REDACTED>"),
    (r"\bsk-[A-Za-z0-9_-]{10,}", "sk-<REDACTED>"),
    (
        r"""(["']?\b[\w-]*?(?:api[_-]?key|token|secret|password)["']?\s*[:=]\s*)"""
        r"""("[^"]*"?|'[^']*'?|[^\s,;)}\]"']+)""",
        r"\1<REDACTED>",
    ),
)


class Markers:
    """Makes markers as one policy says.

    ``detail`` is ``none`` (the type alone), ``type`` (a placeholder in the place of the repr), ``repr_truncated``, or
    ``repr_redacted_truncated``. Reprs may hold secrets, and redaction only finds the common ones: the default is none.
    """

    def __init__(self, detail: str = "none", repr_length: int = REPR_DEFAULT) -> None:
        """``repr_length`` is in characters, at most 2000."""
        self.detail = detail
        self.repr_length = max(0, min(repr_length, REPR_MAX))
        self._seen: set[str] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Markers:
        """By SNAKEPIT_UNSERIALIZABLE_DETAIL and SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN; what makes no sense is ignored."""
        detail = environment.get("SNAKEPIT_UNSERIALIZABLE_DETAIL", "none").strip().lower()
        return cls(detail, number(environment, "SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN", REPR_DEFAULT))

    def mark(self, value: Any) -> dict[str, Any]:
        """The marker for ``value``. Its repr is not even asked for unless the policy wants it.

        An event tells of the first value of each type, with the type alone.
        """
        name = clean(full_name(type(value)))
        made = {KEY: True, TYPE_KEY: name}
        detail = self._detail(value, name)
        if detail is not None:
            made[REPR_KEY] = detail
        if name not in self._seen and len(self._seen) < TYPES_MAX:
            self._seen.add(name)
            telemetry.emit("serialization.unserializable_marker", {"first_seen": 1}, {"type": name})
        return made

    def _detail(self, value: Any, name: str) -> Optional[str]:
        if self.detail == "type":
            return f"<unserializable {name}>"
        if self.detail not in _WITH_REPR:
            return None
        try:
            text = repr(value)
        except Exception:
            text = f"<repr failed for {name}>"
        if self.detail == "repr_redacted_truncated":
            text = redact(text)
        return clean(text[: self.repr_length])


def redact(text: str) -> str:
    """``text`` without what looks like a credential. It finds the common forms; it is no boundary to rely on."""
    for pattern, replacement in _SECRETS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text


def is_marker(value: Any) -> bool:
    """Whether this is a marker: only ``true`` under the key counts."""
    return isinstance(value, dict) and value.get(KEY) is True


def info(value: Any) -> Optional[dict[str, Any]]:
    """The ``type`` and ``repr`` of a marker, as far as it has them; None for anything else."""
    if not is_marker(value):
        return None
    return {name: value[key] for name, key in (("type", TYPE_KEY), ("repr", REPR_KEY)) if key in value}


markers = Markers.from_environment(os.environ)
"""Those of this process."""
