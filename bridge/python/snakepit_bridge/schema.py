"""JSON Schema 2020-12 for Python's type hints."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import typing
from typing import Any, Union

from .bounds import bounded
from .errors import LoadError
from .notices import tell

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bytes: {"type": "string", "format": "binary"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    typing.Tuple: {"type": "array"},  # without arguments, as Tuple[()] is, which takes nothing
}
_CHOICES = (str, int, float, bool, type(None))
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_SETS = (set, frozenset, collections.abc.Set)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)([.,][0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
_HEX = "[0-9A-Fa-f]"
_NUMERAL = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([Ee][+-]?[0-9]+)?"


def _text(pattern: str, **members: Any) -> dict[str, Any]:
    return {"type": "string", **members, "pattern": f"^({pattern})$"}


# By name, so that nobody has to import these modules. A format is an annotation, which nobody has to check; a pattern
# is none. They take what isoformat() and str() write: times without a zone too, which RFC 3339 does not.
_TEXTS: dict[tuple[str, str], dict[str, Any]] = {
    ("datetime", "datetime"): _text(f"{_DATE}[Tt ]{_TIME}", format="date-time"),
    ("datetime", "date"): _text(_DATE, format="date"),
    ("datetime", "time"): _text(_TIME, format="time"),
    ("uuid", "UUID"): _text(f"{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", format="uuid"),
    ("decimal", "Decimal"): {**_text(f"{_NUMERAL}|[+-]?(NaN|Infinity)"), "type": ["number", "string"]},
    **{("pathlib", name): {"type": "string"} for name in ("PurePath", "Path", "PurePosixPath", "PosixPath")},
}
_WITH_BOUNDS: dict[str, bool] = {"include_extras": True} if sys.version_info >= (3, 9) else {}
MAX_DEPTH = 16  # hints within each other; below this anything goes


def of_type(hint: Any, above: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The schema of values that JSON has for ``hint``; an empty schema, which admits all, when it is not known.

    ``above``: the hints that it is a part of.
    """
    if len(above) > MAX_DEPTH or hint is Any or hint is inspect.Parameter.empty:
        return {}
    if _is_class(hint) and hint in above:
        return {"$ref": _place_of(hint, above)}  # a class that refers to itself
    above = (*above, hint)
    try:
        if hint in _SIMPLE:
            return dict(_SIMPLE[hint])
    except TypeError:  # not hashable
        return {}
    origin = typing.get_origin(hint)
    if origin is not None:
        return _of_generic(origin, typing.get_args(hint), above)
    if hasattr(hint, "__supertype__"):  # a NewType
        return of_type(hint.__supertype__, above)
    if isinstance(hint, typing.TypeVar):
        return of_type(Union[hint.__constraints__] if hint.__constraints__ else hint.__bound__ or Any, above)
    return _named(hint, above) if isinstance(hint, type) else {}


