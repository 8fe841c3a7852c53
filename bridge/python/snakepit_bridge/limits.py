"""Limits that the gateway's configuration sets.

A worker finds them in its environment, by the names that server/config/sdk_limits.c gives them. A pool's own ``env``
goes before.
"""

from __future__ import annotations

from collections.abc import Mapping


def number(environment: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from the environment, or the default if there is none."""
    try:
        return int(environment.get(name, "").strip())
    except ValueError:
        return default


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """A time from the environment, or the default if there is none."""
    try:
        return float(environment.get(name, ""))
    except ValueError:
        return default
