"""Snakepit's adapters that find their tools by name themselves: ``execute_tool(tool_name, arguments, context)``."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional

from .errors import ToolError
from .session_context import SessionContext

_TABLES = "tools"  # how the name of an attribute ends that holds functions by the names of tools


def dispatches(target: type) -> bool:
    """Whether a class has an execute_tool() of that form, which is no tool itself."""
    method = getattr(target, "execute_tool", None)
    if method is None or hasattr(method, "_tool_metadata"):
        return False
    try:
        return len(inspect.signature(method).parameters) >= 4  # with self
    except (TypeError, ValueError):
        return False


def execute_tool(self: Any, tool_name: str, arguments: Optional[dict[str, Any]] = None) -> Any:
    """Run a tool by its name, as the adapter's own execute_tool() does."""
    result = self.execute_tool(tool_name, arguments or {}, SessionContext())
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise ToolError(f"{tool_name} streams its results: call it by its own name", 422, "invalid_arguments")
    return result


def method(instance: Any, attribute: str, is_marked: bool) -> Callable[..., Any]:
    """What runs that tool of an adapter's object: its own execute_tool(), if it has one, for all that are marked."""
    if not isinstance(instance, type) and dispatches(type(instance)):
        if attribute == "execute_tool":
            return lambda **arguments: execute_tool(instance, **arguments)
        if is_marked:
            session = SessionContext()
            return lambda **arguments: instance.execute_tool(attribute, arguments, session)
    return getattr(instance, attribute)


def table(instance: Any) -> dict[str, Callable[..., Any]]:
    """Functions that a dispatching adapter's object keeps by name, in dicts whose own name ends in ``tools``.

    A function's first parameter is the context. Objects with a ``func`` stand for that.
    """
    found: dict[str, Callable[..., Any]] = {}
    if dispatches(type(instance)):
        for name, value in vars(instance).items():
            if name.lower().endswith(_TABLES) and isinstance(value, dict):
                found.update({key: getattr(item, "func", item) for key, item in value.items() if _is_tool(key, item)})
    return found


def _is_tool(name: Any, item: Any) -> bool:
    function = getattr(item, "func", item)
    return isinstance(name, str) and inspect.isroutine(function)