def unchecked(hint: Any) -> str:
    """The first type in ``hint`` that JSON Schema has nothing to say of; empty when there is none."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object, inspect.Parameter.empty, Ellipsis):
        return ""
    if getattr(typing, "Annotated", None) is origin or getattr(origin, "_name", "") in _WRAPPERS:
        return unchecked(args[0])
    if _is_union(origin) or origin in (tuple, *_LISTS, *_SETS):
        return next(filter(None, map(unchecked, args)), "")
    if origin in _OBJECTS:
        return unchecked(args[-1]) if args else ""  # names are texts in any case
    return "" if of_type(hint) else getattr(hint, "__qualname__", None) or str(hint)


def _is_class(hint: Any) -> bool:
    """Whether it is one, or one with arguments, whose fields may be of its own type."""
    origin = typing.get_origin(hint) or hint
    return isinstance(origin, type) and hasattr(origin, "__annotations__")


def _place_of(hint: Any, above: tuple[Any, ...]) -> str:
    """Where the definition of a class is that is refered to from within it: no other class has the same place."""
    depth = above.index(hint)
    return f"#/$defs/{(typing.get_origin(hint) or hint).__name__}{depth or ''}"


def _named(hint: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """The schema of a class; as a definition if it refers to itself."""
    found, place = _of_class(hint, above), _place_of(hint, above)
    if repr({"$ref": place})[1:-1] not in repr(found):
        return found
    return {"$defs": {place.rpartition("/")[2]: found}, "$ref": place}


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
    name = str(item.get("type", "any")).lower()
    kind = _TYPES.get(name)
    found: dict[str, Any] = {"type": kind} if kind else {}
    if name in ("binary", "bytes"):
        found["format"] = "binary"
    found.update({key: item[key] for key in ("default", "description", "enum") if key in item})
    return found


def _of_generic(origin: Any, args: tuple[Any, ...], above: tuple[Any, ...]) -> dict[str, Any]:
    if origin is typing.Literal:
        return _of_choices(list(args))
    if _is_union(origin):
        return _of_union([of_type(arg, above) for arg in args])
    if getattr(typing, "Annotated", None) is origin:
        return bounded(of_type(args[0], above), args[1:])
    if getattr(origin, "_name", "") in _WRAPPERS:
        return of_type(args[0], above)
    if _is_class(above[-1]):
        return _named(above[-1], above)
    if origin is tuple:
        return _of_tuple(args, above)
    if origin in _SETS:
        return {"type": "array", **_items(args, above)}  # set() takes duplicates
    if origin in _LISTS:
        return {"type": "array", **_items(args, above)}
    if origin in _OBJECTS:
        values = of_type(args[1], above) if len(args) == 2 else {}
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    return {}


def is_union(hint: Any) -> bool:
    """Whether it is a Union[…], an Optional[…] or ``X | Y``."""
    return _is_union(typing.get_origin(hint))


def _is_union(origin: Any) -> bool:
    return origin is Union or getattr(origin, "__name__", "") == "UnionType"


_WRAPPERS = ("Required", "NotRequired", "Unpack", "Final", "ReadOnly")


def _items(args: tuple[Any, ...], above: tuple[Any, ...]) -> dict[str, Any]:
    items = of_type(args[0], above) if args else {}
    return {"items": items} if items else {}


def _of_tuple(args: tuple[Any, ...], above: tuple[Any, ...]) -> dict[str, Any]:
    if len(args) == 2 and args[1] is Ellipsis:
        return {"type": "array", **_items(args, above)}
    items = [of_type(arg, above) for arg in args if arg != ()]  # Tuple[()] has one before Python 3.11
    return _of_places(items, len(items))


def _of_places(items: list[dict[str, Any]], least: int) -> dict[str, Any]:
    """A list of those schemas is not allowed to be empty."""
    places: dict[str, Any] = {"prefixItems": items, "minItems": least} if items else {}
    return {"type": "array", **places, "maxItems": len(items)}


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
    if not choices:
        return {"not": {}}  # an Enum without members
    choices = [getattr(choice, "value", choice) for choice in choices]  # Literal may name members of an Enum
    if any(type(choice) not in _CHOICES or choice != choice for choice in choices):
        return {}  # JSON has no such value
    kinds = {type(choice) for choice in choices}
    kind = _SIMPLE.get(kinds.pop()) if len(kinds) == 1 else None
    return {**(kind or {}), "enum": choices}


def _of_class(cls: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """The class may have arguments, but for those that describe themselves."""
    hint = typing.get_origin(cls) or cls
    if hasattr(hint, "__members__"):  # an Enum
        return _of_choices([member.value for member in hint])  # type: ignore[attr-defined]
    if hasattr(hint, "__dataclass_fields__"):
        return _of_dataclass(cls, above)
    if hasattr(hint, "__required_keys__"):
        return _of_typed_dict(cls, above)
    if issubclass(hint, tuple) and hasattr(hint, "_field_defaults"):
        return _of_named_tuple(cls, above)
    if callable(getattr(hint, "model_json_schema", None)):
        return _of_model(hint)
    if isinstance(getattr(hint, "__fields__", None), dict):
        return _of_old_model(hint, above)
    return _of_subclass(hint, above)


def _of_subclass(hint: type, above: tuple[Any, ...]) -> dict[str, Any]:
    """That of the first of its bases that is known, with its own bounds and type of items, as pydantic 1 makes them."""
    for base in hint.__mro__:
        found = _TEXTS.get((base.__module__, base.__qualname__)) or _SIMPLE.get(base) or _of_bare_container(base)
        if found:
            items = {} if base is hint else of_type(getattr(hint, "item_type", Any), above)
            return bounded({**found, **({"items": items} if items else {})}, () if base is hint else (hint,))
    return {}


def _of_typed_dict(hint: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """The class itself knows nothing of Required[] and NotRequired[] in annotations that are texts."""
    hints = hints_of(hint)
    marks = {name: getattr(typing.get_origin(each), "_name", "") for name, each in hints.items()}
    known = {"Required": True, "NotRequired": False}
    keys = (typing.get_origin(hint) or hint).__required_keys__
    required = [name for name in hints if known.get(marks[name], name in keys)]
    return _of_fields({name: of_type(each, above) for name, each in hints.items()}, required)


def _of_named_tuple(hint: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """An array, as results have it."""
    hints = hints_of(hint)
    defaults = hint._field_defaults
    items = [_of_field(hints.get(name, Any), defaults.get(name, name), above) for name in hint._fields]
    return _of_places(items, len(items) - len(defaults))


def _of_model(hint: Any) -> dict[str, Any]:
    """A pydantic model's own schema. Its definitions are lifted out later, see whole()."""
    try:
        found = hint.model_json_schema()
    except Exception:  # a field that pydantic has no schema for
        return {}
    return found if isinstance(found, dict) else {}


