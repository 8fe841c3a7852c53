"""Python tools behind Snakepit.

``from snakepit_bridge import BaseAdapter, tool`` is all that a tool's author needs; ``python3 -m snakepit_bridge`` is
the process that the gateway starts.
"""

from .adapter import BaseAdapter
from .chunk import StreamChunk
from .context import CallContext
from .errors import Cancelled, ToolError
from .logging_config import configure_logging, get_logger
from .session_context import SessionContext
from .tools import tool
from .values import Binary

__version__ = "0.1.0"
__all__ = [
    "BaseAdapter",
    "Binary",
    "CallContext",
    "Cancelled",
    "SessionContext",
    "StreamChunk",
    "ToolError",
    "configure_logging",
    "get_logger",
    "tool",
]
