"""The parameters of a tool: its argument schema, and how a call's bytes become keyword arguments."""

from __future__ import annotations

import inspect
import json
import math
import sys
import typing
from json import decoder as _json_decoder
from json import scanner as _json_scanner
from typing import Any, Callable, Optional

from . import bodies, callables, docstring, schema, tags
from .context import CallContext
from .errors import LoadError, Refused
from .session_context import SessionContext
from .stream import Stream

CONTEXT_NAMES = ("ctx", "context")
BODY_NAMES = ("body", "data")
ERRORS_MAX = 16  # that are told of one call
UNCHECKED_SHOWN = 80  # characters of a type that cannot be checked
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_NULL = type(None)
_scan = _json_scanner.make_scanner(_json_decoder.JSONDecoder())


class Parameters:
    """What a tool can be called with. Immutable after it was made."""

    def __init__(
        self, name: str, function: Callable[..., Any], is_method: bool, is_batch: bool = False, raw: bool = False
    ) -> None:
        """``name`` is the tool's. Raises LoadError when the function cannot be called by keywords.

        With ``is_batch`` its one parameter is a list of such calls as it is announced with; with ``raw`` it decodes
        tagged arguments itself.
        """
        self._raw = raw
        self.tool = name
        self._parameters, self._owner = _own_parameters(name, function, is_method)
        self._hints = schema.hints_of(callables.function_of(function))
        self.context = self._given_by_us(CONTEXT_NAMES, (CallContext, SessionContext))
        self.stream = self._given_by_us(("stream",), (Stream,))
        own = {n: p for n, p in self._parameters.items() if n not in (self.context, self.stream)}
        self.extra = any(p.kind is p.VAR_KEYWORD for p in own.values())
        named = {n: p for n, p in own.items() if p.kind in _NAMED}
        self.allowed = frozenset(named)
        self.required = frozenset(n for n, p in named.items() if p.default is p.empty)
        self.whole = "params" if list(own) == ["params"] and self._is_object("params") else ""
        self.batch = is_batch
        if is_batch:
            self.whole = _only(name, named)
        receivers = {} if self.whole else {n: bodies.receiver(self._hints.get(n)) for n in named}
        self.binary = tuple(n for n, receive in receivers.items() if receive in (bodies.to_bytes, bodies.to_view))
        self.body = (
            *(n for n, receive in receivers.items() if receive),
            *(n for n in BODY_NAMES if n in named and n not in self._hints),
            "",
        )[0]
        self._receivers = {n: receive or bodies.to_bytes for n, receive in receivers.items()}
        self.content_type = "content_type" if "content_type" in named else ""
        self._named = named
        self._integers = tuple(n for n in named if _is_integer(self._hints.get(n)))
        self._integer_lists = tuple(n for n in named if _is_integer_list(self._hints.get(n)))
        self._exact = not (self.whole or self.binary or self.extra)
        self._reserved = frozenset((self.context, self.stream, self._owner) if self.extra else ())

    def _given_by_us(self, names: tuple[str, ...], kinds: tuple[type, ...]) -> str:
        """The first parameter of one of those types, else of those names if it has no type; an empty string for none.

        One that has a default other than None is the caller's.
        """
        named = [p for p in self._parameters.values() if p.kind in _NAMED]
        own = [p for p in named if p.default is p.empty or p.default is None]
        typed = [p.name for p in own if _is_one_of(self._hints.get(p.name), kinds)]
        untyped = [p.name for name in names for p in own if p.name == name and self._is_untyped(name)]
        return next(iter([*typed, *untyped]), "")

    def _is_untyped(self, name: str) -> bool:
        """Whether it has no type, or Any."""
        return self._hints.get(name, Any) is Any and not self._unresolved(name)

    def _unresolved(self, name: str) -> str:
        """The parameter's annotation, if it cannot be resolved; else empty."""
        written = self._parameters[name].annotation
        is_text = self._hints.get(name, Any) is Any and isinstance(written, str)
        return written if is_text and written.rpartition(".")[2] != "Any" else ""

    def _is_object(self, name: str) -> bool:
        hint = self._hints.get(name)
        return hint is None or schema.of_type(_not_null(hint)).get("type") == "object"

    def schema(self, function: Callable[..., Any], declared: Any = None) -> dict[str, Any]:
        """The JSON Schema of the arguments object: what was ``declared`` (see tools.tool), else the signature's."""
        if declared is not None:
            return {"$schema": schema.DIALECT, **schema.of_declaration(self.tool, declared)}
        if self.whole:
            hint = self._hints.get(self.whole)
            if self.batch:
                hint = next(iter(typing.get_args(hint)), Any)
            found = schema.whole(schema.of_type(_not_null(hint)))
            return {"$schema": schema.DIALECT, **(found if found.get("type") == "object" else {}), "type": "object"}
        texts = docstring.argument_descriptions(callables.function_of(function))
        properties = {n: self._property(n, texts.get(n, "")) for n in self._named}
        result: dict[str, Any] = {"$schema": schema.DIALECT, "type": "object", "properties": properties}
        required = [n for n in self._named if n in self.required]
        if required:
            result["required"] = required
        result["additionalProperties"] = self.extra
        return schema.whole(self._with_rest(result))

    def _with_rest(self, result: dict[str, Any]) -> dict[str, Any]:
        """With what ``**rest: int`` or ``**rest: Unpack[SomeTypedDict]`` says of arguments without a name here."""
        rest = next((p.name for p in self._parameters.values() if p.kind is p.VAR_KEYWORD), "")
        hint = self._hints.get(rest, Any)
        found = schema.of_type(hint)
        if getattr(typing.get_origin(hint), "_name", "") != "Unpack":
            return {**result, "additionalProperties": found} if found else result
        result["properties"].update(found.get("properties", {}))
        required = [*result.get("required", ()), *found.get("required", ())]
        more = {"required": required} if required else {}
        return {**result, **more, "additionalProperties": "properties" not in found}

    def _property(self, name: str, text: str) -> dict[str, Any]:
        found = schema.of_type(self._hints.get(name, Any))
        default = self._named[name].default
        if default is None:
            found = schema.or_null(found)  # `x: int = None` admits None
        if default is not inspect.Parameter.empty:
            try:
                found["default"] = json.loads(json.dumps(default, allow_nan=False))
            except (TypeError, ValueError, RecursionError):
                pass  # a default that JSON cannot show is still a default
        if text:
            found["description"] = text
        unchecked = self._unchecked(name)
        if unchecked:
            found["x-unchecked"] = unchecked[:UNCHECKED_SHOWN]  # the gateway tells of it, as of unknown keywords
        return found

    def _unchecked(self, name: str) -> str:
        """What of the parameter's type cannot be checked, or empty. That of a body, which is not JSON, need not be."""
        hint = self._hints.get(name, Any)
        return self._unresolved(name) or ("" if bodies.receiver(hint) else schema.unchecked(hint))

    def bind(self, args: Any, content_type: str) -> dict[str, Any]:
        """Keyword arguments for one call: of bytes, or a memoryview of large ones.

        Raises Refused when they do not fit, before any of the tool's code runs.
        """
        if content_type and not _is_json(content_type):
            return self._bind_body(args, content_type)
        given = _parse_object(args, self._raw)
        self._make_whole(given)
        if self._exact and self.required <= given.keys() <= self.allowed:
            return given
        if self.whole:
            return {self.whole: given}
        self._check(given)
        for name in self.binary:
            if isinstance(given.get(name), str):  # tagged bytes are bytes already
                given[name] = self._receivers[name](_text_bytes(name, given[name]), "")
        return given

    def _bind_form(self, args: Any, content_type: str) -> dict[str, Any]:
        """The parts of a form by their names."""
        from . import multipart  # few tools get one

        given: dict[str, Any] = {}
        faults: dict[str, str] = {}
        try:
            named = multipart.by_name(multipart.parse(bytes(args), content_type))
        except ValueError as error:
            message = f"the form cannot be read: {error}"
            raise _invalid(message, {"": message}) from error
        for name, parts in named.items():
            try:
                given[name] = self._form_argument(parts, self._wanted(name))
            except (ValueError, RecursionError, Refused) as error:
                faults[name] = f"is not what the parameter wants: {error}"
        if not self.whole:
            self._check_parts(given, faults)
        if faults:
            name, detail = next(iter(faults.items()))
            raise _invalid(f"the part {name!r}: {detail}", faults)
        self._make_whole(given)
        return {self.whole: given} if self.whole else given

    def _make_whole(self, given: dict[str, Any]) -> None:
        """Make the floats that stand for whole numbers such where whole numbers are wanted. Raises Refused."""
        for name in self._integers:
            if given.get(name).__class__ is float:
                given[name] = _whole(name, given[name])
        for name in self._integer_lists:
            items = given.get(name)
            if items.__class__ is list and float in set(map(type, items)):
                given[name] = [_whole(name, item) if item.__class__ is float else item for item in items]

    def _wanted(self, name: str) -> dict[str, Any]:
        """The schema of the parts of that name, empty where anything will do."""
        found = self._property(name, "") if name in self._named and not self.whole else {}
        return {key: value for key, value in found.items() if key not in ("default", "x-unchecked")}

    def _form_argument(self, parts: list[Any], wanted: dict[str, Any]) -> Any:
        """What all parts of one name are. Raises ValueError.

        For a list each is an element, but one that is a JSON array is the list. Elsewhere several are a list, if that
        may be one.
        """
        from . import fitting

        elements = fitting.elements(wanted)
        if len(parts) > 1 and elements is None and not fitting.takes_list(wanted):
            raise ValueError(f"there are {len(parts)} of that name, and it takes no list")
        if len(parts) == 1 and elements is None:
            return self._form_value(parts[0], wanted)
        if len(parts) == 1 and not self._is_binary(parts[0]):
            whole = fitting.whole_list(parts[0].content, wanted)
            if whole is not fitting.NONE:
                return whole
        return [self._form_value(part, wanted if elements is None else elements) for part in parts]

    def _check_parts(self, given: dict[str, Any], faults: dict[str, str]) -> None:
        """Adds what is wrong with the parts, by name."""
        from . import fitting

        for name in self.required - given.keys() - faults.keys():
            faults[name] = "is missing"
        for name, value in given.items():
            if name in self._reserved or (name not in self.allowed and not self.extra):
                faults[name] = "there is no argument of that name"
                continue
            hint = self._hints.get(name)
            detail = fitting.fault(self._wanted(name), fitting.takes_files(hint), value)
            if detail:
                faults[name] = detail

    def _is_binary(self, part: Any) -> bool:
        """Whether it is bytes: a file, or for a parameter that wants them."""
        if _is_json(part.content_type):
            return False
        is_text = not part.content_type or _is_text(part.content_type)
        return bool(part.filename) or part.name in self.binary or not is_text

    def _form_value(self, part: Any, wanted: dict[str, Any]) -> Any:
        """Bytes for files and where bytes are wanted, else text, or JSON where a type says so. Raises ValueError."""
        from . import fitting

        if self._is_binary(part):
            return self._receivers.get(part.name, bodies.to_bytes)(part.content, part.content_type)
        text = part.content.decode()
        as_it_is = fitting.takes_text(wanted) and not _is_json(part.content_type)
        return text if as_it_is else json.loads(text)

    def _bind_body(self, args: Any, content_type: str) -> dict[str, Any]:
        whole = self.content_type or self.body in BODY_NAMES  # it wants the form as it is
        if not whole and content_type[:10].lower() == "multipart/":
            from . import multipart

            if multipart.is_form(content_type):
                return self._bind_form(args, content_type)
        if not self.body:
            message = f"{self.tool} takes JSON arguments, not {content_type}"
            raise Refused("TypeError", message, 415, "unsupported_media_type")
        given: dict[str, Any] = {self.body: self._receivers.get(self.body, bodies.to_bytes)(args, content_type)}
        if self.content_type:
            given[self.content_type] = content_type
        self._check(given)
        return given

    def _check(self, given: dict[str, Any]) -> None:
        if not self.required <= given.keys():
            raise _invalid(f"{self.tool} is missing the argument {_names(self.required - given.keys())}")
        if self.extra and self._reserved.isdisjoint(given):
            return
        unknown = given.keys() & self._reserved if self.extra else given.keys() - self.allowed
        if unknown:
            raise _invalid(f"{self.tool} has no argument {_names(unknown)}")


