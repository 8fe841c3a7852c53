"""The variables of a session: typed values that its callers and tools share, kept by the gateway."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from . import bridge_pb2 as pb
from . import tags, values
from .asking import Asker, Waiter, running_loop
from .errors import VariableError, VariableNotFound, variable_error
from .parcel import LARGE

_NAMES_MAX = 1 << 20  # characters of all the names in one request
_NAME_SHOWN = 80  # characters of one, in an error


class Variable(NamedTuple):
    """A variable as it was read. ``constraints`` is a dict, empty without any."""

    name: str
    value: Any
    type: str
    version: int
    constraints: dict[str, Any]


class Write(NamedTuple):
    """A value with what else is to be said of its variable, for Variables.update()."""

    value: Any
    type: str = ""
    constraints: Optional[Mapping[str, Any]] = None
    expected_version: Optional[int] = None


class Variables(Asker):
    """A mapping of names to values. Values are copies: to change a variable, set it.

    What was read is remembered for up to 5 s, or until somebody else changes a variable of the session. Methods block
    the thread of the tool alone; in an ``async`` worker use those that begin with ``a``, which are awaited. Values are
    JSON data, NaN and infinities among the floats; arrays and other objects are converted as results are.

    All raise VariableError: VariableNotFound (a KeyError), VersionConflict, ConstraintViolation (a ValueError).
    """

    __slots__ = ("_cache", "_session", "session_id")

    def __init__(self, invoke: Any, ground: Any) -> None:
        super().__init__(invoke.call_id, ground)
        self.session_id: str = invoke.session_id
        self._session: int = invoke.session_number  # one of the same id that begins later has another
        self._cache = self._requests.cache

    def turn_to(self, session_id: str) -> None:
        """From now on these are the variables of whichever session has that id; of another nothing is remembered."""
        if session_id != self.session_id:
            self.session_id, self._session = session_id, 0

    # Reading.

    def get(self, name: str, default: Any = None) -> Any:
        """Its value, or ``default``."""
        found = self._find((name,))
        return found[name].value if found else default

    def __getitem__(self, name: str) -> Any:
        return self.describe(name).value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._find((name,)))

    def describe(self, name: str) -> Variable:
        """Its value with type, version and constraints. Raises VariableNotFound."""
        return _existing(name, self._find((name,)))

    def version(self, name: str) -> int:
        """Raises VariableNotFound."""
        return self.describe(name).version

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of those that are there, as they are at one moment unless some are remembered."""
        return {name: variable.value for name, variable in self._find(tuple(names)).items()}

    def all(self) -> dict[str, Variable]:
        """All variables, as they are at one moment."""
        return _decoded(self._ask(pb.SessionOp(kind=pb.SessionOp.LIST), self._remember).variables)

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def keys(self) -> list[str]:
        return list(self.all())

    def items(self) -> list[tuple[str, Any]]:
        return [(name, variable.value) for name, variable in self.all().items()]

    def values(self) -> list[Any]:
        return [variable.value for variable in self.all().values()]

    async def aget(self, name: str, default: Any = None) -> Any:
        found = await self._afind((name,))
        return found[name].value if found else default

    async def adescribe(self, name: str) -> Variable:
        return _existing(name, await self._afind((name,)))

    async def aget_many(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: variable.value for name, variable in (await self._afind(tuple(names))).items()}

    async def aall(self) -> dict[str, Variable]:
        return _decoded((await self._aask(pb.SessionOp(kind=pb.SessionOp.LIST), self._remember)).variables)

    # Writing.

    def set(
        self, name: str, value: Any, type: str = "", constraints: Optional[Mapping[str, Any]] = None,
        expected_version: Optional[int] = None,
    ) -> int:  # fmt: skip
        """Write a variable, and return its new version.

        ``type`` is float, integer, string, boolean, list, map, embedding, tensor, choice, module or any. Without it, it
        is what it was once said to be, or else what the value suggests. ``expected_version`` 0: there must be none.
        """
        return self.update({name: Write(value, type, constraints, expected_version)})[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def update(
        self, values: Optional[Mapping[str, Any]] = None, /, delete: Iterable[str] = (), **more: Any
    ) -> dict[str, int]:
        """Write and delete several, all or none of them. Values may be Write(). Returns the new versions."""
        request, large = _write_request({**(values or {}), **more}, delete)
        return _versions(self._ask(request, self._forget, large))

    def delete(self, *names: str) -> None:
        """Raises VariableNotFound, and deletes none, when one is not there."""
        self.update(delete=names)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    async def aset(
        self, name: str, value: Any, type: str = "", constraints: Optional[Mapping[str, Any]] = None,
        expected_version: Optional[int] = None,
    ) -> int:  # fmt: skip
        return (await self.aupdate({name: Write(value, type, constraints, expected_version)}))[name]

    async def aupdate(
        self, values: Optional[Mapping[str, Any]] = None, /, delete: Iterable[str] = (), **more: Any
    ) -> dict[str, int]:
        request, large = _write_request({**(values or {}), **more}, delete)
        return _versions(await self._aask(request, self._forget, large))

    async def adelete(self, *names: str) -> None:
        await self.aupdate(delete=names)

    # Remembering.

    def set_cache_ttl(self, seconds: float) -> None:
        """Remember what is read of this session for so long, at most 5 s; 0: not at all."""
        self._undisturbed(self._cache.set_ttl, self._session, seconds)

    def clear_cache(self) -> None:
        """Read everything again."""
        self._undisturbed(self._cache.clear, self._session)

    # How it is done.

    def _find(self, names: tuple[str, ...]) -> dict[str, Variable]:
        kept, missing = self._look(names)
        if missing:
            kept += self._ask(_read_request(missing), self._remember).variables
        return _decoded(kept)

    async def _afind(self, names: tuple[str, ...]) -> dict[str, Variable]:
        kept, missing = self._look(names)
        if missing:
            kept += (await self._aask(_read_request(missing), self._remember)).variables
        return _decoded(kept)

    def _look(self, names: tuple[str, ...]) -> tuple[list[Any], list[str]]:
        """What is remembered, and the names of the others."""
        kept, missing = [], []
        for name in dict.fromkeys(names):
            variable = self._cache.get(self._session, name)
            if variable is None:
                missing.append(name)
            else:
                kept.append(variable)
        return kept, missing

    # An interrupt in the middle of a change would leave the cache wrong for as long as the worker lives.

    def _remember(self, reply: Any) -> None:
        self._cache.put(self._session, reply.variables, reply.revision)

    def _forget(self, reply: Any) -> None:
        self._cache.written(self._session, [each.name for each in reply.variables], reply.revision)

    def _ask(self, request: Any, note: Callable[[Any], None], large: Any = ()) -> Any:
        """The reply, when ``note`` has had it."""
        ground = self._ground
        if ground.shares_loop and running_loop() is not None:
            raise RuntimeError("in async code: await the methods that begin with a, as in variables.aget()")
        waiter = self._block(ground.block, lambda: self._send(request, large), lambda waiter: note(_checked(waiter)))
        return waiter.reply

    async def _aask(self, request: Any, note: Callable[[Any], None], large: Any = ()) -> Any:
        reply = _checked(await self._wait(lambda: self._send(request, large)))
        self._undisturbed(note, reply)
        return reply

    def _send(self, request: Any, large: Any) -> Waiter:
        if not self.session_id:
            raise VariableError("the call belongs to no session", "session_not_found")
        requests = self._requests
        waiter = requests.wait(self._call_id)
        request.id, request.call_id = waiter.id, self._call_id
        request.session_id, request.session_number = self.session_id, self._session
        if large:
            requests.send_large(request, large)
        else:
            requests.send(request)
        return waiter


def _checked(waiter: Waiter) -> Any:
    reply = waiter.answer()
    if reply.code:
        raise variable_error(reply.code, reply.detail.decode(errors="replace"), reply.name, reply.version)
    return reply


def _versions(reply: Any) -> dict[str, int]:
    return {each.name: each.version for each in reply.variables if each.version}


def _existing(name: str, found: dict[str, Variable]) -> Variable:
    if not found:
        raise VariableNotFound("the session has no variable of that name", "variable_not_found", name)
    return found[name]


def _read_request(names: list[str]) -> Any:
    return pb.SessionOp(kind=pb.SessionOp.READ, names=_encoded_names(names))


def _encoded_names(names: list[str]) -> list[bytes]:
    if sum(map(len, names)) > _NAMES_MAX:
        raise VariableError(f"the names have more than {_NAMES_MAX} characters together", "payload_too_large")
    return [name.encode() for name in names]


def _write_request(writes: Mapping[str, Any], delete: Iterable[str]) -> tuple[Any, list[tuple[Any, bytes]]]:
    """And its large values, which are not in it, with the places where it is to say where they are."""
    request, large = pb.SessionOp(kind=pb.SessionOp.WRITE), []
    room = values.MAX_BODY
    for name, item in writes.items():
        write = item if isinstance(item, Write) else Write(item)
        value = _encode(write.value, write.type)
        constraints = b"" if write.constraints is None else values.encode(dict(write.constraints))
        room -= len(name) + len(value) + len(write.type) + len(constraints)
        if room < 0:
            raise _too_large(name)
        message = request.writes.add(name=name.encode(), type=write.type.encode(), constraints=constraints)
        if len(value) > LARGE:
            large.append((message.parcel, value))
        else:
            message.value = value
        if write.expected_version is not None:
            message.expects, message.expected_version = True, write.expected_version
    for encoded in _encoded_names(list(delete)):
        request.writes.add(name=encoded, remove=True)
    if request.ByteSize() > values.MAX_BODY:  # which counts what comes with each of many short ones
        raise _too_large("")
    return request, large


def _too_large(name: str) -> VariableError:
    """A frame with more would cost the worker its stream."""
    detail = f"the values have more than {values.MAX_BODY} bytes"
    return VariableError(detail, "variable_too_large", name[:_NAME_SHOWN])


def _encode(value: Any, kind: str) -> bytes:
    """As results are, but for floats that JSON lacks, and a tensor of numpy's or torch's: shape and data."""
    shape = getattr(value, "shape", None)
    if kind == "tensor" and shape is not None:
        value = {"shape": [int(length) for length in shape], "data": value.reshape(-1).tolist()}
    body = values.encode(value)
    return values.encode(_tagged(value, 0)) if b"NaN" in body or b"Infinity" in body else body


def _tagged(value: Any, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return tags.encode(value, str)
    if depth < tags.MAX_DEPTH and isinstance(value, (list, tuple)):
        return [_tagged(item, depth + 1) for item in value]
    if depth < tags.MAX_DEPTH and type(value) is dict:
        return {key: _tagged(item, depth + 1) for key, item in value.items()}
    return value


def _decoded(variables: Iterable[Any]) -> dict[str, Variable]:
    return {each.name: _decode(each) for each in variables}


def _decode(variable: Any) -> Variable:
    constraints = json.loads(variable.constraints) if variable.constraints else {}
    value = json.loads(variable.value)
    if b'"__type__"' in variable.value:
        value = tags.decode(value)
    return Variable(variable.name, value, variable.type, variable.version, constraints)
