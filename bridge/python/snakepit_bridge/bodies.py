"""The body of a request that is not JSON, as the type of a tool's parameter wants it.

A large one lies in shared memory. As a memoryview or an array it is not copied, cannot be written to, and lasts as long
as anybody refers to it.
"""

from __future__ import annotations

import io
import typing
from collections.abc import Iterator
from typing import Any, Callable, Optional

from .errors import Refused

_HEADER_MAX = 16 << 10  # bytes of a .npy file, of which numpy reads 10,000


def receiver(hint: Any) -> Optional[Callable[[Any, str], Any]]:
    """What makes a parameter of that type from a bytes-like object and its content type; None if it takes no body."""
    kinds = tuple(_parts(hint))
    if str in kinds:
        return None
    if bytes in kinds:
        return to_bytes
    if memoryview in kinds:
        return to_view
    return to_array if any(_is_array(kind) for kind in kinds) else None


def _parts(hint: Any) -> Iterator[Any]:
    """The types that it is made of."""
    yield hint
    yield typing.get_origin(hint)
    for part in typing.get_args(hint):
        yield from _parts(part)


def to_bytes(data: Any, content_type: str) -> bytes:
    return data if type(data) is bytes else bytes(data)


def to_view(data: Any, content_type: str) -> memoryview:
    return memoryview(data)


def to_array(data: Any, content_type: str) -> Any:
    """What is in a body of ``application/x-npy``, or the bytes of any other. Raises Refused."""
    import numpy

    if content_type.split(";", 1)[0].strip().lower() == "application/x-npy":
        try:
            return _of_npy(data)
        except (ValueError, TypeError, SyntaxError, OverflowError) as error:
            raise Refused("ValueError", f"the body is not a .npy file: {error}", 422, "invalid_arguments") from error
    return numpy.frombuffer(data, numpy.uint8)


def _is_array(kind: Any) -> bool:
    """numpy.ndarray, or numpy.typing.NDArray of something; nobody has to import numpy to find out."""
    kind = typing.get_origin(kind) or kind
    return getattr(kind, "__module__", "") == "numpy" and getattr(kind, "__name__", "") == "ndarray"


def _of_npy(data: Any) -> Any:
    import numpy
    from numpy.lib import format as npy

    head = io.BytesIO(bytes(memoryview(data)[:_HEADER_MAX]))
    version = npy.read_magic(head)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} is not known")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, kind = read(head)
    if kind.hasobject:
        raise ValueError("objects are not taken")
    count = 1
    for size in shape:
        count *= size
    return numpy.frombuffer(data, kind, count, head.tell()).reshape(shape, order="F" if by_columns else "C")
