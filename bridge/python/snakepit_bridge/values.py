"""Results: Python values as the bytes that travel to the gateway.

The usual value is plain JSON data and takes the C encoder once. Whatever that refuses (a set, a dataclass, NaN, a key
that is no string, an object nobody knows) takes the slow path, which rebuilds the value from JSON data first.
"""

from __future__ import annotations

import base64
import json
import math
from json import encoder as _json_encoder
from typing import Any, Callable

MAX_LISTED = 1_000_000  # elements that tolist() may produce
MAX_DEPTH = 200  # far below where the C encoder would give up


class Binary:
    """Bytes with a content type of their own, for a tool to return."""

    __slots__ = ("content_type", "data")

    def __init__(self, data: Any, content_type: str = "application/octet-stream") -> None:
        """``data`` is bytes or anything with the buffer protocol."""
        self.data = data
        self.content_type = content_type


def _make_fast_encoder() -> Callable[[Any], str]:
    """An encoder that raises TypeError, ValueError or RecursionError for all that is not plain JSON data."""
    plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
    try:
        # JSONEncoder.encode makes a new C encoder for each value; keeping one is 2.5 times as fast.
        make = _json_encoder.c_make_encoder
        # Arguments: markers, default, string encoder, indent, separators, sort_keys, skipkeys, allow_nan. Without
        # markers a circular value ends in RecursionError.
        iterate = make(None, _refuse, _json_encoder.encode_basestring, None, ":", ",", False, False, False)
        probe = {"a": [1, None, True, 0.5, "ü"]}
        if "".join(iterate(probe, 0)) != plain(probe):
            return plain
    except (AttributeError, TypeError):
        return plain
    return lambda value: "".join(iterate(value, 0))


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON data")


_encode_plain = _make_fast_encoder()


def encode(value: Any) -> bytes:
    """``value`` as JSON text. Raises UnicodeEncodeError when a string holds a lone surrogate."""
    try:
        return _encode_plain(value).encode()
    except UnicodeEncodeError:  # a ValueError too, but no slow path can help
        raise
    except (TypeError, ValueError, RecursionError):
        return _encode_plain(to_json_data(value)).encode()


def encode_result(value: Any) -> tuple[bytes, str]:
    """A tool's return value as body and content type; an empty content type means JSON.

    Raises what encode() does, and TypeError or ValueError for a Binary that is none.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "application/octet-stream"
    if isinstance(value, Binary):
        return memoryview(value.data).tobytes(), _checked(value.content_type)
    return encode(value), ""


def _checked(content_type: Any) -> str:
    """It becomes a header. Raises ValueError when it cannot."""
    if isinstance(content_type, str) and content_type.isascii() and content_type.isprintable() and content_type:
        return content_type
    raise ValueError(f"{content_type!r} is not a content type")


def marker(value: Any) -> dict[str, Any]:
    """What stands in the place of a value that cannot be converted. Never its repr, which may hold secrets."""
    kind = type(value)
    return {"__ffi_unserializable__": True, "__type__": f"{kind.__module__}.{kind.__qualname__}"}


def to_json_data(value: Any, depth: int = 0, above: tuple[int, ...] = ()) -> Any:
    """``value`` rebuilt from dicts, lists, strings, finite numbers, booleans and None alone."""
    kind = type(value)
    if value is None or kind in (str, bool, int):
        return value
    if kind is float:
        return _number(value)
    if depth > MAX_DEPTH or id(value) in above:
        return marker(value)
    above = (*above, id(value))
    if isinstance(value, dict):
        return {_key(key): to_json_data(item, depth + 1, above) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):  # named tuples too: the C encoder makes them arrays as well
        return [to_json_data(item, depth + 1, above) for item in value]
    try:
        converted = _convert(value)
    except Exception:  # the object's own conversion failed: it must not spoil the rest of the result
        return marker(value)
    return marker(value) if converted is _NOTHING else to_json_data(converted, depth + 1, above)


_NOTHING = object()


def _convert(value: Any) -> Any:
    """One step from an object towards JSON data, or _NOTHING."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"__type__": "bytes", "__schema__": 1, "data": base64.b64encode(value).decode()}
    for name in ("model_dump", "to_dict", "_asdict"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method()
    if callable(getattr(value, "tolist", None)):
        return value.tolist() if _listed_size(value) <= MAX_LISTED else _NOTHING
    if callable(getattr(value, "isoformat", None)):
        return value.isoformat()
    return _convert_builtin(value)


def _convert_builtin(value: Any) -> Any:
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, complex):
        return {"__type__": "complex", "__schema__": 1, "real": value.real, "imag": value.imag}
    return _by_known_class(value)


def _by_known_class(value: Any) -> Any:
    kind = type(value)
    if hasattr(kind, "__members__") and hasattr(value, "value"):  # an Enum
        return value.value
    if kind.__module__ in ("uuid", "decimal", "pathlib", "fractions", "ipaddress"):
        return str(value)
    if kind.__name__ in ("dict_keys", "dict_values", "deque", "range"):
        return list(value)
    return _NOTHING


def _listed_size(value: Any) -> int:
    """How many elements tolist() would make, asked before it does."""
    size = getattr(value, "size", None)
    if isinstance(size, int):
        return size
    try:
        return len(value)
    except TypeError:
        return 1


def _number(value: float) -> Any:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key(key: Any) -> str:
    """A dict's key as JSON has it: true, false, null and numbers as the C encoder writes them."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, float):
        return str(_number(float(key)))
    return str(key)
