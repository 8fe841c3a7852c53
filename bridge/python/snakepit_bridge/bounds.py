"""JSON Schema keywords for the bounds of types: of Annotated's notes, pydantic's fields, and classes made with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .notices import tell

_KEYWORDS = {  # by attribute: those of annotated_types, and of pydantic 1 and 2; which types they are for
    "ge": {"number": "minimum"},
    "gt": {"number": "exclusiveMinimum"},
    "le": {"number": "maximum"},
    "lt": {"number": "exclusiveMaximum"},
    "multiple_of": {"number": "multipleOf"},
    "min_length": {"string": "minLength", "array": "minItems", "object": "minProperties"},
    "max_length": {"string": "maxLength", "array": "maxItems", "object": "maxProperties"},
    "min_items": {"array": "minItems"},
    "max_items": {"array": "maxItems"},
    "unique_items": {"array": "uniqueItems"},
    "pattern": {"string": "pattern"},
    "regex": {"string": "pattern"},
    "func": {},  # of a predicate or a validator
}


def bounded(found: dict[str, Any], notes: tuple[Any, ...]) -> dict[str, Any]:
    """``found`` with the bounds that the notes give; the log tells of those that cannot be checked."""
    for note in _all(notes):
        for name, keywords in _KEYWORDS.items():
            bound = getattr(note, name, None)
            if bound is None or bound is False:
                continue
            value = _value(name, bound)
            if value is None or not _place(found, keywords, value):
                tell(f"{name}={bound!r} is not checked: {found.get('type', 'such a type')} cannot have it")
    return found


def _all(notes: tuple[Any, ...]) -> Iterator[Any]:
    """The notes and what they consist of: pydantic 2 keeps the bounds of a Field in a list."""
    for note in notes:
        yield note
        parts = getattr(note, "metadata", ())
        yield from parts if isinstance(parts, (list, tuple)) else ()


def _value(name: str, bound: Any) -> Any:
    """The keyword's; None if JSON has none."""
    if name in ("pattern", "regex"):
        text = getattr(bound, "pattern", bound)
        if not isinstance(text, str):
            return None
        return text if name == "pattern" or text.startswith("^") else f"^(?:{text})"  # pydantic 1 matches at the start
    return bound if type(bound) in (int, float, bool) and math.isfinite(bound) else None


def _place(found: dict[str, Any], keywords: dict[str, str], value: Any) -> bool:
    """Put it where its type is; whether there is such a place, and no text stands for a number."""
    if "anyOf" in found:
        return any([_place(each, keywords, value) for each in found["anyOf"]])
    kinds = found.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    kinds = ["number" if kind == "integer" else kind for kind in kinds]
    placed = [keywords[kind] for kind in kinds if kind in keywords]
    for keyword in placed:
        if keyword == "pattern" and keyword in found:
            found.setdefault("allOf", []).append({keyword: value})
        else:
            found[keyword] = value
    return bool(placed) and not ("number" in keywords and "pattern" in found)
