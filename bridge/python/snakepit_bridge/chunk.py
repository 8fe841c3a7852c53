"""Items of a stream, as Snakepit's adapters yield them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional


class StreamChunk:
    """One item, and whether it is the last one."""

    __slots__ = ("data", "is_final", "metadata")

    def __init__(self, data: Any, is_final: bool = False, metadata: Optional[Mapping[str, Any]] = None) -> None:
        self.data = data
        self.is_final = is_final
        self.metadata = dict(metadata or {})


def unpack(item: Any) -> tuple[Any, bool]:
    """The data of what a stream yielded, and whether it is the last: of a StreamChunk, or of anything formed alike."""
    if type(item) in (dict, str, int, float, list, bool, bytes):
        return item, False
    try:
        return item.data, bool(item.is_final)
    except Exception:  # it has none of that, or what it has is something else
        return item, False
