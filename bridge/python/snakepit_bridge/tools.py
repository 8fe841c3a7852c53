"""Tools: functions that the gateway may call, and where they are found."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any, Callable, Optional

from . import docstring, values
from .adapter import BaseAdapter
from .errors import LoadError
from .parameters import Parameters

_MARK = "_snakepit_tool"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOOKS = ("initialize", "cleanup")  # called by the worker, not by callers


def tool(
    function: Optional[Callable[..., Any]] = None,
    *,
    name: str = "",
    description: str = "",
    idempotent: bool = False,
    supports_streaming: bool = False,
    required_variables: Any = None,
) -> Any:
    """Mark a function or method as a tool, as ``@tool`` or ``@tool(description="…")``.

    ``idempotent`` says that running it twice does no harm, so that it may be retried after a crash.
    ``required_variables`` is accepted for Snakepit's adapters and has no effect.
    """
    mark = {"name": name, "description": description, "idempotent": idempotent, "streaming": supports_streaming}

    def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
        setattr(_unwrap(target), _MARK, mark)
        return target

    return decorate if function is None else decorate(function)


class Tool:
    """One callable of an adapter: how it is announced, how it is called, and how long it usually runs."""

    __slots__ = (
        "attribute", "average_ns", "description", "function", "idempotent", "is_async", "name", "parameters",
        "schema", "streaming",
    )  # fmt: skip

    def __init__(self, attribute: str, function: Callable[..., Any], is_method: bool) -> None:
        """``function`` as the class or module has it; bind() is called before the first call."""
        mark = getattr(function, _MARK, {})
        self.attribute = attribute
        self.name = mark.get("name") or attribute
        if not _NAME.fullmatch(self.name):
            raise LoadError(
                f"tool name {self.name!r} is not allowed: letters, digits, '_', '.' and '-', beginning with a letter"
                " or digit, at most 64 bytes"
            )
        self.function = function
        self.parameters = Parameters(self.name, function, is_method)
        self.description = mark.get("description") or docstring.summary(function)
        self.schema = values.encode(self.parameters.schema(function))
        self.idempotent = bool(mark.get("idempotent"))
        self.is_async = inspect.iscoroutinefunction(function)
        generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self.streaming = bool(mark.get("streaming")) or generates
        self.average_ns = -1.0  # of its run time, moving; negative before the first run

    def bind(self, adapter: Any) -> None:
        """Call the adapter's own method from now on."""
        self.function = getattr(adapter, self.attribute)


def collect(target: Any) -> list[Tool]:
    """The tools of a module or class. Raises LoadError when there are none or one of them cannot be used."""
    found = _of_module(target) if isinstance(target, ModuleType) else _of_class(target)
    marked = {name: item for name, item in found.items() if hasattr(_unwrap(item), _MARK)}
    is_class = not isinstance(target, ModuleType)
    tools = []
    for name, item in (marked or found).items():
        is_method = is_class and not isinstance(item, staticmethod)
        tools.append(Tool(name, _unwrap(item), is_method))
    _check_names(target, tools)
    return tools


def _check_names(target: Any, tools: list[Tool]) -> None:
    if not tools:
        raise LoadError(f"{target.__name__} has no tools: no public functions, and none marked with @tool")
    seen: set[str] = set()
    for item in tools:
        if item.name in seen:
            raise LoadError(f"{target.__name__} has two tools named {item.name!r}")
        seen.add(item.name)


def _unwrap(item: Any) -> Any:
    return item.__func__ if isinstance(item, (staticmethod, classmethod)) else item


def _of_module(module: ModuleType) -> dict[str, Any]:
    """Those named by __all__, else the public functions that the module defines itself."""
    chosen = getattr(module, "__all__", None)
    members = vars(module)
    if chosen is not None:
        return {name: members[name] for name in chosen if inspect.isroutine(members.get(name))}
    return {
        name: item
        for name, item in members.items()
        if inspect.isfunction(item)
        and (hasattr(item, _MARK) or (_is_public(name) and item.__module__ == module.__name__))
    }


def _of_class(cls: type) -> dict[str, Any]:
    """Public methods of the class and its bases, a derived class's own version first."""
    found: dict[str, Any] = {}
    for base in reversed([b for b in cls.__mro__ if b not in (object, BaseAdapter)]):
        for name, item in vars(base).items():
            if inspect.isfunction(_unwrap(item)) and (_is_public(name) or hasattr(_unwrap(item), _MARK)):
                found[name] = item
            else:
                found.pop(name, None)
    return found


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _HOOKS
