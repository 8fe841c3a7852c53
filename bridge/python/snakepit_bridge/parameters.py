"""The parameters of a tool: its argument schema, and how a call's bytes become keyword arguments."""

from __future__ import annotations

import inspect
import json
import typing
from json import decoder as _json_decoder
from json import scanner as _json_scanner
from typing import Any, Callable, Optional

from . import bodies, docstring, schema, tags
from .errors import LoadError, Refused
from .stream import Stream

CONTEXT_NAMES = ("ctx", "context")
BODY_NAMES = ("body", "data")
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
        self._hints = schema.hints_of(function)
        self.context = next((n for n in CONTEXT_NAMES if n in self._parameters), "")
        self.stream = "stream" if self._is_stream(self._parameters.get("stream")) else ""
        own = {n: p for n, p in self._parameters.items() if n not in (self.context, self.stream)}
        self.extra = any(p.kind is p.VAR_KEYWORD for p in own.values())
        named = {n: p for n, p in own.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
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
        self._exact = not (self.whole or self.binary or self.extra)
        self._reserved = frozenset((self.context, self.stream, self._owner) if self.extra else ())

    def as_batch(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What bind() gave for one call, as the call of a batch tool with that call alone."""
        return {**arguments, self.whole: [arguments[self.whole]]} if self.batch else arguments

    def _is_stream(self, parameter: Optional[inspect.Parameter]) -> bool:
        """Whether it takes the stream: one without a type, or with the right one, and nothing else by default."""
        if parameter is None or parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            return False
        return self._hints.get("stream", Stream) is Stream and parameter.default in (parameter.empty, None)

    def _is_object(self, name: str) -> bool:
        hint = self._hints.get(name)
        return hint is None or schema.of_type(hint).get("type") == "object"

    def schema(self, function: Callable[..., Any], declared: Any = None) -> dict[str, Any]:
        """The JSON Schema of the arguments object: what was ``declared`` (see tools.tool), else the signature's."""
        if declared is not None:
            return {"$schema": schema.DIALECT, **schema.of_declaration(self.tool, declared)}
        if self.whole:
            hint = self._hints.get(self.whole)
            if self.batch:
                hint = next(iter(typing.get_args(hint)), Any)
            found = schema.whole(schema.of_type(hint))
            return {"$schema": schema.DIALECT, **(found if found.get("type") == "object" else {}), "type": "object"}
        texts = docstring.argument_descriptions(function)
        properties = {n: self._property(n, texts.get(n, "")) for n in self._named}
        result: dict[str, Any] = {"$schema": schema.DIALECT, "type": "object", "properties": properties}
        required = [n for n in self._named if n in self.required]
        if required:
            result["required"] = required
        result["additionalProperties"] = self.extra
        return schema.whole(result)

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
        return found

    def bind(self, args: Any, content_type: str) -> dict[str, Any]:
        """Keyword arguments for one call: of bytes, or a memoryview of large ones.

        Raises Refused when they do not fit, before any of the tool's code runs.
        """
        if content_type and not _is_json(content_type):
            return self._bind_body(args, content_type)
        given = _parse_object(args, self._raw)
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
        """The parts of a form by their names; several of one name are a list."""
        from . import multipart  # few tools get one

        given: dict[str, Any] = {}
        try:
            for part in multipart.parse(bytes(args), content_type):
                value = self._form_value(part)
                if part.name not in given:
                    given[part.name] = value
                elif isinstance(given[part.name], list):
                    given[part.name].append(value)
                else:
                    given[part.name] = [given[part.name], value]
        except ValueError as error:
            raise _invalid(f"the form cannot be read: {error}") from error
        if self.whole:
            return {self.whole: given}
        self._check(given)
        return given

    def _form_value(self, part: Any) -> Any:
        """Bytes for files and where bytes are wanted, else text, or JSON where a type says so. Raises ValueError."""
        hint = self._hints.get(part.name)
        if _is_json(part.content_type):
            return json.loads(part.content)
        if part.filename or part.name in self.binary or (part.content_type and not _is_text(part.content_type)):
            return self._receivers.get(part.name, bodies.to_bytes)(part.content, part.content_type)
        text = part.content.decode()
        if hint is None or hint is Any or hint is str or str in typing.get_args(hint):
            return text
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError(f"the part {part.name!r} is not what the parameter wants") from None

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
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the arguments are not JSON: {error}") from error
    if type(value) is not dict:
        raise _invalid("the arguments must be a JSON object")
    if not raw and '"__type__"' in text:
        return {name: tags.decode(item) for name, item in value.items()}
    return value


def _text_bytes(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(f"the argument {name!r} holds a lone surrogate") from error


def _invalid(message: str) -> Refused:
    return Refused("TypeError", message, 422, "invalid_arguments")


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names))
