"""Finding the adapter that the gateway names."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from . import tools
from .errors import LoadError


class Adapter:
    """A loaded module or class and its tools; the object is made later, in each worker."""

    def __init__(self, name: str) -> None:
        """``name`` is ``module`` or ``module.Class``. Raises LoadError, or whatever its import raises."""
        self.name = name
        self.target = _find(name)
        self.tools = tools.collect(self.target)

    def start(self, loop: Any) -> Any:
        """The worker's adapter object (the module itself for plain functions), initialized. Raises what it raises.

        ``loop`` is an EventLoop, for an async initialize().
        """
        if isinstance(self.target, ModuleType):
            instance = self.target
        else:
            instance = self.target()
        for item in self.tools:
            item.bind(instance)
        hook = getattr(instance, "initialize", None)
        if callable(hook):
            loop.call(hook)
        return instance


def _find(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        module_name, _, class_name = name.rpartition(".")
        # An import that fails inside of the module is its own error, not a sign that the name means a class.
        if not class_name or error.name not in (name, *_parents(name)) or not module_name:
            raise
    module = importlib.import_module(module_name)
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise LoadError(f"module {module_name!r} has no class {class_name!r}")
    return found


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
