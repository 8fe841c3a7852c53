"""The objects of an adapter: one for the worker, one for each session, or one for each call."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import sys
import threading
from collections import OrderedDict
from types import ModuleType
from typing import Any, Callable

from . import current
from .asking import running_loop
from .errors import LoadError
from .session_context import SessionContext

SCOPES = ("worker", "session", "call")
OBJECTS_MAX = 256  # of sessions, in one worker; the adapter's ``session_objects_max`` is another
SEEN_MAX = 10_000  # sessions that have begun, in a worker whose sessions share an object

_Method = Callable[[Any], Callable[..., Any]]  # from the adapter's object to what runs the tool


class Place:
    """Where a call's object comes from. The base is the worker's one object."""

    def __init__(self, instance: Any) -> None:
        self.instance = instance

    def bind(self, tool: Any, method: _Method) -> None:
        """Have that tool run on the objects of this place."""
        tool.bind(method(self.instance))

    def end_session(self, session_id: str) -> None:
        """That session is over; the object made for it is cleaned up. For any thread."""

    def end_sessions(self) -> None:
        """All are over, as far as this process is concerned."""


class _Entry:
    """One object in use or kept."""

    __slots__ = ("lock", "ready", "session_id", "uses", "value")

    def __init__(self, session_id: str = "") -> None:
        self.session_id = session_id
        self.lock = threading.Lock()  # held while the object is made
        self.ready = False
        self.uses = 0
        self.value: Any = None


class _Use:
    """A call's use of an object. A cancelled one ends it all the same: once, and not interrupted.

    What interrupts strikes a call once at most, but it may strike between any two calls of functions, at the door of
    end() too: who has to end a use does it twice, the second time ``finally``.
    """

    __slots__ = ("_ground", "_is_over", "entry")

    def __init__(self) -> None:
        call = current.call()
        self._ground = call._ground if call else None
        self._is_over = False
        self.entry: Any = None

    def step_out(self) -> Any:
        """From here on nothing interrupts. Returns what step_in() takes."""
        return self._ground.step_out() if self._ground is not None else 0

    def step_in(self, entered: Any) -> None:
        """Raises Cancelled if the call was given up in between."""
        if entered:
            self._ground.step_in(entered)

    def end(self, step: Callable[[_Entry], Any]) -> None:
        """Do that with the object, the first time."""
        entered = self.step_out()
        try:
            if not self._is_over:
                self._is_over = True
                step(self.entry)
        finally:
            self.step_in(entered)

    async def end_later(self, step: Callable[[_Entry], Any]) -> None:
        """The same in an event loop."""
        entered = self.step_out()
        try:
            if not self._is_over:
                self._is_over = True
                await step(self.entry)
        finally:
            self.step_in(entered)


class CallPlace(Place):
    """A fresh object for each call: made, initialized, used, and cleaned up however the call ends."""

    def __init__(self, target: type) -> None:
        super().__init__(None)
        self._target = target

    def bind(self, tool: Any, method: _Method) -> None:
        tool.bind(_bound(self, tool, method))

    def open(self) -> _Use:
        """The object for the running call. Raises what making it does."""
        use = _Use()
        entered = use.step_out()
        entry = use.entry = self._take()
        try:
            use.step_in(entered)
            with entry.lock:
                if not entry.ready:
                    self._begin(entry, _run_hook)
                    entry.ready = True
        except BaseException:
            try:
                use.end(self._undo)
            finally:
                use.end(self._undo)
            raise
        return use

    async def open_later(self) -> _Use:
        """The same in an event loop, which goes on while hooks wait."""
        use = _Use()
        entered = use.step_out()
        entry = use.entry = self._take()
        try:
            use.step_in(entered)
            while not entry.lock.acquire(False):
                await asyncio.sleep(0.002)
            try:
                hooks: list[Any] = []
                if not entry.ready:
                    self._begin(entry, hooks.append)
                for hook in hooks:
                    await _await_hook(hook)
                entry.ready = True
            finally:
                entry.lock.release()
        except BaseException:
            use.end(self._undo)
            raise
        return use

    def close(self, use: _Use) -> None:
        """The call is over. To be called again if it may have been interrupted."""
        use.end(self._give_back)

    async def close_later(self, use: _Use) -> None:
        await use.end_later(self._give_back_later)

    def _give_back(self, entry: _Entry) -> None:
        for old in self._release(entry):
            self._drop(old)

    def _undo(self, entry: _Entry) -> None:
        """The call ends before it has the object, which may have been made all the same."""
        if entry.ready:
            self._give_back(entry)
        else:
            self._failed(entry)

    async def _give_back_later(self, entry: _Entry) -> None:
        for old in self._release(entry):
            await self._drop_later(old)

    # What the scopes differ in.

    def _take(self) -> _Entry:
        return _Entry()

    def _release(self, entry: _Entry) -> list[_Entry]:
        """Count a use out. Returns what is not kept any longer."""
        return [entry]

    def _drop(self, entry: _Entry) -> None:
        if entry.ready:
            _clean(entry.value, _run_hook)

    async def _drop_later(self, entry: _Entry) -> None:
        hooks: list[Any] = []
        _clean(entry.value, hooks.append)
        for hook in hooks:
            try:
                await _await_hook(hook)
            except BaseException as error:
                _say_unclean(error)

    def _failed(self, entry: _Entry) -> None:
        """Its object could not be made."""

    def _begin(self, entry: _Entry, run: Callable[[Any], Any]) -> None:
        entry.value = make(self._target)
        _hooks(entry.value, run)


class SessionPlace(CallPlace):
    """An object for each session, of which the least recently used ones are given up."""

    def __init__(self, target: type) -> None:
        super().__init__(target)
        self._max = max(1, int(getattr(target, "session_objects_max", OBJECTS_MAX)))
        self._lock = threading.Lock()  # guards the following
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def cleanup(self) -> None:
        """The worker leaves."""
        self.end_sessions()

    def end_sessions(self) -> None:
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            self._drop(entry)

    def end_session(self, session_id: str) -> None:
        with self._lock:
            entry = self._entries.pop(session_id, None)
        if entry is not None and not entry.uses:
            self._drop(entry)

    def _take(self) -> _Entry:
        session_id = _session_id()
        with self._lock:
            entry = self._entries.get(session_id)
            if entry is None:
                entry = self._entries[session_id] = _Entry(session_id)
            self._entries.move_to_end(session_id)
            entry.uses += 1
            return entry

    def _release(self, entry: _Entry) -> list[_Entry]:
        with self._lock:
            entry.uses -= 1
            dropped = [] if entry.uses or self._keeps(entry) else [entry]
            if len(self._entries) > self._max:
                dropped += self._give_up(len(self._entries) - self._max)
            return dropped

    def _keeps(self, entry: _Entry) -> bool:
        return self._entries.get(entry.session_id) is entry

    def _give_up(self, count: int) -> list[_Entry]:
        """The least recently used of those that are not in use, taken out."""
        idle = itertools.islice((entry for entry in self._entries.values() if not entry.uses), count)
        dropped = list(idle)
        for entry in dropped:
            del self._entries[entry.session_id]
        return dropped

    def _failed(self, entry: _Entry) -> None:
        with self._lock:
            entry.uses -= 1
            if not entry.uses and self._keeps(entry):
                del self._entries[entry.session_id]

    def _begin(self, entry: _Entry, run: Callable[[Any], Any]) -> None:
        super()._begin(entry, run)
        _start_session(entry.value, run)


class SharedPlace(SessionPlace):
    """The worker's one object, whose on_session_start() is called when a session's first call comes."""

    def __init__(self, instance: Any) -> None:
        super().__init__(type(instance))
        self.instance = instance
        self._max = SEEN_MAX

    def cleanup(self) -> Any:
        hook = getattr(self.instance, "cleanup", None)
        return hook() if callable(hook) else None

    def _drop(self, entry: _Entry) -> None:
        """The object outlives its sessions."""

    async def _drop_later(self, entry: _Entry) -> None:
        """The same."""

    def _begin(self, entry: _Entry, run: Callable[[Any], Any]) -> None:
        entry.value = self.instance
        _start_session(entry.value, run)


def place_for(target: Any, loop: Any) -> Any:
    """The place for an adapter's class or module, whose worker's object, if it has one, is initialized.

    ``loop`` is an EventLoop, for an async initialize(). Raises LoadError for an unknown scope.
    """
    is_module = isinstance(target, ModuleType)
    scope = "worker" if is_module else getattr(target, "scope", "worker")
    if not is_module and scope not in SCOPES:
        raise LoadError(f"{target.__name__}.scope is {scope!r}; it can be {', '.join(SCOPES)}")
    if scope == "call":
        return CallPlace(target)
    if scope == "session":
        return SessionPlace(target)
    instance = target if is_module else make(target)
    _hooks(instance, loop.call)
    return SharedPlace(instance) if callable(getattr(instance, "on_session_start", None)) else Place(instance)


def make(target: type) -> Any:
    """An object of an adapter's class, which knows its session."""
    instance = target()
    setter = getattr(instance, "set_session_context", None)
    if callable(setter):
        setter(SessionContext())
    return instance


