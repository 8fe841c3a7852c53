"""Where Snakepit's adapters import from."""

from __future__ import annotations

from .adapter import BaseAdapter
from .registration import ParameterSpec, ToolRegistration
from .tools import ToolMetadata, tool

__all__ = ["BaseAdapter", "ParameterSpec", "ToolMetadata", "ToolRegistration", "tool"]
