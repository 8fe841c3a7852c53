"""Types whose annotations are texts."""

from __future__ import annotations

from typing import NotRequired, Required, TypedDict, Unpack


class Late(TypedDict, total=False):
    a: int
    b: Required[str]


class LateTotal(TypedDict):
    a: NotRequired[int]
    b: str


def unpacks(n: int, **rest: Unpack[LateTotal]) -> None:
    """Takes the members of LateTotal by name."""
