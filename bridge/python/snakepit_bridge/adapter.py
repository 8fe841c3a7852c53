"""The base class of adapters: objects whose methods are tools."""

from __future__ import annotations

from typing import Any, Optional

from . import current
from .context import CallContext


class BaseAdapter:
    """A set of tools with a life: one object per worker process, so what it loads stays loaded.

    Methods marked with ``@tool`` are announced to the gateway; without any mark, all public methods are. With
    ``scope = "session"`` in the class each session has an object of its own, with ``scope = "call"`` each call.
    ``health()`` and ``on_session_start(session_id)`` are called if the adapter has them (bridge/python/README.md).
    """

    scope = "worker"
    _holds_no_tools = True  # the methods of this very class are not the adapter's
    _session_context: Any = None

    def initialize(self) -> Any:
        """Called once for each object, before its first call. May be async."""

    def after_fork(self) -> Any:
        """Called once in each worker that is forked from a warm one (``refork_after``), instead of initialize().

        The object is as it was in the warm worker after its last call, caches and models included. What cannot be
        shared by processes, such as a connection or the state of an event loop, is to be made anew here. May be async.
        """

    def cleanup(self) -> Any:
        """Called when the object is not needed any more: the worker leaves in good order, or its scope ends."""

    @property
    def context(self) -> Optional[CallContext]:
        """The call that runs now, None outside of calls.

        Where several run at once (``thread`` and ``async`` pools), a thread that the tool has started itself knows it
        only if it was given it, and what is here is false otherwise, and any use of it a RuntimeError that says how.
        """
        return current.call_or_advice()  # type: ignore[no-any-return]

    @property
    def session_id(self) -> str:
        """The session of the call that runs now, or an empty string."""
        call = current.call()
        return call.session_id if call else ""

    # What Snakepit's adapters use besides.

    def set_session_context(self, session_context: Any) -> None:
        """Given a SessionContext that always speaks of the running call, before initialize()."""
        self._session_context = session_context
        self.session_context = session_context

    def get_tools(self) -> list[Any]:
        """The tools of this adapter, as ToolRegistration objects."""
        from .registration import registrations

        return registrations(self)

    def call_tool(self, tool_name: str, /, **kwargs: Any) -> Any:
        """Call a method by its name. Raises AttributeError or TypeError if there is none."""
        method = getattr(self, tool_name, None)
        if method is None:
            raise AttributeError(f"Tool '{tool_name}' not found in {type(self).__name__}")
        if not callable(method):
            raise TypeError(f"'{tool_name}' is not a callable tool")
        return method(**kwargs)

    def register_with_session(self, session_id: str, stub: Any = None) -> list[str]:
        """The names of the tools. They are announced when the worker attaches; there is nothing left to register."""
        return [item.name for item in self.get_tools()]

    async def register_with_session_async(self, session_id: str, stub: Any = None) -> list[str]:
        """The same, awaitable."""
        return self.register_with_session(session_id, stub)
