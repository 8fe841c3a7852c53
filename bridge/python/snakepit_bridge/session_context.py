"""The session as Snakepit's adapters know it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Optional

from . import context
from .context import CallContext


class SessionContext:
    """Speaks of the running call's session, or of the one it was made for.

    An adapter that is given one may keep it: it always means the call that runs now, in any thread of a worker.
    """

    def __init__(
        self, stub: Any = None, session_id: Optional[str] = None, request_metadata: Optional[Mapping[str, Any]] = None
    ) -> None:
        """``stub`` is accepted and not used: the worker's own stream carries everything."""
        self.stub = stub
        self._session_id = session_id
        self._metadata = None if request_metadata is None else dict(request_metadata)

    @property
    def session_id(self) -> str:
        """The session, or an empty string."""
        if self._session_id is not None:
            return self._session_id
        call = context.current()
        return call.session_id if call else ""

    @property
    def request_metadata(self) -> dict[str, Any]:
        """What came with the request besides its arguments."""
        if self._metadata is not None:
            return self._metadata
        call = context.current()
        return dict(getattr(call, "metadata", None) or {})

    @property
    def elixir_tools(self) -> dict[str, Any]:
        """The tools that can be called from here, by name, each with name, description and parameters."""
        call = context.current()
        return dict(getattr(call, "tools", None) or {})

    def call_elixir_tool(self, tool_name: str, parameters: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Any:
        """Call a tool of the gateway's, with a dict or by keywords.

        In async code it returns an awaitable. Raises ValueError if there is none of that name, and RuntimeError from
        what else goes wrong.
        """
        try:
            value = _running().call_tool(tool_name, {**(parameters or {}), **kwargs})
        except Exception as error:
            raise _translated(tool_name, error) from error
        return _awaited(tool_name, value) if inspect.isawaitable(value) else value

    call_tool = call_elixir_tool

    @property
    def variables(self) -> Any:
        """The session's variables."""
        return _running().variables  # type: ignore[attr-defined]

    def cleanup(self) -> None:
        """Nothing: what the gateway keeps for a session ends with it."""

    def __enter__(self) -> SessionContext:
        return self

    def __exit__(self, *_: Any) -> None:
        self.cleanup()

    def __repr__(self) -> str:
        return f"SessionContext(session_id={self.session_id!r})"


async def _awaited(tool_name: str, value: Any) -> Any:
    try:
        return await value
    except Exception as error:
        raise _translated(tool_name, error) from error


def _translated(tool_name: str, error: Exception) -> Exception:
    if getattr(error, "code", "") == "tool_not_found":
        return ValueError(f"Elixir tool '{tool_name}' not found: {error}")
    return RuntimeError(f"Failed to call Elixir tool: {error}")


def _running() -> CallContext:
    call = context.current()
    if call is None:
        raise RuntimeError("no call is running here")
    return call
