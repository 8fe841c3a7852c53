"""Whether the parts of a form fit the parameters they are for.

The gateway checks JSON before a worker sees it, but takes no form apart.
"""

from __future__ import annotations

import json
import typing
from typing import Any, Optional

from . import bodies

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
NONE = object()
_NAMES = {**{kind: name for name, kind in _TYPES.items() if name != "number"}, float: "number"}


def takes_files(hint: Any) -> bool:
    """Whether bytes may be what the type wants, by themselves or in a list."""
    if hint is None or hint is Any or hint in (object, list, tuple, typing.List, typing.Sequence):
        return True
    return bodies.receiver(hint) is not None or any(takes_files(part) for part in typing.get_args(hint))


def fault(schema: dict[str, Any], files: bool, value: Any) -> str:
    """What is wrong with a value, for people; empty when nothing is.

    ``schema`` is that of the parameter's type, ``files`` whether it takes bytes.
    """
    if not isinstance(value, (str, int, float, bool, list, dict, type(None))):
        return "" if files else f"expected {_expected(schema)}, found a file"
    if "anyOf" in schema:
        faults = [fault(each, files, value) for each in schema["anyOf"]]
        return "" if "" in faults else f"expected {_expected(schema)}, found {_found(value)}"
    kinds = _kinds(schema)
    if kinds and not any(_is(kind, value) for kind in kinds):
        return f"expected {_expected(schema)}, found {_found(value)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"expected one of {', '.join(map(repr, schema['enum']))}, found {_found(value)}"
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return next(filter(None, (fault(schema["items"], files, each) for each in value)), "")
    return ""


def takes_text(schema: dict[str, Any]) -> bool:
    """Whether a text may be what is wanted, as it is."""
    return not schema or "string" in _kinds(schema) or any(takes_text(each) for each in schema.get("anyOf", ()))


def takes_list(schema: dict[str, Any]) -> bool:
    """Whether a list may be what is wanted."""
    if "anyOf" in schema:
        return any(takes_list(each) for each in schema["anyOf"])
    return not _kinds(schema) or "array" in _kinds(schema)


def elements(schema: dict[str, Any]) -> Optional[dict[str, Any]]:
    """The schema of each element where only a list will do, or null; None where something else will, or where each
    element has a type of its own."""
    lists = [each for each in schema.get("anyOf", (schema,)) if _kinds(each) != ["null"]]
    if len(lists) != 1 or set(_kinds(lists[0])) - {"null"} != {"array"} or "prefixItems" in lists[0]:
        return None
    return dict(lists[0].get("items", {}))


def whole_list(content: bytes, schema: dict[str, Any]) -> Any:
    """The list that a part is by itself, as JSON, or None where null is wanted too; NONE: it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return NONE
    nullable = "null" in _kinds(schema) or {"type": "null"} in schema.get("anyOf", ())
    return value if isinstance(value, list) or (value is None and nullable) else NONE


def _kinds(schema: dict[str, Any]) -> list[str]:
    found: Optional[Any] = schema.get("type")
    return found if isinstance(found, list) else [found] if isinstance(found, str) else []


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _expected(schema: dict[str, Any]) -> str:
    parts = [_expected(each) for each in schema.get("anyOf", ())] or _kinds(schema)
    return " or ".join(parts) or "something else"


def _found(value: Any) -> str:
    return _NAMES.get(type(value), "a file")
