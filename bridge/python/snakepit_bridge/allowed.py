"""Which modules and attributes SnakeBridge's callers may reach.

To allow a module is to trust callers with all that it does: its functions run with what they are given. What is kept
from them is the way from there to modules that were not allowed, by attributes or by what was imported there.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterable
from typing import Any

from .errors import ToolError

_INSIDES = (types.FrameType, types.CodeType, types.TracebackType, types.CellType)
_CALLABLES = (type, types.FunctionType, types.BuiltinFunctionType)


class ModuleNotAllowedError(ToolError):
    """The module, or what an attribute leads to, is not on the pool's list."""


class Modules:
    """A list of modules; each stands for those below it, too."""

    def __init__(self, names: Iterable[str]) -> None:
        """``names`` are dotted. An empty list allows nothing."""
        self._names = tuple(name.strip() for name in names if name.strip())

    def load(self, name: Any) -> types.ModuleType:
        """The module, imported. Raises ModuleNotAllowedError, or whatever its import raises."""
        if not isinstance(name, str) or not self._lists(name):
            raise _refused(f"the module {name!r} is not allowed in this pool")
        return importlib.import_module(name)

    def loaded(self) -> list[types.ModuleType]:
        """Those on the list that can be imported, in its order."""
        found = []
        for name in self._names:
            try:
                found.append(importlib.import_module(name))
            except ImportError:
                continue
        return found

    def attribute(self, owner: Any, name: Any) -> Any:
        """An attribute, by a name that may have dots in it. Raises ModuleNotAllowedError, or AttributeError."""
        self.check(owner)
        for part in self._parts(name):
            origin, owner = owner, getattr(owner, part)
            self.check(owner, origin, part)
        return owner

    def assign(self, owner: Any, name: Any, value: Any) -> None:
        """Set an attribute of an object; modules, classes and functions are everybody's."""
        *path, last = self._parts(name)
        owner = self.attribute(owner, ".".join(path)) if path else owner
        self.check(owner)
        if isinstance(owner, (types.ModuleType, *_CALLABLES)):
            raise _refused(f"attributes of the {type(owner).__name__} {_name_of(owner)!r} cannot be set")
        setattr(owner, last, value)

    def check(self, value: Any, origin: Any = None, name: str = "") -> None:
        """Raises ModuleNotAllowedError for a value that callers may not have. It was ``name`` in ``origin``."""
        if not self.admits(value, origin, name):
            raise _refused(f"the {type(value).__name__} {_name_of(value)!r} is not allowed in this pool")

    def admits(self, value: Any, origin: Any = None, name: str = "") -> bool:
        """Whether callers may have a value. It was found under ``name`` in ``origin``, if those are given."""
        if isinstance(value, types.ModuleType):
            return self._lists(value.__name__) or self._lists_alias(value)
        if isinstance(value, _INSIDES):
            return False
        if not isinstance(value, _CALLABLES):
            return True
        home = getattr(value, "__module__", None)
        if not isinstance(home, str) or self._lists(home):
            return True
        return _is_exported(origin, name) or _is_method(origin, value)

    def _lists(self, name: str) -> bool:
        return any(name == listed or name.startswith(f"{listed}.") for listed in self._names)

    def _lists_alias(self, module: types.ModuleType) -> bool:
        """Whether it is a listed one by another name, as posixpath is os.path."""
        import sys

        return any(sys.modules.get(name) is module for name in self._names)

    def _parts(self, name: Any) -> list[str]:
        if not isinstance(name, str) or not name:
            raise ToolError("the name of a function or attribute is missing", 422, "invalid_arguments")
        parts = name.split(".")
        for part in parts:
            if not part.isidentifier() or part.startswith("_"):
                raise _refused(f"the name {name!r} is not public")
        return parts


def _is_exported(origin: Any, name: str) -> bool:
    """Whether a module offers a name as its own though it is defined elsewhere (functools.reduce, say)."""
    return isinstance(origin, types.ModuleType) and name in getattr(origin, "__all__", ())


def _is_method(origin: Any, value: Any) -> bool:
    """Whether a built-in is the method of the very object that it was found in."""
    return origin is not None and getattr(value, "__self__", None) is origin


def _name_of(value: Any) -> str:
    return str(getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__name__)


def _refused(message: str) -> ModuleNotAllowedError:
    return ModuleNotAllowedError(message, 403, "module_not_allowed")
