"""JSON Schema 2020-12 for Python's type hints."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from typing import Any, Union

from .errors import LoadError

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bytes: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
}
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_SETS = (set, frozenset, collections.abc.Set)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_STRING_FORMATS = {  # by name, so that nobody has to import these modules
    ("datetime", "datetime"): "date-time",
    ("datetime", "date"): "date",
    ("datetime", "time"): "time",
    ("uuid", "UUID"): "uuid",
}
MAX_DEPTH = 16  # a dataclass may refer to itself; below this anything goes


def of_type(hint: Any, depth: int = 0) -> dict[str, Any]:
    """The schema of values that JSON has for ``hint``; an empty schema, which admits all, when it is not known."""
    if depth > MAX_DEPTH or hint is Any or hint is inspect.Parameter.empty:
        return {}
    try:
        if hint in _SIMPLE:
            return dict(_SIMPLE[hint])
    except TypeError:  # not hashable
        return {}
    origin = typing.get_origin(hint)
    if origin is not None:
        return _of_generic(origin, typing.get_args(hint), depth)
    return _of_class(hint, depth) if isinstance(hint, type) else {}


_TYPES = {
    **{name: name for name in ("string", "integer", "number", "boolean", "array", "object", "null")},
    **{"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"},
    **{"map": "object", "binary": "string", "bytes": "string"},
}


def of_declaration(tool: str, declared: Any) -> dict[str, Any]:
    """The schema of a tool's arguments as its author wrote it: a JSON Schema, or a list of dicts with names and types.

    Raises LoadError for anything else.
    """
    if isinstance(declared, dict):
        return {"type": "object", **declared}
    try:
        properties = {item["name"]: _of_declared(item) for item in declared}
        required = [item["name"] for item in declared if item.get("required")]
    except (TypeError, KeyError, AttributeError) as error:
        raise LoadError(f"the parameters of tool {tool!r} must be dicts with a name") from error
    return _of_fields(properties, required)


def _of_declared(item: dict[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(str(item.get("type", "any")).lower())
    found: dict[str, Any] = {"type": kind} if kind else {}
    found.update({key: item[key] for key in ("default", "description", "enum") if key in item})
    return found


def _of_generic(origin: Any, args: tuple[Any, ...], depth: int) -> dict[str, Any]:
    if origin is typing.Literal:
        return _of_choices(list(args))
    if origin is Union or getattr(origin, "__name__", "") == "UnionType":
        return _of_union([of_type(arg, depth + 1) for arg in args])
    if getattr(typing, "Annotated", None) is origin or origin in _wrappers():
        return of_type(args[0], depth + 1)
    if origin is tuple:
        return _of_tuple(args, depth)
    if origin in _SETS:
        return {"type": "array", "uniqueItems": True, **_items(args, depth)}
    if origin in _LISTS:
        return {"type": "array", **_items(args, depth)}
    if origin in _OBJECTS:
        values = of_type(args[1], depth + 1) if len(args) == 2 else {}
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    return {}


def _wrappers() -> tuple[Any, ...]:
    """Required[] and NotRequired[] of TypedDict, from Python 3.11 on."""
    return tuple(w for w in (getattr(typing, n, None) for n in ("Required", "NotRequired")) if w is not None)


def _items(args: tuple[Any, ...], depth: int) -> dict[str, Any]:
    items = of_type(args[0], depth + 1) if args else {}
    return {"items": items} if items else {}


def _of_tuple(args: tuple[Any, ...], depth: int) -> dict[str, Any]:
    if len(args) == 2 and args[1] is Ellipsis:
        return {"type": "array", **_items(args, depth)}
    items = [of_type(arg, depth + 1) for arg in args]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _of_union(members: list[dict[str, Any]]) -> dict[str, Any]:
    if any(not member for member in members):
        return {}
    if all(set(member) == {"type"} for member in members):
        types = list(dict.fromkeys(member["type"] for member in members))
        if "number" in types and "integer" in types:
            types.remove("integer")  # which every number may be
        return {"type": types[0] if len(types) == 1 else types}
    return {"anyOf": members}


def _of_choices(choices: list[Any]) -> dict[str, Any]:
    kinds = {type(choice) for choice in choices}
    kind = _SIMPLE.get(kinds.pop()) if len(kinds) == 1 else None
    return {**(kind or {}), "enum": choices}


def _of_class(hint: type, depth: int) -> dict[str, Any]:
    if hasattr(hint, "__members__"):  # an Enum
        return _of_choices([member.value for member in hint])  # type: ignore[attr-defined]
    if hasattr(hint, "__dataclass_fields__"):
        return _of_dataclass(hint, depth)
    if hasattr(hint, "__required_keys__"):  # a TypedDict
        properties = {k: of_type(v, depth + 1) for k, v in hints_of(hint).items()}
        return _of_fields(properties, [key for key in properties if key in hint.__required_keys__])
    if callable(getattr(hint, "model_json_schema", None)):  # pydantic
        return hint.model_json_schema()
    text = _STRING_FORMATS.get((hint.__module__, hint.__qualname__))
    if text:
        return {"type": "string", "format": text}
    return _of_bare_container(hint)


def _of_bare_container(hint: type) -> dict[str, Any]:
    if hint in _SETS:
        return {"type": "array", "uniqueItems": True}
    if hint in (list, tuple):
        return {"type": "array"}
    return {"type": "object"} if hint in _OBJECTS else {}


def _of_dataclass(hint: type, depth: int) -> dict[str, Any]:
    import dataclasses  # only here: whoever has a dataclass has paid for the import

    hints = hints_of(hint)
    fields = [field for field in dataclasses.fields(hint) if field.init]
    properties = {field.name: of_type(hints.get(field.name, Any), depth + 1) for field in fields}
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    return _of_fields(properties, required)


def _of_fields(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def hints_of(thing: Any) -> dict[str, Any]:
    """Resolved annotations; those that cannot be resolved (a missing import, 3.10's ``|`` on 3.9) are left out."""
    try:
        return typing.get_type_hints(thing)
    except Exception:  # any user code may be evaluated here
        raw = getattr(thing, "__annotations__", {})
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}