def _only(tool: str, named: dict[str, Any]) -> str:
    """The name of a batch tool's list of calls."""
    if len(named) != 1:
        raise LoadError(f"the batch tool {tool!r} must take one list of calls, not {len(named)} parameters")
    return next(iter(named))


def _own_parameters(
    name: str, function: Callable[..., Any], is_method: bool
) -> tuple[dict[str, inspect.Parameter], Optional[str]]:
    """The parameters a caller may fill, and the name of the one before them, if it takes that name from **kwargs."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise LoadError(f"tool {name!r} has no signature that Python can show: {error}") from error
    owner = None
    if is_method and found:
        first = found.pop(0)
        owner = first.name if first.kind is first.POSITIONAL_OR_KEYWORD else None
    for parameter in found:
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise LoadError(f"tool {name!r} cannot be called by name: {parameter.name!r} is positional-only")
    return {parameter.name: parameter for parameter in found}, owner


def _is_text(content_type: str) -> bool:
    return content_type.lower().startswith("text/plain")


def _is_json(content_type: str) -> bool:
    return content_type.split(";", 1)[0].strip().lower() == "application/json"


def _parse_object(args: Any, raw: bool) -> dict[str, Any]:
    """The arguments, with tagged values in them as what they stand for unless ``raw``."""
    if not args:
        return {}
    try:
        text = args.decode() if type(args) is bytes else str(args, "utf-8")
        try:
            value, end = _scan(text, 0)  # json.loads costs five times as much for a small object
        except StopIteration:
            end = -1
        if end != len(text):
            value = json.loads(text)  # spaces around the object, or an error with its place
    except RecursionError as error:
        raise _invalid("the arguments are nested too deep for Python") from error
    except json.JSONDecodeError as error:
        raise _invalid(f"the arguments are not JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise _invalid("the arguments are not UTF-8") from error
    except ValueError as error:
        limit = sys.get_int_max_str_digits()
        raise _invalid(f"the arguments have a whole number of more than {limit} digits") from error
    if type(value) is not dict:
        raise _invalid("the arguments must be a JSON object")
    if not raw and '"__type__"' in text:
        return {name: _untagged(name, item) for name, item in value.items()}
    return value


def _untagged(name: str, value: Any) -> Any:
    def refuse(tagged: dict[str, Any]) -> Any:
        detail = f"a tagged {tagged['__type__']} that is not well formed"
        raise _invalid(f"the argument {name!r} has {detail}", {name: detail})

    return tags.decode(value, malformed=refuse)


def _text_bytes(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(f"the argument {name!r} holds a lone surrogate") from error


def _is_one_of(hint: Any, kinds: tuple[type, ...]) -> bool:
    """Whether it is one of those types, or such a one or None."""
    options = typing.get_args(hint) if schema.is_union(hint) else (hint,)
    return any(option is kind for option in options for kind in kinds)


def _not_null(hint: Any) -> Any:
    """What an Optional[…] is of; any other type as it is."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not _NULL] if schema.is_union(hint) else []
    return kinds[0] if len(kinds) == 1 else hint


