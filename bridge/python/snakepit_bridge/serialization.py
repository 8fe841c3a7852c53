"""Snakepit's serializer of typed values, for adapters that name it. It writes what results are written as."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Optional

from google.protobuf.any_pb2 import Any as Message

from . import conversion, values
from .zero_copy import ZeroCopyRef

_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_URL = "type.googleapis.com/snakepit."


class GracefulJSONEncoder(json.JSONEncoder):
    """An encoder for json.dumps() that converts what JSON lacks, or marks it."""

    def default(self, o: Any) -> Any:
        return conversion.convert(o)


class TypeSerializer:
    """Values of Snakepit's types as protobuf messages with JSON in them. Nothing is pickled."""

    @staticmethod
    def encode_any(value: Any, var_type: str) -> tuple[Message, Optional[bytes]]:
        """The message, and None in the place of binary data. Raises ValueError for a value of another type."""
        normalize = _NORMAL.get(var_type)
        if isinstance(value, ZeroCopyRef):
            value = value.to_payload()
        elif normalize is not None:
            value = normalize(value)
        return Message(type_url=_URL + var_type, value=values.encode(value)), None

    @staticmethod
    def decode_any(any_msg: Message, binary_data: Optional[bytes] = None) -> Any:
        """The value. Raises ValueError for one that is no JSON, or pickled."""
        kind = any_msg.type_url.rpartition("/")[2].rpartition(".")[2]
        if kind == "binary":
            raise ValueError("binary values are pickled: they are not taken")
        value = json.loads(any_msg.value)
        if isinstance(value, dict) and value.get("__snakepit_zero_copy__"):
            return ZeroCopyRef.from_payload(value)
        if kind == "float":
            return float(_SPECIAL.get(value, value) if isinstance(value, str) else value)
        return int(value) if kind == "integer" else value

    @staticmethod
    def validate_constraints(value: Any, var_type: str, constraints: Mapping[str, Any]) -> None:
        """Raises ValueError for a value that they do not admit. The gateway's own are those of session variables."""
        size = len(value) if hasattr(value, "__len__") else 0
        measured = value if var_type in ("float", "integer") else size
        low, high = _BOUNDS.get(var_type, ("", ""))
        if constraints.get(low) is not None and measured < constraints[low]:
            raise ValueError(f"{measured} is below {low}, {constraints[low]}")
        if constraints.get(high) is not None and measured > constraints[high]:
            raise ValueError(f"{measured} is above {high}, {constraints[high]}")
        allowed = constraints.get(_CHOICES.get(var_type, ""))
        if allowed and value not in allowed:
            raise ValueError(f"{value!r} is none of {allowed}")
        if var_type == "embedding" and constraints.get("dimensions") not in (None, 0, size):
            raise ValueError(f"wrong dimensions: {size} instead of {constraints['dimensions']}")
        if var_type == "tensor" and constraints.get("shape") and _shape(value) != list(constraints["shape"]):
            raise ValueError(f"wrong shape: {_shape(value)} instead of {constraints['shape']}")


_BOUNDS = {"float": ("min", "max"), "integer": ("min", "max"), "string": ("min_length", "max_length")}
_CHOICES = {"choice": "choices", "module": "allowed_modules"}


def _float(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise ValueError(f"expected a number, not {type(value).__name__}")


def _integer(value: Any) -> int:
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise ValueError(f"expected a whole number, not {value!r}")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected a boolean, not {type(value).__name__}")


def _embedding(value: Any) -> Any:
    if isinstance(value, list):
        return [float(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ValueError(f"expected a list, not {type(value).__name__}")


def _tensor(value: Any) -> Any:
    if isinstance(value, dict) and "shape" in value and "data" in value:
        return value
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        return {"shape": list(value.shape), "data": value.tolist()}
    raise ValueError(f"expected a tensor, not {type(value).__name__}")


def _shape(value: Any) -> list[int]:
    return list(value["shape"] if isinstance(value, dict) else value.shape)


_NORMAL: dict[str, Callable[[Any], Any]] = {
    "float": _float,
    "integer": _integer,
    "boolean": _boolean,
    "string": str,
    "choice": str,
    "module": str,
    "embedding": _embedding,
    "tensor": _tensor,
}
