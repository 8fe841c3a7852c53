"""The session as Snakepit's adapters know it."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional

from . import current
from .context import CallContext
from .errors import ToolCallError, VariableError, VariableNotFound, also

if TYPE_CHECKING:
    from .variables import Variables


class Attributes:
    """Variables as attributes."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Variables) -> None:
        object.__setattr__(self, "_variables", variables)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._variables[name]
        except VariableNotFound as error:
            raise AttributeError(str(error)) from error

    def __setattr__(self, name: str, value: Any) -> None:
        self._variables[name] = value


class SessionContext:
    """Speaks of the running call's session, or of the one it was made for.

    An adapter that is given one may keep it: it always means the call that runs now. In ``thread`` and ``async`` pools
    a thread that a tool has started itself must be given Python's context for that (``asyncio.to_thread()``,
    ``contextvars.copy_context().run``).
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
        call = current.call()
        return call.session_id if call else ""

    @property
    def request_metadata(self) -> dict[str, Any]:
        """What came with the request besides its arguments."""
        if self._metadata is not None:
            return self._metadata
        call = current.call()
        return dict(getattr(call, "metadata", None) or {})

    @property
    def elixir_tools(self) -> dict[str, Any]:
        """The tools that can be called from here, by name, each with name, description and parameters."""
        call = current.call()
        return dict(getattr(call, "tools", None) or {})

    async def aelixir_tools(self) -> dict[str, Any]:
        """The same for async code, where ``elixir_tools`` would have to wait, and raises RuntimeError."""
        call = current.call()
        return dict(await call.atools()) if call else {}

    def call_elixir_tool(self, tool_name: str, parameters: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Any:
        """Call a tool of the gateway's, with a dict or by keywords.

        In async code it returns an awaitable. Raises ValueError if there is none of that name, and RuntimeError when
        something else goes wrong: a ToolCallError too, with its ``code`` and the rest, and what the tool has raised.
        """
        try:
            value = _running().call_tool(tool_name, {**(parameters or {}), **kwargs})
        except Exception as error:
            raise _translated(tool_name, error) from error
        return _awaited(tool_name, value) if inspect.isawaitable(value) else value

    call_tool = call_elixir_tool

    @property
    def variables(self) -> Variables:
        """The session's variables."""
        variables: Variables = _running().variables
        if self._session_id:
            variables.turn_to(self._session_id)
        return variables

    @property
    def v(self) -> Attributes:
        """The variables as attributes: ``context.v.temperature = 0.7``."""
        return Attributes(self.variables)

    def register_variable(
        self, name: str, type: Any, initial_value: Any, constraints: Optional[Mapping[str, Any]] = None,
        metadata: Any = None,
    ) -> str:  # fmt: skip
        """Make a variable that is not there yet; its name. ``metadata`` is not kept. Raises VersionConflict."""
        kind = str(getattr(type, "value", type)).lower()
        self.variables.set(name, initial_value, kind, constraints, expected_version=0)
        return name

    def get_variable(self, name: str) -> Any:
        """Its value. Raises VariableNotFound."""
        return self.variables[name]

    def update_variable(self, name: str, value: Any, metadata: Any = None) -> None:
        """Write a variable that is there. ``metadata`` is not kept. Raises VariableNotFound."""
        self.variables.version(name)
        self.variables.set(name, value)

    def delete_variable(self, name: str) -> None:
        """Raises VariableNotFound."""
        self.variables.delete(name)

    def list_variables(self, pattern: Optional[str] = None) -> list[dict[str, Any]]:
        """What there is, or what fits a pattern such as ``model.*``."""
        found = self.variables.all().values()
        return [each._asdict() for each in found if pattern is None or fnmatch.fnmatchcase(each.name, pattern)]

    def get_variables(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of those that are there."""
        return self.variables.get_many(names)

    def update_variables(self, updates: Mapping[str, Any], atomic: bool = True) -> dict[str, Any]:
        """Write several, all or none; otherwise each for itself, and the answer says for each True or what is wrong."""
        if atomic:
            self.variables.update(updates)
            return dict.fromkeys(updates, True)
        told: dict[str, Any] = {}
        for name, value in updates.items():
            try:
                self.variables.set(name, value)
                told[name] = True
            except VariableError as error:
                told[name] = str(error)
        return told

    @contextmanager
    def batch_updates(self) -> Iterator[dict[str, Any]]:
        """A dict of what is to be written, all or none, when the block ends without an exception."""
        updates: dict[str, Any] = {}
        yield updates
        if updates:
            self.variables.update(updates)

    def set_cache_ttl(self, seconds: float) -> None:
        """See Variables.set_cache_ttl()."""
        self.variables.set_cache_ttl(seconds)

    def clear_cache(self) -> None:
        """See Variables.clear_cache()."""
        self.variables.clear_cache()

    def __getitem__(self, name: str) -> Any:
        return self.variables[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.variables[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.variables

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
    kind: type[Exception] = RuntimeError
    message = f"Failed to call Elixir tool: {error}"
    if getattr(error, "code", "") == "tool_not_found":
        kind, message = ValueError, f"Elixir tool '{tool_name}' not found: {error}"
    return also(error, kind, message) if isinstance(error, ToolCallError) else kind(message)


def _running() -> CallContext:
    call = current.call()
    if call is None:
        raise RuntimeError("no call is running here" if current.call_or_advice() is None else current.ADVICE)
    return call
