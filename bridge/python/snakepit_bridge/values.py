"""Results: Python values as the bytes that travel to the gateway.

The usual value is plain JSON data and takes the C encoder once. Objects in it that the encoder does not know (a set, a
dataclass, an array) are converted on its way. What it refuses altogether (NaN, a key that is no string, what holds
itself, a lone surrogate) is rebuilt from JSON data first.
"""

from __future__ import annotations

import json
import os
from json import encoder as _json_encoder
from typing import Any, Callable

from . import tags
from .conversion import FOR_TOOLS, Unsendable, convert, convert_to_send, nearer, rebuild
from .limits import number
from .marker import markers
from .parcel import LARGE

VALUE_MAX = 64 << 20  # bytes; what the gateway takes at most, whatever it is told to allow (frame.h)
MAX_BODY = min(number(os.environ, "SNAKEPIT_VALUES_LIMIT", VALUE_MAX), VALUE_MAX)
"""Bytes of one value: a result, one of a stream, the arguments of a tool that is called."""
_CONTENT_TYPE_MAX = 1024  # characters


class Binary:
    """Bytes with a content type of their own, for a tool to return."""

    __slots__ = ("content_type", "data")

    def __init__(self, data: Any, content_type: str = "application/octet-stream") -> None:
        """``data`` is bytes or anything with the buffer protocol."""
        self.data = data
        self.content_type = content_type

    def to_dict(self) -> dict[str, Any]:
        """What it is inside of another value."""
        return tags.encode_bytes(self.data)


def _make_standard_encoder(default: Callable[[Any], Any] = convert) -> Callable[[Any], bytes]:
    """An encoder that raises TypeError, ValueError or RecursionError for what it cannot encode as it stands.

    ``default`` converts objects by one step.
    """
    plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=default).encode
    try:
        # JSONEncoder.encode makes a new C encoder for each value; keeping one is 2.5 times as fast.
        make = _json_encoder.c_make_encoder
        # Arguments: markers, default, string encoder, indent, separators, sort_keys, skipkeys, allow_nan. Without
        # markers a circular value ends in RecursionError.
        iterate = make(None, default, _json_encoder.encode_basestring, None, ":", ",", False, False, False)
        probe = {"a": [1, None, True, 0.5, "ü"]}
        if "".join(iterate(probe, 0)) == plain(probe):
            return lambda value: "".join(iterate(value, 0)).encode()
    except (AttributeError, TypeError):
        pass
    return lambda value: plain(value).encode()


def with_orjson(orjson: Any, standard: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """The same with orjson for what it encodes as ``standard`` does: it writes NaN as null, and knows objects."""
    dumps = orjson.dumps
    options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

    def encode_plain(value: Any) -> bytes:
        try:
            data = dumps(value, None, options)
        except (TypeError, RecursionError):
            return standard(value)
        return standard(value) if b"null" in data else data

    return encode_plain


_encode_plain = _make_standard_encoder()
_encode_to_send = _make_standard_encoder(convert_to_send)
try:
    import orjson as _orjson
except ImportError:
    pass
else:
    _encode_plain = with_orjson(_orjson, _encode_plain)
    _encode_to_send = with_orjson(_orjson, _encode_to_send)


def encode(value: Any) -> bytes:
    """``value`` as JSON text. What cannot be written is a marker in it."""
    try:
        return _encode_plain(value)
    except MemoryError:
        raise
    except Exception:  # also what a subclass of dict or a class's own code raises
        return _encode_plain(rebuild(value))


def encode_arguments(value: Any) -> tuple[Any, str]:
    """The same as encode_result() for what another tool is given, to which NaN and infinities are sent tagged.

    Raises TypeError for what cannot be sent.
    """
    if isinstance(value, (bytes, bytearray, memoryview, Binary)):
        return encode_result(value)
    try:
        return _encode_to_send(value), ""
    except (MemoryError, Unsendable):
        raise
    except Exception:
        return _encode_to_send(rebuild(value, FOR_TOOLS)), ""


def tagged(value: Any) -> Any:
    """``value`` as JSON data with tags, so that its types are kept as far as there are any for them."""
    return tags.encode(value, markers.mark, _nearer)


def _nearer(value: Any) -> Any:
    return memoryview(value.data) if isinstance(value, Binary) else nearer(value)


def encode_result(value: Any) -> tuple[Any, str]:
    """A tool's return value as body and content type; an empty content type means JSON.

    The body is bytes, or, if it is large, may be a contiguous memoryview of what the tool returned.

    Raises TypeError or ValueError for a Binary that is none, and for bytes that would be addresses of objects.
    """
    if type(value) is dict:  # mostly
        return encode(value), ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _contiguous(value), "application/octet-stream"
    if isinstance(value, Binary):
        return _contiguous(value.data), _checked(value.content_type)
    return encode(value), ""


def _contiguous(data: Any) -> Any:
    if type(data) is bytes:
        return data
    view = tags.octets(data)
    return view if view.c_contiguous and view.nbytes > LARGE else view.tobytes()


def _checked(content_type: Any) -> str:
    """It becomes a header. Raises ValueError when it cannot."""
    if not isinstance(content_type, str) or not 0 < len(content_type) <= _CONTENT_TYPE_MAX:
        raise ValueError(f"a content type is a string of 1 to {_CONTENT_TYPE_MAX} characters")
    if content_type.isascii() and content_type.isprintable():
        return content_type
    raise ValueError(f"{content_type!r} is not a content type")
