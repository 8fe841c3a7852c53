"""Snakepit's handle of a value that lies elsewhere, for adapters that name it.

Here large values go through shared memory by themselves; a handle is no more than what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ZeroCopyRef:
    """A dict's members as attributes; as a result it is that dict again."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = payload
        self.kind = payload.get("kind")
        self.device = payload.get("device")
        self.dtype = payload.get("dtype")
        self.shape = payload.get("shape")
        self.owner = payload.get("owner")
        self.ref = payload.get("ref")
        self.copy = payload.get("copy")
        self.bytes = payload.get("bytes")
        self.metadata = payload.get("metadata", {})

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> ZeroCopyRef:
        return cls(payload)

    def to_payload(self) -> dict[str, Any]:
        return dict(self.payload)

    to_dict = to_payload

    def __repr__(self) -> str:
        return f"<ZeroCopyRef kind={self.kind} device={self.device} ref={self.ref}>"
