"""What can be called as a function: functions, and objects that stand for one."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable


def function_of(thing: Any) -> Callable[..., Any]:
    """The function that has the annotations and the docstring of a partial, or of an object with ``__call__``."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing if inspect.isroutine(thing) or isinstance(thing, type) else type(thing).__call__
