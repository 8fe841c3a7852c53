"""Objects as JSON data: one step by their own methods, by what they are, or a marker."""

from __future__ import annotations

import json
import math
import os
from collections import UserString
from collections.abc import Mapping, Sequence, Set, ValuesView
from typing import Any, Callable, NamedTuple, Optional

from . import tables, tags
from .limits import number
from .marker import markers
from .naming import ancestors, clean, full_name, name

MAX_LISTED = max(0, number(os.environ, "SNAKEPIT_TOLIST_MAX_ELEMENTS", 1_000_000))  # beside lists and dicts
MAX_DEPTH = 200  # far below where the C encoder would give up
_DIGITS_SAFE = 2048  # bits; Python writes numbers of 640 digits at least, however it is set

_NOTHING = object()
_METHODS = ("model_dump", "to_dict", "_asdict", "tolist", "isoformat", "to_pydict", "to_pylist", "as_py")
_TABLES = ("to_dict", "to_pydict")
_LISTING = ("tolist", "to_pylist", "as_py")
_SHOWN = (  # modules whose objects are their text
    "uuid", "decimal", "pathlib", "fractions", "ipaddress", "pandas._libs.interval", "pandas._libs.tslibs.period",
)  # fmt: skip
_TAGGED = (tuple, dict, list, set, frozenset)  # whose subclasses are tagged as these


class Unsendable(TypeError):
    """An argument for another tool has no JSON form."""


class Form(NamedTuple):
    """What becomes of a number that may be NaN or infinite, and of what has no JSON form."""

    number: Callable[[float], Any]
    unknown: Callable[[Any], Any]


def convert(value: Any) -> Any:
    """One step from an object towards JSON data: by the first of its methods that works, or a marker."""
    return _step(value, FOR_READERS)


def convert_to_send(value: Any) -> Any:
    """The same for another tool. Raises Unsendable in the place of a marker."""
    return _step(value, FOR_TOOLS)


def _step(value: Any, form: Form) -> Any:
    try:
        converted = _converted(value)
    except Exception:  # code of the object's own, or of its class, failed where nothing of it was to be expected
        converted = _NOTHING
    return form.unknown(value) if converted is _NOTHING else converted


def nearer(value: Any) -> Any:
    """One step from an object towards what has a tag. Raises TypeError if there is none, or what the object does."""
    for kind in _TAGGED:
        if isinstance(value, kind):
            return kind(value)
    return _something(_converted(value))


def scalar(value: Any) -> Any:
    """What a scalar of numpy is. Raises TypeError for anything else."""
    if any(full_name(base) == "numpy.generic" for base in ancestors(type(value))):
        return nearer(value)
    raise TypeError("it is no scalar of numpy")


def _converted(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return tags.encode_bytes(value)
    kind = type(value)
    for method in _METHODS:
        if hasattr(kind, method):
            converted = _by_method(value, method)
            if converted is not _NOTHING:
                return converted
    return _by_kind(value, kind)


def _by_method(value: Any, name: str) -> Any:
    if (name in _LISTING or name in _TABLES) and _size(value, name in _LISTING) > MAX_LISTED:
        return _NOTHING
    try:
        converted = tables.listed(value, name)
    except Exception:  # it fails, or wants arguments: the next one may not
        return _NOTHING
    if converted is value or (name in _LISTING and _exceeds(converted, MAX_LISTED)):
        return _NOTHING
    return converted


def _size(value: Any, by_size: bool) -> int:
    """How many elements an array or table would be listed as, asked before it is; 0 when it does not say.

    ``by_size`` is whether its ``size`` or length may be meant as that.
    """
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):  # of a sparse matrix too, whose size is what it stores
            return math.prod(int(dimension) for dimension in shape)
        size = getattr(value, "size", None) if by_size else 0
        return size if isinstance(size, int) else len(value)
    except Exception:
        return 0


def _exceeds(listed: Any, limit: int) -> bool:
    """Whether nested lists hold more elements than that."""
    waiting, count = [listed], 0
    while waiting:
        item = waiting.pop()
        if type(item) is not list:
            continue
        count += len(item)
        if item and type(item[0]) is list:
            count -= len(item)
            waiting += item
        if count > limit:
            return True
    return False


def _by_kind(value: Any, kind: type) -> Any:
    if isinstance(value, type):
        return _NOTHING
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    for base, step in _STEPS:
        if isinstance(value, base):
            return step(value)
    if hasattr(kind, "__members__"):  # an Enum
        return value.value
    if hasattr(kind, "__fields_set__") and callable(getattr(kind, "dict", None)):  # pydantic's first version
        return value.dict()
    if kind.__module__ == "datetime" and hasattr(kind, "total_seconds"):
        return value.total_seconds()
    return _by_name(value, kind)


_COLLECTIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (  # what says that it is one
    (Mapping, dict),
    (Sequence, list),
    (Set, list),
    (ValuesView, list),
)


def _by_name(value: Any, kind: type) -> Any:
    if isinstance(value, UserString) or any(base.__module__ in _SHOWN for base in ancestors(kind)):
        return str(value)
    for base, step in _COLLECTIONS:
        if isinstance(value, base):
            return step(value) if len(value) <= MAX_LISTED else _NOTHING
    if name(kind) == "NAType":  # pandas' only missing value of its own
        return None
    os_path = getattr(kind, "__fspath__", None)
    return os_path(value) if callable(os_path) else _NOTHING


_STEPS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    (complex, tags.encode_complex),
    (dict, dict),
    (list, list),
)


def rebuild(value: Any, form: Optional[Form] = None, depth: int = 0, above: tuple[int, ...] = ()) -> Any:
    """``value`` from dicts with string keys, lists, strings, finite numbers, booleans and None alone.

    For what the C encoder refuses: keys become strings, NaN and infinities what ``form`` makes of them (for readers,
    if none is given). A string with a lone surrogate, a number of too many digits, what holds itself, lies below 200
    levels or fails when it is looked at becomes a marker, or raises Unsendable.
    """
    form = form or FOR_READERS
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str or kind is int:
        return value if _is_writable(value) else form.unknown(value)
    if depth > MAX_DEPTH or id(value) in above:
        return form.unknown(value)
    try:
        return _rebuilt(value, form, depth + 1, above)
    except Unsendable:
        raise
    except Exception:  # a subclass of a container or of float has methods of its own
        return form.unknown(value)


def _rebuilt(value: Any, form: Form, depth: int, above: tuple[int, ...]) -> Any:
    if isinstance(value, float):
        return form.number(float(value))
    above = (*above, id(value))
    if isinstance(value, dict):
        items = enumerate(value.items())
        return {_key(key, place): rebuild(item, form, depth, above) for place, (key, item) in items}
    if isinstance(value, (list, tuple)):  # named tuples too: the C encoder makes them arrays as well
        items = list.copy(value) if isinstance(value, list) else tuple.__getitem__(value, slice(None))
        if set(map(type, items)) == {float}:  # what tolist() makes of an array, mostly
            finite = math.isfinite
            return [item if finite(item) else form.number(item) for item in items]
        return [rebuild(item, form, depth, above) for item in items]
    return rebuild(_step(value, form), form, depth, above)


def _is_writable(value: Any) -> bool:
    """Whether a string or a whole number can be written as JSON."""
    try:
        if type(value) is str:
            value.encode()
        elif value.bit_length() > _DIGITS_SAFE:
            int.__repr__(value)
        return True
    except ValueError:  # a lone surrogate, or more than sys.get_int_max_str_digits()
        return False


def _number(value: float) -> Any:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key(key: Any, place: int) -> str:
    """A dict's key as JSON has it. What cannot be written is its type and its ``place`` among the keys."""
    try:
        return clean(_shown(key))
    except Exception:
        return clean(f"<{full_name(type(key))} #{place}>")


def _shown(key: Any) -> str:
    """True, false, null and numbers as the C encoder writes them, others as what they convert to. Raises for the rest.

    A repr is asked for of what Python itself makes one of alone: others may hold secrets, or addresses.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return str(_number(float(key)))
    if isinstance(key, (bytes, complex, tuple, frozenset)):
        return repr(_bare(key))
    converted = _converted(key)
    if isinstance(converted, (dict, list)):
        return json.dumps(rebuild(converted), ensure_ascii=False, separators=(",", ":"))
    return _shown(_something(converted))


def _something(converted: Any) -> Any:
    if converted is _NOTHING:
        raise TypeError("nothing is known of what it is")
    return converted


def _bare(key: Any) -> Any:
    """Of a tuple or frozenset the same with nothing in it but what Python's own reprs are known of."""
    if isinstance(key, (tuple, frozenset)):
        kind = tuple if isinstance(key, tuple) else frozenset
        return kind(_bare(item) for item in kind.__iter__(key))
    for kind in (bool, int, float, complex, str, bytes):
        if isinstance(key, kind):
            return key if type(key) is kind else kind.__new__(kind, key)
    return key if key is None else _bare(_something(_converted(key)))


def _refuse(value: Any) -> Any:
    raise Unsendable(f"a value of type {clean(full_name(type(value)))} cannot be sent to a tool")


FOR_READERS = Form(_number, markers.mark)
FOR_TOOLS = Form(tags.encode_float, _refuse)
