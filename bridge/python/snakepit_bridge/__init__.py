"""Python tools behind Snakepit.

``from snakepit_bridge import BaseAdapter, tool`` is all that a tool's author needs; ``python3 -m snakepit_bridge`` is
the process that the gateway starts.
"""

import importlib
from typing import Any

from .adapter import BaseAdapter
from .chunk import StreamChunk
from .context import CallContext
from .errors import (
    Cancelled,
    ConstraintViolation,
    ToolCallDeadlock,
    ToolCallDepthError,
    ToolCallError,
    ToolCallTimeout,
    ToolError,
    ToolNotFound,
    VariableError,
    VariableNotFound,
    VersionConflict,
)
from .recycling import request_recycle
from .session_context import SessionContext
from .stream import Stream
from .tools import tool
from .values import Binary

__version__ = "0.1.0"
__all__ = [
    "BaseAdapter",
    "Binary",
    "CallContext",
    "Cancelled",
    "ConstraintViolation",
    "HeartbeatClient",
    "HeartbeatConfig",
    "SessionContext",
    "Stream",
    "StreamChunk",
    "ToolCallDeadlock",
    "ToolCallDepthError",
    "ToolCallError",
    "ToolCallTimeout",
    "ToolError",
    "ToolNotFound",
    "VariableError",
    "VariableNotFound",
    "VersionConflict",
    "ZeroCopyRef",
    "configure_logging",
    "get_logger",
    "request_recycle",
    "tool",
]


_ELSEWHERE = {
    "HeartbeatClient": "heartbeat",
    "HeartbeatConfig": "heartbeat",
    "ZeroCopyRef": "zero_copy",
    "configure_logging": "logging_config",
    "get_logger": "logging_config",
}


def __getattr__(name: str) -> Any:
    """The names that few adapters use, imported when one does."""
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
