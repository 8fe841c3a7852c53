"""Snakepit's heartbeat of workers, for adapters that name it: here the gateway pings each worker by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

_TRUE = ("1", "true", "t", "yes", "y", "on")


@dataclass(frozen=True)
class HeartbeatConfig:
    """Snakepit's settings. What the gateway does is configured there (``heartbeat``)."""

    enabled: bool = True
    interval_ms: int = 2_000
    timeout_ms: int = 10_000
    max_missed_heartbeats: int = 3
    initial_delay_ms: int = 0
    jitter_ms: int = 0
    dependent: bool = True

    @classmethod
    def from_mapping(
        cls, options: Optional[Mapping[str, Any]], *, defaults: Optional[HeartbeatConfig] = None
    ) -> HeartbeatConfig:
        """From names in snake or camel case; others, and values that make no sense, are ignored."""
        found = asdict(defaults or cls())
        for key, value in (options or {}).items():
            name = re.sub("([A-Z])", r"_\1", str(key)).lower()
            if name in found:
                found[name] = _coerced(value, found[name])
        return cls(**found)


def _coerced(value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)
    try:
        return int(value)
    except (TypeError, ValueError):
        return default


class HeartbeatClient:
    """Can be made, started and stopped, and does nothing: whether the worker lives is seen without it."""

    def __init__(self, stub: Any, session_id: str, config: Optional[HeartbeatConfig] = None, **_: Any) -> None:
        self.config = config or HeartbeatConfig()

    def start(self) -> bool:
        """Whether it was started: never."""
        return False

    async def stop(self) -> None:
        """Nothing runs."""

    def status(self) -> dict[str, Any]:
        return {
            "enabled": self.config.enabled,
            "missed_heartbeats": 0,
            "last_ping_monotonic": None,
            "last_success_monotonic": None,
            "running": False,
            "dependent": self.config.dependent,
        }

    async def ping_once(self) -> None:
        """Nobody is asked."""
