"""Served to be measured."""

from typing import Any, Dict


def echo(**anything: Any) -> Dict[str, Any]:
    """Return the arguments."""
    return anything


def mirror(body: bytes) -> bytes:
    """Return the bytes that came."""
    return body