def _is_integer(hint: Any) -> bool:
    """Whether of the numbers only whole ones will do."""
    kinds = typing.get_args(hint) if schema.is_union(hint) else (hint,)
    return int in kinds and float not in kinds


def _is_integer_list(hint: Any) -> bool:
    """Whether the items are whole numbers."""
    hint = _not_null(hint)
    items = [kind for kind in typing.get_args(hint) if kind is not Ellipsis]
    return schema.of_type(hint).get("type") == "array" and bool(items) and all(map(_is_integer, items))


def _whole(name: str, value: float) -> int:
    """JSON writes whole numbers as 1e2, too, and Python reads these as floats."""
    if math.isinf(value):
        detail = "is too large: write a whole number without an exponent"
        raise _invalid(f"the argument {name!r} {detail}", {name: detail})
    return int(value) if value.is_integer() else value  # type: ignore[return-value]


def _invalid(message: str, faults: Optional[dict[str, str]] = None) -> Refused:
    """``faults``: what is wrong with which argument, or with all of them where the name is empty."""
    errors = [{"pointer": _pointer(name), "detail": detail} for name, detail in (faults or {}).items()]
    return Refused("TypeError", message, 422, "invalid_arguments", errors[:ERRORS_MAX])


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1") if name else ""


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names))
