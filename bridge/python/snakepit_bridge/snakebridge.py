"""SnakeBridge: any function, class, method or attribute of the modules that a pool allows, called by its name.

Values that JSON lacks travel as tagged objects (tags.py), and what cannot travel stays here, as a reference.
"""

from __future__ import annotations

import inspect
import os
import types
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from . import conversion, current, helpers, references, tags, telemetry
from .adapter import BaseAdapter
from .allowed import Modules
from .errors import ToolError
from .marker import markers
from .references import References
from .tools import tool

PROTOCOL_VERSION = 1
MIN_SUPPORTED_VERSION = 1
_NAMES = ("function", "class", "class_name", "method", "attr", "helper")
_PLAIN = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


class ProtocolError(ToolError):
    """The caller speaks another version of SnakeBridge's protocol."""


class SnakeBridge(BaseAdapter):
    """The tools of SnakeBridge. Announced beside a pool's own tools if it allows any modules."""

    def __init__(self, modules: Iterable[str] = ()) -> None:
        """``modules`` and those below them may be reached."""
        self._modules = Modules(modules)
        self._references = References.from_environment(os.environ)

    @tool(name="snakebridge.call", raw=True)
    def call(self, params: dict[str, Any]) -> Any:
        """Call a function, class or method, or get or set an attribute, in one of the allowed modules."""
        _check_protocol(params)
        session_id = _session(params)
        if params.get("call_type") == "stream_next":
            return self._next(params, session_id)
        value = self._perform(params, session_id)
        return self._encode(value, session_id, params)

    @tool(name="snakebridge.stream", supports_streaming=True, raw=True)
    def stream(self, params: dict[str, Any]) -> Iterator[Any]:
        """The same, and stream the items of what it returns."""
        _check_protocol(params)
        session_id = _session(params)
        value = self._perform(params, session_id)
        for item in value if _is_streamable(value) else (value,):
            yield self._encode(item, session_id, params)

    @tool(name="snakebridge.release_ref", idempotent=True, raw=True)
    def release_ref(self, params: dict[str, Any]) -> bool:
        """Let go of a reference. Returns whether there was one."""
        _check_protocol(params)
        return self._references.release(_session(params), params.get("ref"))

    @tool(name="snakebridge.release_session", idempotent=True, raw=True)
    def release_session(self, params: dict[str, Any]) -> int:
        """Let go of all references of the session. Returns how many there were."""
        _check_protocol(params)
        return self._references.release_session(_session(params))

    @tool(name="snakebridge.helpers", idempotent=True, raw=True)
    def helpers(self, params: dict[str, Any]) -> Any:
        """List the helpers of the allowed modules: each with name, parameters and docstring."""
        _check_protocol(params)
        return tags.encode(helpers.listed(self._modules), markers.mark)

    def end_session(self, session_id: str) -> None:
        """That session is over."""
        self._references.release_session(session_id)

    def end_sessions(self) -> None:
        """All are."""
        self._references.clear()

    # Calls.

    def _perform(self, params: dict[str, Any], session_id: str) -> Any:
        kind = params.get("call_type") or "function"
        perform = _CALLS.get(kind) if isinstance(kind, str) else None
        if perform is None:
            raise ToolError(f"there is no call_type {kind!r}", 422, "invalid_arguments", {"known": sorted(_CALLS)})
        args = params.get("args") or []
        kwargs = params.get("kwargs") or {}
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise ToolError("args must be a list and kwargs an object", 422, "invalid_arguments")

        def resolve(tagged: dict[str, Any]) -> Any:
            if tagged["__type__"] == "callback":
                return _callback(tagged, session_id)
            return self._references.get(session_id, tagged)

        args = [tags.decode(item, resolve) for item in args]
        kwargs = {name: tags.decode(item, resolve) for name, item in kwargs.items()}
        with telemetry.span("python.call", _metadata(params, kind)):
            return perform(self, params, session_id, args, kwargs)

    def _module(self, params: dict[str, Any]) -> types.ModuleType:
        name = params.get("python_module") or params.get("module") or params.get("module_path")
        if not name:
            raise ToolError("snakebridge.call requires python_module", 422, "invalid_arguments")
        return self._modules.load(name)

    def _call_helper(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        return helpers.find(self._modules, params.get("helper") or params.get("function"))(*args, **kwargs)

    def _instance(self, params: dict[str, Any], session_id: str) -> Any:
        reference = params.get("instance") or params.get("ref")
        found = self._references.get(session_id, reference)
        self._modules.check(found)
        return found

    def _call_function(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        return self._modules.attribute(self._module(params), params.get("function"))(*args, **kwargs)

    def _make_object(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        name = params.get("class") or params.get("class_name") or params.get("function")
        found = self._modules.attribute(self._module(params), name)
        if not isinstance(found, type):
            raise TypeError(f"{name!r} is not a class")
        return found(*args, **kwargs)

    def _call_method(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        name = params.get("method") or params.get("function")
        return self._modules.attribute(self._instance(params, session_id), name)(*args, **kwargs)

    def _get_attribute(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        name = params.get("attr") or params.get("function")
        return self._modules.attribute(self._instance(params, session_id), name)

    def _set_attribute(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        name = params.get("attr") or params.get("function")
        if not args and "value" in params:
            args = [tags.decode(params["value"], lambda tagged: self._references.get(session_id, tagged))]
        self._modules.assign(self._instance(params, session_id), name, args[0] if args else None)
        return True

    def _module_attribute(self, params: Any, session_id: str, args: Any, kwargs: Any) -> Any:
        return self._modules.attribute(self._module(params), params.get("attr") or params.get("function"))

    def _next(self, params: dict[str, Any], session_id: str) -> Any:
        reference = params.get("stream_ref") or params.get("ref")
        iterator = self._references.get(session_id, reference)
        try:
            return self._encode(next(iterator), session_id, reference if isinstance(reference, dict) else {})
        except StopIteration:
            self._references.release(session_id, reference)
            return {"__type__": "stop_iteration"}

    # Results.

    def _encode(self, value: Any, session_id: str, params: Mapping[str, Any]) -> Any:
        """``value`` tagged. Of what is kept here instead, the same object is the same reference throughout."""
        made: dict[int, Any] = {}

        def refer(item: Any) -> Any:
            if not self._modules.admits(item):
                return markers.mark(item)
            if id(item) not in made:
                made[id(item)] = self._refer(item, session_id, params)
            return made[id(item)]

        return tags.encode(value, refer, conversion.scalar)

    def _refer(self, value: Any, session_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
        module = params.get("python_module") or params.get("module") or params.get("module_path") or ""
        name = type(value).__name__
        members = {
            "id": self._references.keep(session_id, value),
            "session_id": references.shown(session_id),
            "python_module": module,
            "library": params.get("library") or str(module).split(".")[0],
            "type_name": name,
            "__type_name__": name,
        }
        if not _is_iterator(value):
            return tags.tag("ref", **members)
        return tags.tag("stream_ref", stream_type="generator" if inspect.isgenerator(value) else "iterator", **members)


_CALLS: dict[str, Callable[..., Any]] = {
    "function": SnakeBridge._call_function,
    "dynamic": SnakeBridge._call_function,
    "dynamic_stream": SnakeBridge._call_function,
    "class": SnakeBridge._make_object,
    "method": SnakeBridge._call_method,
    "get_attr": SnakeBridge._get_attribute,
    "set_attr": SnakeBridge._set_attribute,
    "module_attr": SnakeBridge._module_attribute,
    "helper": SnakeBridge._call_helper,
}


def _check_protocol(params: Mapping[str, Any]) -> None:
    """Raises ProtocolError unless the caller's versions and ours overlap."""
    version, oldest = params.get("protocol_version"), params.get("min_supported_version")
    if version is None and oldest is None and _allows_silence():
        return
    if _whole(version) >= MIN_SUPPORTED_VERSION and _whole(oldest) <= PROTOCOL_VERSION:
        return
    details = {
        "caller_protocol_version": version or 0,
        "caller_min_supported_version": oldest or 0,
        "adapter_protocol_version": PROTOCOL_VERSION,
        "adapter_min_supported_version": MIN_SUPPORTED_VERSION,
    }
    shown = ", ".join(f"{name}={value}" for name, value in details.items())
    raise ProtocolError(f"SnakeBridge protocol version mismatch ({shown})", 422, "protocol_mismatch", details)


def _allows_silence() -> bool:
    """Whether callers need not name a version: the founding payloads do not, later ones do."""
    return os.environ.get("SNAKEBRIDGE_ALLOW_LEGACY_PROTOCOL", "true").lower() in ("1", "true", "yes")


def _whole(version: Any) -> int:
    return version if isinstance(version, int) else 0


def _session(params: Mapping[str, Any]) -> str:
    """The call's session: the gateway's if there is one, else one of the name in the arguments, else a new one."""
    call = current.call()
    ours = call.session_id if call else ""
    theirs = params.get("session_id")
    if ours and theirs and theirs != ours:
        raise references.SessionMismatchError("session_id is not the call's session", 409, "session_mismatch")
    if ours:
        return str(ours)
    named = (references.session_of(params.get(name)) for name in ("instance", "ref", "stream_ref"))
    name = theirs or next((name for name in named if name), None) or f"auto-{uuid.uuid4().hex}"
    return references.of_caller(str(name))


def _metadata(params: Mapping[str, Any], kind: str) -> dict[str, str]:
    module = params.get("python_module") or params.get("module") or params.get("module_path") or "unknown"
    name = next((params[key] for key in _NAMES if params.get(key)), "")
    library = params.get("library") or str(module).split(".")[0]
    return {
        "library": str(library),
        "python_module": str(module),
        "function": str(name) or "unknown",
        "call_type": kind,
    }


def _is_iterator(value: Any) -> bool:
    """Whether it is an iterator and nothing else; files and their like are used by their methods."""
    return hasattr(value, "__next__") and hasattr(value, "__iter__") and not hasattr(value, "__enter__")


def _is_streamable(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, _PLAIN) and not hasattr(value, "__enter__")


def _callback(tagged: Mapping[str, Any], session_id: str) -> Callable[..., Any]:
    """A function of the caller's, called through the gateway as the tool ``snakebridge.callback``."""
    callback_id, arity = tagged.get("ref_id") or tagged.get("callback_id"), tagged.get("arity")

    def call_back(*args: Any) -> Any:
        if arity is not None and len(args) != arity:
            raise TypeError(f"Callback expected arity {arity}, got {len(args)}")
        call = current.call()
        if call is None:
            raise RuntimeError("a callback was called outside of its call")
        arguments = {"callback_id": callback_id, "args": [tags.encode(item, markers.mark) for item in args]}
        result = tags.decode(call.call_tool("snakebridge.callback", arguments))  # type: ignore[attr-defined]
        if isinstance(result, dict) and result.get("__type__") == "callback_error":
            raise RuntimeError(str(result.get("reason", "callback_error")))
        return result

    return call_back