def _hooks(instance: Any, run: Callable[[Any], Any]) -> None:
    hook = getattr(instance, "initialize", None)
    if callable(hook):
        run(hook)


def _start_session(instance: Any, run: Callable[[Any], Any]) -> None:
    session_id, hook = _session_id(), getattr(instance, "on_session_start", None)
    if session_id and callable(hook):
        run(lambda: hook(session_id))


def _clean(instance: Any, run: Callable[[Any], Any]) -> None:
    hook = getattr(instance, "cleanup", None)
    if callable(hook):
        try:
            run(hook)
        except BaseException as error:
            _say_unclean(error)


def _say_unclean(error: BaseException) -> None:
    """The call has its outcome all the same, and who reads must go on."""
    print(f"snakepit_bridge: cleanup failed: {error!r}", file=sys.stderr)


def _session_id() -> str:
    call = current.call()
    return call.session_id if call else ""


def _run_hook(hook: Callable[[], Any]) -> None:
    """Run a hook that may be async, in a loop of its own: that of this thread may be what waits for it."""
    value = hook()
    if inspect.isawaitable(value):
        failed: list[BaseException] = []
        here = contextvars.copy_context()  # so that the hook knows its call
        thread = threading.Thread(target=here.run, args=(_run_awaitable, value, failed))
        thread.start()
        thread.join()
        if failed:
            raise failed[0]


