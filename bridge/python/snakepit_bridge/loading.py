"""Finding the adapter that the gateway names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import dialect, scopes, tools
from .errors import LoadError
from .health import Health

_ALLOW = "SNAKEPIT_SNAKEBRIDGE_ALLOW"  # in the environment: modules for snakebridge.call, with commas between them


class Adapter:
    """A loaded module or class and its tools; the object is made later, in each worker."""

    def __init__(self, name: str, modules: Sequence[str] = ()) -> None:
        """``name`` is ``module`` or ``module.Class``; ``modules`` are those that snakebridge.call may reach.

        Raises LoadError, or whatever its import raises.
        """
        self.name = name
        self.target = _find(name)
        self.tools = tools.collect(self.target)
        self._modules = [*modules, *os.environ.get(_ALLOW, "").split(",")]
        self._enders: list[Any] = []  # what is told that a session has ended
        self._health = Health(None)
        self._place: Any = None  # the started object's, if forks of this process are to find it as it is

    def start(self, loop: Any) -> Any:
        """What the worker's hooks are called on: the adapter's object, initialized, or what makes such objects.

        The module itself for plain functions. Raises what the object does. ``loop`` is an EventLoop, for async hooks.
        """
        if self._place is not None:
            return self._start_again(loop)
        place = scopes.place_for(self.target, loop)
        self._enders, self._health = [place], Health(place.instance)
        for item in self.tools:
            self._bind(place, item)
        self._add_table(place)
        if any(self._modules):
            self._add_snakebridge()
        return _hooked(place)

    def keep(self) -> None:
        """Have start(), in forks of this process, give the object that it made here, as its last call left it.

        Sessions do not outlive their worker: theirs is forgotten.
        """
        for ender in self._enders:
            ender.end_sessions()
        self._place = self._enders[0]

    def _start_again(self, loop: Any) -> Any:
        hook = getattr(self._place.instance, "after_fork", None)
        if callable(hook):
            loop.call(hook)
        return _hooked(self._place)

    def end_session(self, session_id: str) -> None:
        """That session is over: clean up the object made for it, and let go of its references. For any thread."""
        for ender in self._enders:
            ender.end_session(session_id)

    @property
    def has_health(self) -> bool:
        """Whether it says anything about itself."""
        return self._health.is_asked

    def health(self) -> dict[str, Any]:
        """What the worker's object says about itself (see Health). For one thread at a time."""
        return self._health.report()

    def _bind(self, place: Any, item: tools.Tool) -> None:
        is_marked = tools.mark_of(item.function) is not None
        place.bind(item, lambda instance: dialect.method(instance, item.attribute, is_marked))

    def _add_table(self, place: Any) -> None:
        """Announce what the adapter's own execute_tool() finds by name, as far as it can be seen."""
        taken = {item.name for item in self.tools}
        for name, function in dialect.table(place.instance).items() if place.instance is not None else ():
            if name in taken:
                continue
            try:
                item = tools.Tool(name, function, True)
            except LoadError as error:
                print(f"snakepit_bridge: {error}", file=sys.stderr)
                continue
            place.bind(item, lambda instance, name=name: dialect.method(instance, name, True))
            self.tools.append(item)

    def _add_snakebridge(self) -> None:
        from . import snakebridge  # most pools have no use for it

        if self.target is snakebridge.SnakeBridge:
            return
        bridge = snakebridge.SnakeBridge(self._modules)
        self._enders.append(bridge)
        taken = {item.name for item in self.tools}
        for item in tools.collect(snakebridge.SnakeBridge):
            if item.name in taken:
                raise LoadError(f"{self.name} has a tool named {item.name!r}, as SnakeBridge has")
            item.bind(getattr(bridge, item.attribute))
            self.tools.append(item)


def _hooked(place: Any) -> Any:
    return place.instance if type(place) is scopes.Place else place


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
