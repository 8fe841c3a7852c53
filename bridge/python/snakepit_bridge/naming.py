"""What classes are called and derive from, whatever their metaclasses make of that: what Python itself knows."""

from __future__ import annotations

from typing import Any, Callable

name: Callable[[type], str] = type.__dict__["__name__"].__get__
ancestors: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_qualified: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__


def full_name(kind: type) -> str:
    """Module and qualified name, as far as they are texts."""
    module = _module(kind)
    return f"{module}.{_qualified(kind)}" if isinstance(module, str) else _qualified(kind)


def clean(text: str) -> str:
    """``text`` without lone surrogates, which UTF-8 cannot have: their escapes stand for them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
