"""Tools: functions that the gateway may call, and where they are found."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from itertools import islice
from types import ModuleType
from typing import Any, Callable, Optional, Union

from . import callables, dialect, docstring, values
from .chunk import unpack
from .errors import LoadError
from .parameters import Parameters

_MARK = "_tool_metadata"
DEFAULT_BATCH, MAX_BATCH = 32, 64  # calls; a worker has 256, of which as many may wait as run
_MAX_TIMEOUT = 1e9  # seconds
_LATEST = 0.2  # weight of the latest run in a tool's average
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOOKS = (  # called by the worker, not by callers
    "initialize", "cleanup", "health", "on_session_start", "set_session_context", "execute_tool", "get_tools",
    "call_tool", "register_with_session", "register_with_session_async",
)  # fmt: skip


class ToolMetadata:
    """What ``@tool`` was told; functions carry it as ``_tool_metadata``."""

    def __init__(
        self,
        description: str = "",
        supports_streaming: bool = False,
        parameters: Any = None,
        required_variables: Any = None,
        name: str = "",
        idempotent: bool = False,
        batch: Union[bool, int] = False,
        tagged: bool = False,
        raw: bool = False,
        timeout: Optional[float] = None,
        queue_timeout: Optional[float] = None,
        run_timeout: Optional[float] = None,
        idle_timeout: Optional[float] = None,
    ) -> None:
        self.description = description
        self.supports_streaming = supports_streaming
        self.parameters = parameters
        self.required_variables = list(required_variables or ())
        self.name = name
        self.idempotent = idempotent
        self.batch = batch
        self.tagged = tagged
        self.raw = raw
        self.timeout = timeout
        self.queue_timeout = queue_timeout
        self.run_timeout = run_timeout
        self.idle_timeout = idle_timeout

    def check(self, tool: str) -> None:
        """Raises LoadError, which names that tool, for what makes no sense."""
        for name in ("timeout", "queue_timeout", "run_timeout", "idle_timeout"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (is_number and 0 <= value <= _MAX_TIMEOUT):
                raise LoadError(f"tool {tool!r}: {name} must be seconds, from 0 (no limit) to 1e9, not {value!r}")
        if not isinstance(self.batch, int) or self.batch < 0:
            raise LoadError(f"tool {tool!r}: batch must be True, False or how many calls it takes, not {self.batch!r}")
        for name in ("name", "description"):
            if not isinstance(getattr(self, name), str):
                raise LoadError(f"tool {tool!r}: {name} must be a text, not {getattr(self, name)!r}")


def tool(
    function: Any = None,
    supports_streaming: bool = False,
    required_variables: Any = None,
    *,
    name: str = "",
    description: str = "",
    idempotent: bool = False,
    parameters: Any = None,
    batch: Union[bool, int] = False,
    tagged: bool = False,
    raw: bool = False,
    timeout: Optional[float] = None,
    queue_timeout: Optional[float] = None,
    run_timeout: Optional[float] = None,
    idle_timeout: Optional[float] = None,
) -> Any:
    """Mark a function or method as a tool, as ``@tool`` or ``@tool(description="…")``; the description may come first.

    ``idempotent`` says that running it twice does no harm, so that it may be retried after a crash. ``parameters``
    takes the place of what the signature says: a JSON Schema, or a list of dicts with name, type, description, required
    and default. A ``batch`` tool takes a list of calls, each a dict of arguments, and returns as many results, of
    which any may be an exception; a number is how many calls it takes at most (else 32, and never more than 64). They
    are those of one session, or of none, that waited when a slot of the worker was free. The results of a ``tagged``
    tool keep the types that JSON lacks (tags.py); the arguments of a ``raw`` one are JSON data with the tags still on
    them. ``required_variables`` is passed on. ``timeout`` limits its calls in all, ``queue_timeout`` their wait,
    ``run_timeout`` their run and ``idle_timeout`` the silence of their streams, in seconds; callers may ask for less.
    """
    if isinstance(function, str):  # Snakepit's first parameter is the description
        function, description = None, function
    mark = ToolMetadata(
        name=name,
        description=description,
        idempotent=idempotent,
        supports_streaming=supports_streaming,
        parameters=parameters,
        required_variables=required_variables,
        batch=batch,
        tagged=tagged,
        raw=raw,
        timeout=timeout,
        queue_timeout=queue_timeout,
        run_timeout=run_timeout,
        idle_timeout=idle_timeout,
    )

    return _marking(mark) if function is None else _marking(mark)(function)


def _marking(mark: ToolMetadata) -> Callable[[Any], Any]:
    """What marks a function, or an object that can be called as one; raises LoadError for anything else."""

    def decorate(target: Any) -> Any:
        function = _unwrap(target)
        if isinstance(function, type) or not callable(function):
            raise LoadError(f"@tool is for functions, and for objects that can be called, not for {target!r}")
        try:
            setattr(function, _MARK, mark)
        except AttributeError as error:
            raise LoadError(f"@tool cannot mark {target!r}: {error}; write a function that calls it") from error
        return target

    return decorate


def mark_of(item: Any) -> Optional[ToolMetadata]:
    """What ``@tool`` was told of a function or method, None if it was not marked."""
    try:
        mark = getattr(_unwrap(item), _MARK, None)
    except Exception:  # of an object that stands for another, which is not there yet
        return None
    return mark if isinstance(mark, ToolMetadata) else None


class Tool:
    """One callable of an adapter: how it is announced, how it is called, and how long it usually runs."""

    __slots__ = (
        "attribute", "average_ns", "batch_size", "description", "function", "idempotent", "in_loop",
        "is_async", "mark", "name", "parameters", "schema", "streaming",
    )  # fmt: skip

    def __init__(self, attribute: str, function: Callable[..., Any], is_method: bool) -> None:
        """``function`` as the class or module has it; bind() is called before the first call."""
        mark = self.mark = mark_of(function) or ToolMetadata()
        mark.check(attribute)
        self.attribute = attribute
        self.name = mark.name or attribute
        if not _NAME.fullmatch(self.name):
            raise LoadError(
                f"tool name {self.name!r} is not allowed: letters, digits, '_', '.' and '-', beginning with a letter"
                " or digit, at most 64 bytes"
            )
        self.function = function
        self.parameters = Parameters(self.name, function, is_method, bool(mark.batch), mark.raw)
        code = callables.function_of(function)
        self.description = mark.description or docstring.summary(code)
        self.schema = values.encode(self.parameters.schema(function, mark.parameters))
        self.idempotent = mark.idempotent
        # A decorator's function may return what the one below it does, or something else: what it was, its value shows.
        codes = [code, inspect.unwrap(code)]
        self.is_async = inspect.iscoroutinefunction(code)
        yields_later = any(map(inspect.isasyncgenfunction, codes))
        generates = yields_later or any(map(inspect.isgeneratorfunction, codes))
        self.streaming = mark.supports_streaming or generates or bool(self.parameters.stream)
        self.in_loop = yields_later or any(map(inspect.iscoroutinefunction, codes))
        self.average_ns = -1.0  # of its run time, moving; negative before the first run
        self.batch_size = DEFAULT_BATCH if mark.batch is True else min(mark.batch, MAX_BATCH)
        if self.batch_size and self.streaming:
            raise LoadError(f"the batch tool {self.name!r} cannot stream: its calls have one result each")

    def bind(self, function: Callable[..., Any]) -> None:
        """Call this from now on: a method of the adapter's object, or what stands for it."""
        self.function = self._tagging(function) if self.mark.tagged and not self.batch_size else function

    def _tagging(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with finish() applied to what it returns, or to each of the items that it streams."""

        def tagged(value: Any) -> Any:
            if inspect.iscoroutine(value):
                return later(value)
            if self.streaming and hasattr(value, "__anext__"):
                return _each_later(value, self.finish)
            return _each(value, self.finish) if self.streaming and hasattr(value, "__next__") else self.finish(value)

        async def later(value: Any) -> Any:
            return tagged(await value)

        return lambda **arguments: tagged(function(**arguments))

    def note(self, took_ns: int) -> None:
        """It has run for so long, for one call or for many."""
        average = self.average_ns
        self.average_ns = took_ns if average < 0 else average + (took_ns - average) * _LATEST

    def finish(self, value: Any) -> Any:
        """A result, with tags if it is to have some."""
        return values.tagged(value) if self.mark.tagged and not _is_body(value) else value

    def results(self, outcome: Any, count: int) -> list[Any]:
        """Those of ``count`` calls, of what a batch tool has returned or raised; some or all may be exceptions.

        Raises TypeError if they are not so many.
        """
        if isinstance(outcome, BaseException):
            return [outcome] * count
        found = self.listed(outcome, count)
        if len(found) != count:
            shown = f"more than {count}" if len(found) > count else len(found)
            raise TypeError(f"a batch tool returned {shown} results for {count} calls")
        return found

    @staticmethod
    def listed(outcome: Any, count: int) -> list[Any]:
        """What a batch tool has returned, up to one more than ``count``. Raises TypeError if it is no iterable."""
        if type(outcome) is list:
            return outcome
        if isinstance(outcome, (str, bytes, bytearray, Mapping)) or not hasattr(type(outcome), "__iter__"):
            raise TypeError(f"a batch tool returned {type(outcome).__name__} for {count} calls")
        return list(islice(outcome, count + 1))


def _is_body(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview, values.Binary))


def _each(items: Any, finish: Callable[[Any], Any]) -> Any:
    while True:
        try:
            item = next(items)
        except StopIteration as end:
            return None if end.value is None else finish(end.value)
        yield finish(unpack(item)[0])


async def _each_later(items: Any, finish: Callable[[Any], Any]) -> Any:
    async for item in items:
        yield finish(unpack(item)[0])


def collect(target: Any) -> list[Tool]:
    """The tools of a module or class. Raises LoadError when there are none or one of them cannot be used."""
    found = _of_module(target) if isinstance(target, ModuleType) else _of_class(target)
    marked = {name: item for name, item in found.items() if mark_of(item)}
    is_class = not isinstance(target, ModuleType)
    tools = []
    for name, item in (marked or found).items():
        is_method = is_class and not isinstance(item, staticmethod) and hasattr(item, "__get__")
        tools.append(Tool(name, _unwrap(item), is_method))
    if is_class and dialect.dispatches(target) and not any(item.name == "execute_tool" for item in tools):
        tools.append(Tool("execute_tool", dialect.execute_tool, True))
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
        return {name: members[name] for name in chosen if _is_chosen(members.get(name))}
    return {
        name: item
        for name, item in members.items()
        if mark_of(item) or (inspect.isfunction(item) and _is_public(name) and item.__module__ == module.__name__)
    }


def _of_class(cls: type) -> dict[str, Any]:
    """Public methods of the class and its bases, a derived class's own version first.

    What takes the place of a tool of a base class is that tool, with or without a mark of its own.
    """
    found: dict[str, Any] = {}
    for base in reversed([b for b in cls.__mro__ if b is not object and not vars(b).get("_holds_no_tools")]):
        for name, item in vars(base).items():
            mark = mark_of(found.pop(name, None))
            if mark and callable(_unwrap(item)) and not mark_of(item):
                _marking(mark)(item)
            if mark_of(item) or (inspect.isfunction(_unwrap(item)) and _is_public(name)):
                found[name] = item
    return found


def _is_chosen(item: Any) -> bool:
    return inspect.isroutine(item) or mark_of(item) is not None


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _HOOKS
