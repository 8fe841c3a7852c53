"""Tagged values: Python types that JSON lacks, as objects with a ``__type__`` (SnakeBridge's schema 1)."""

from __future__ import annotations

import base64
import datetime
import math
import os
import re
from typing import Any, Callable, Optional

SCHEMA = 1
MAX_DEPTH = 200  # of values within each other, far below where recursion ends
_SPECIAL = {"infinity": math.inf, "neg_infinity": -math.inf, "nan": math.nan}
_MEMBER_NAME = re.compile(":[^:]*:")  # in a buffer's format
_ATOM_CLASS = "SNAKEBRIDGE_ATOM_CLASS"


class Atom:
    """An Elixir atom. Arguments hold one only if SNAKEBRIDGE_ATOM_CLASS is set; otherwise they hold its name."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = str(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and other.value == self.value

    def __hash__(self) -> int:
        return hash((Atom, self.value))

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"Atom({self.value!r})"


def tag(kind: str, **members: Any) -> dict[str, Any]:
    """A tagged object."""
    return {"__type__": kind, "__schema__": SCHEMA, **members}


# Python to JSON.


def encode(value: Any, otherwise: Callable[[Any], Any], step: Optional[Callable[[Any], Any]] = None) -> Any:
    """``value`` as JSON data that decode() turns into an equal one.

    What has neither a JSON form nor a tag is given to ``step``, if there is one, for a value that is nearer to having
    one. ``otherwise`` gives the JSON data for what ``step`` raises for, for what has no bytes of its own, for a value
    that holds itself, and below 200 levels.
    """
    return _Encoder(otherwise, step).encode(value, 0, ())


class _Encoder:
    __slots__ = ("_otherwise", "_step")

    def __init__(self, otherwise: Callable[[Any], Any], step: Optional[Callable[[Any], Any]]) -> None:
        self._otherwise = otherwise
        self._step = step

    def encode(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        leaf = _LEAVES.get(kind)
        if leaf is not None:
            return self._leaf(leaf, value)
        container = _CONTAINERS.get(kind)
        if container is None:
            return self._derived(value, depth, above)
        if depth >= MAX_DEPTH or id(value) in above:
            return self._otherwise(value)
        above = (*above, id(value))
        return container(value, lambda item: self.encode(item, depth + 1, above))

    def _leaf(self, leaf: Callable[[Any], Any], value: Any) -> Any:
        try:
            return leaf(value)
        except Exception:  # a memoryview of objects, or one that was released, or a class's own isoformat()
            return self._otherwise(value)

    def _derived(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        """A subclass of something simple is sent as that; one of a container may have more to it than its elements."""
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int(value)
        for kind, leaf in _LEAVES.items():
            if isinstance(value, kind):
                return self._leaf(leaf, value)
        if self._step is None or depth >= MAX_DEPTH or id(value) in above:
            return self._otherwise(value)
        try:
            converted = self._step(value)
        except Exception:
            return self._otherwise(value)
        return self.encode(converted, depth + 1, (*above, id(value)))


def encode_float(value: float) -> Any:
    """A number; NaN and infinities tagged."""
    if math.isfinite(value):
        return float(value)
    if math.isnan(value):
        return tag("special_float", value="nan")
    return tag("special_float", value="infinity" if value > 0 else "neg_infinity")


def encode_bytes(value: Any) -> dict[str, Any]:
    """Bytes, or what has the buffer protocol, in whatever order they lie."""
    view = octets(value)
    return tag("bytes", data=base64.b64encode(view if view.c_contiguous else view.tobytes()).decode("ascii"))


def octets(data: Any) -> memoryview:
    """The bytes of what has the buffer protocol. Raises TypeError where they are addresses in this process."""
    view = memoryview(data)
    if any(address in _MEMBER_NAME.sub("", view.format) for address in "OPX&"):
        raise TypeError(f"the {type(data).__name__} has addresses of objects in it, not their bytes")
    return view


def encode_complex(value: complex) -> dict[str, Any]:
    return tag("complex", real=encode_float(value.real), imag=encode_float(value.imag))


def _encode_dict(value: dict[Any, Any], encode_item: Callable[[Any], Any]) -> Any:
    items = list(value.items())
    if all(isinstance(key, str) for key, _ in items) and "__type__" not in value:
        return {str.__str__(key): encode_item(item) for key, item in items}
    return tag("dict", pairs=[[encode_item(key), encode_item(item)] for key, item in items])


def _elements(kind: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, encode_item: tag(kind, elements=[encode_item(item) for item in list(value)])


def _iso(kind: str) -> Callable[[Any], Any]:
    return lambda value: tag(kind, value=value.isoformat())


_LEAVES: dict[type, Callable[[Any], Any]] = {  # datetime before date, which it derives from
    float: encode_float,
    bytes: encode_bytes,
    bytearray: encode_bytes,
    memoryview: encode_bytes,
    complex: encode_complex,
    datetime.datetime: _iso("datetime"),
    datetime.date: _iso("date"),
    datetime.time: _iso("time"),
    Atom: lambda value: tag("atom", value=value.value),
}
_CONTAINERS: dict[type, Callable[[Any, Callable[[Any], Any]], Any]] = {
    list: lambda value, encode_item: [encode_item(item) for item in list(value)],
    dict: _encode_dict,
    tuple: _elements("tuple"),
    set: _elements("set"),
    frozenset: _elements("frozenset"),
}


# JSON to Python.


Taker = Optional[Callable[[dict[str, Any]], Any]]


def decode(value: Any, resolve: Taker = None, malformed: Taker = None) -> Any:
    """JSON data with its tagged objects turned into what they stand for.

    ``resolve`` is given those that only their owner can resolve (``ref``, ``stream_ref``, ``callback``), ``malformed``
    those that stand for nothing. Without them, and for tags that are unknown, the object stays as it came. Raises what
    the two do.
    """
    if type(value) is list:
        return [decode(item, resolve, malformed) for item in value]
    if type(value) is not dict:
        return value
    kind = value.get("__type__")
    if kind in ("ref", "stream_ref", "callback"):
        return resolve(value) if resolve else value
    inside = {key: decode(item, resolve, malformed) for key, item in value.items()}
    make = _MAKERS.get(kind) if type(kind) is str else None
    if make is None:
        return inside
    try:
        return make(inside)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return malformed(inside) if malformed else inside


def _given(value: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in value:
            return value[name]
    raise KeyError(names[0])


def _make_bytes(value: dict[str, Any]) -> bytes:
    return base64.b64decode(_given(value, "data", "value"), validate=True)


def _make_atom(value: dict[str, Any]) -> Any:
    name = value["value"]
    if not isinstance(name, str):
        raise TypeError("an atom is named by a string")
    return Atom(name) if os.environ.get(_ATOM_CLASS, "").lower() in ("1", "true", "yes") else name


def _make_elements(kind: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Any]:
    def make(value: dict[str, Any]) -> Any:
        elements = _given(value, "elements", "value")
        if not isinstance(elements, list):
            raise TypeError("elements are a list")
        return kind(elements)

    return make


def _make_time(kind: Any) -> Callable[[dict[str, Any]], Any]:
    """As isoformat() writes them, and with the Z that others write."""
    zone = "" if kind is datetime.date else "+00:00"

    def make(value: dict[str, Any]) -> Any:
        text = value["value"]
        return kind.fromisoformat(text[:-1] + zone if zone and text[-1:] in ("Z", "z") else text)

    return make


def _make_dict(value: dict[str, Any]) -> dict[Any, Any]:
    pairs = value["pairs"]
    if not isinstance(pairs, list) or not all(isinstance(pair, list) for pair in pairs):
        raise TypeError("pairs are lists of two")
    return {key: item for key, item in pairs}


_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bytes": _make_bytes,
    "binary": _make_bytes,
    "atom": _make_atom,
    "tuple": _make_elements(tuple),
    "set": _make_elements(set),
    "frozenset": _make_elements(frozenset),
    "complex": lambda value: complex(value["real"], value["imag"]),
    "datetime": _make_time(datetime.datetime),
    "date": _make_time(datetime.date),
    "time": _make_time(datetime.time),
    "special_float": lambda value: _SPECIAL[value["value"]],
    "infinity": lambda value: math.inf,
    "neg_infinity": lambda value: -math.inf,
    "nan": lambda value: math.nan,
    "dict": _make_dict,
}
