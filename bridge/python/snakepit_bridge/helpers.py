"""SnakeBridge's helpers: functions that an allowed module offers under short names, in ``__snakebridge_helpers__``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Callable

from .allowed import Modules
from .errors import ToolError

_OFFER = "__snakebridge_helpers__"  # a dict of functions by name


class HelperNotFoundError(ToolError):
    """No allowed module offers it."""


def find(modules: Modules, name: Any) -> Callable[..., Any]:
    """The helper of that name; of several, that of the module that is listed first. Raises HelperNotFoundError."""
    for offered in _offers(modules):
        if isinstance(name, str) and callable(offered.get(name)):
            return offered[name]
    raise HelperNotFoundError(f"there is no helper {name!r}", 404, "helper_not_found")


def listed(modules: Modules) -> list[dict[str, Any]]:
    """All of them, by name: each with its parameters and its docstring."""
    found: dict[str, dict[str, Any]] = {}
    for offered in _offers(modules):
        for name, function in offered.items():
            if callable(function):
                found.setdefault(str(name), _describe(str(name), function))
    return [found[name] for name in sorted(found)]


def _offers(modules: Modules) -> list[Mapping[str, Any]]:
    offers = (getattr(module, _OFFER, None) for module in modules.loaded())
    return [offered for offered in offers if isinstance(offered, Mapping)]


def _describe(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = [_parameter(each) for each in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):  # some built-in functions have no signature
        parameters = []
    return {"name": name, "parameters": parameters, "docstring": inspect.getdoc(function) or ""}


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"name": parameter.name, "kind": parameter.kind.name}
    if parameter.default is not inspect.Parameter.empty:
        described["default"] = parameter.default
    return described