def _run_awaitable(value: Any, failed: list[BaseException]) -> None:
    async def wait() -> None:
        await value

    try:
        asyncio.run(wait())
    except BaseException as error:
        failed.append(error)


async def _await_hook(hook: Callable[[], Any]) -> Any:
    value = hook()
    return await value if inspect.isawaitable(value) else value


def _begun(items: Any) -> Any:
    """An async generator that has got to its first yield, to which it needs no loop."""
    try:
        items.__anext__().send(None)
    except StopIteration:
        pass
    return items


def _bound(place: CallPlace, tool: Any, method: _Method) -> Callable[..., Any]:
    """What runs a tool on an object of that place, and gives it back when the tool has ended or streamed its last."""

    def run(**arguments: Any) -> Any:
        use = place.open()
        items = None
        try:
            value = method(use.entry.value)(**arguments)
            items = _wait(value, use) if inspect.iscoroutine(value) else _stream(value, use)
            return value if items is None else items
        finally:
            if items is None:
                try:
                    place.close(use)
                finally:
                    place.close(use)

    async def run_later(**arguments: Any) -> Any:
        use = await place.open_later()
        try:
            value = method(use.entry.value)(**arguments)
            return await value if inspect.isawaitable(value) else value
        finally:
            await place.close_later(use)

    def run_here(**arguments: Any) -> Any:
        """For a plain function around an async one, which may wait for that in a loop of its own, or leave it to us."""
        return (run if running_loop() is None else run_later)(**arguments)

    async def _wait(value: Any, use: _Use) -> Any:
        """What the coroutine that a tool has returned comes to."""
        try:
            return await value
        finally:
            await place.close_later(use)

    def _stream(value: Any, use: _Use) -> Any:
        """The items that a tool which streams has returned; None if it does not."""
        if inspect.isgenerator(value):
            items = _drain(value, use)
            next(items)
            return items
        return _begun(_drain_later(value, use)) if hasattr(value, "__anext__") else None

    # Both yield once before the first item, and have done so when the tool's caller gets them: what was never begun
    # would not be told that it is closed, and keep its object.

    def _drain(items: Any, use: _Use) -> Any:
        try:
            yield
            return (yield from items)
        finally:
            try:
                place.close(use)
            finally:
                place.close(use)

    async def _drain_later(items: Any, use: _Use) -> Any:
        try:
            yield
            async for item in items:
                yield item
        finally:
            await items.aclose()
            await place.close_later(use)

    if tool.is_async:
        return run_later
    return run_here if tool.in_loop and not tool.streaming else run
