"""The base class of adapters: objects whose methods are tools."""

from __future__ import annotations

from typing import Callable, Optional

from .context import CallContext


class BaseAdapter:
    """A set of tools with a life: one object per worker process, so what it loads stays loaded.

    Methods marked with ``@tool`` are announced to the gateway; without any mark, all public methods are.
    """

    _context_source: Optional[Callable[[], Optional[CallContext]]] = None

    def initialize(self) -> None:
        """Called once in each worker, before its first call."""

    def cleanup(self) -> None:
        """Called once, when the worker leaves in good order."""

    @property
    def context(self) -> Optional[CallContext]:
        """The call that runs now, None outside of calls."""
        return self._context_source() if self._context_source else None

    @property
    def session_id(self) -> str:
        """The session of the call that runs now, or an empty string."""
        context = self.context
        return context.session_id if context else ""