def _of_old_model(hint: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """Pydantic 1 says nothing of null in its own schema, and names fields by their alias."""
    hints = hints_of(hint)
    properties: dict[str, Any] = {}
    required = []
    for name, field in hint.__fields__.items():
        found = bounded(of_type(hints.get(name, Any), above), (getattr(field, "field_info", None),))
        alias = getattr(field, "alias", name)
        properties[alias] = or_null(found) if getattr(field, "allow_none", False) else found
        if getattr(field, "required", False) is True and alias == name:
            required.append(name)
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def or_null(found: dict[str, Any]) -> dict[str, Any]:
    """The same schema, and null."""
    if not found or found.get("type") == "null":
        return found
    if set(found) == {"type"}:
        types = found["type"] if isinstance(found["type"], list) else [found["type"]]
        return {"type": [*types, *(["null"] if "null" not in types else [])]}
    if set(found) == {"anyOf"} and {"type": "null"} in found["anyOf"]:
        return found
    return {"anyOf": [found, {"type": "null"}]}


def whole(document: dict[str, Any]) -> dict[str, Any]:
    """``document`` with the definitions of all its parts at its top, where their references are made to point."""
    definitions: dict[str, Any] = {}
    lifted = _lift(document, definitions, {})
    return {**lifted, "$defs": definitions} if definitions else lifted


_DEFINITIONS = ("$defs", "definitions")
_OF_SCHEMAS = ("properties", "patternProperties")  # their members have any names
_OF_VALUES = ("default", "enum", "const", "examples", "required", "type")


def _lift(part: Any, definitions: dict[str, Any], names: dict[str, str]) -> Any:
    """``part`` without definitions, which go to ``definitions``. ``names``: what references in it have become."""
    if isinstance(part, list):
        return [_lift(item, definitions, names) for item in part]
    if not isinstance(part, dict):
        return part
    own = {f"#/{where}/{name}": item for where in _DEFINITIONS for name, item in part.get(where, {}).items()}
    names = {**names, **_free_names(own, definitions)}
    for reference, item in own.items():
        definitions[names[reference].rpartition("/")[2]] = _lift(item, definitions, names)
    lifted: dict[str, Any] = {}
    for key, value in part.items():
        if key in _OF_SCHEMAS:
            lifted[key] = {name: _lift(item, definitions, names) for name, item in value.items()}
        elif key == "$ref":
            lifted[key] = names.get(value, value)
        elif key not in _DEFINITIONS:
            lifted[key] = value if key in _OF_VALUES else _lift(value, definitions, names)
    return lifted


def _free_names(references: dict[str, Any], taken: dict[str, Any]) -> dict[str, str]:
    """A reference that is not in use yet for each of those given."""
    found: dict[str, str] = {}
    for reference in references:
        name = base = reference.rpartition("/")[2]
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken[name] = {}
        found[reference] = f"#/$defs/{name}"
    return found


def _of_bare_container(hint: type) -> dict[str, Any]:
    if hint in _SETS or hint in (list, tuple):
        return {"type": "array"}
    return {"type": "object"} if hint in _OBJECTS else {}


def _of_dataclass(hint: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    """What its constructor takes: InitVars too, and no fields with ``init=False``."""
    hints = hints_of(hint)
    constructor = (typing.get_origin(hint) or hint).__init__
    taken = list(inspect.signature(constructor).parameters.values())[1:]
    fields = [each for each in taken if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    properties = {each.name: _of_field(hints.get(each.name, Any), each.default, above) for each in fields}
    return _of_fields(properties, [each.name for each in fields if each.default is each.empty])


def _of_field(hint: Any, default: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    found = of_type(hint.type if type(hint).__name__ == "InitVar" else hint, above)
    return or_null(found) if default is None else found  # `x: int = None` admits None


def _of_fields(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def hints_of(thing: Any) -> dict[str, Any]:
    """Resolved annotations, with Annotated's bounds; Any for what cannot be resolved, of which the log tells.

    Of a class with arguments those stand for its type variables.
    """
    origin = typing.get_origin(thing)
    if origin is not None:
        given = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(thing)))
        return {name: _filled(hint, given) for name, hint in hints_of(origin).items()}
    try:
        return typing.get_type_hints(thing, **_WITH_BOUNDS)
    except Exception:  # any user code may be evaluated here
        found: dict[str, Any] = {}
        for owner in reversed(getattr(thing, "__mro__", (thing,))):
            found.update(_hints_one_by_one(owner))
        return found


def _filled(hint: Any, given: dict[Any, Any]) -> Any:
    """With what is given for its type variables."""
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, hint)
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(each, each) for each in variables)] if variables else hint


def _hints_one_by_one(owner: Any) -> dict[str, Any]:
    """Those of a function, or of one class of several. What only type checkers import of this package is found, too."""
    raw = owner.__dict__ if isinstance(owner, type) else {"__annotations__": getattr(owner, "__annotations__", {})}
    names = getattr(inspect.unwrap(owner), "__globals__", None) or vars(sys.modules.get(owner.__module__, typing))
    names = {**vars(sys.modules[__package__]), **names}
    found: dict[str, Any] = {}
    for name, hint in raw.get("__annotations__", {}).items():
        one = type(name, (), {"__annotations__": {name: hint}})
        try:
            found[name] = typing.get_type_hints(one, names, vars(owner), **_WITH_BOUNDS)[name]
        except Exception as error:
            found[name] = Any
            if name != "return":
                where = getattr(owner, "__qualname__", owner)
                tell(f"{where}: {name!r} takes anything, its annotation cannot be resolved: {error}")
    return found
