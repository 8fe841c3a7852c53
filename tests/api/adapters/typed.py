"""Tools whose arguments have many types."""

import dataclasses
import datetime
import decimal
import pathlib
import uuid
from typing import Any, Dict, List, Literal, NamedTuple, Optional

from snakepit_bridge import BaseAdapter, tool


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Tree:
    below: "List[Tree]"


class Pair(NamedTuple):
    a: int
    b: str = ""


class Foreign:
    """A model whose schema says more than the gateway can check."""

    @staticmethod
    def model_json_schema():
        return {"type": "object", "contains": {}, "properties": {"n": {"type": "integer", "if": {}}}}


calls = []


class Typed(BaseAdapter):
    @tool
    def draw(
        self,
        points: List[Point],
        colour: Literal["red", "blue"] = "red",
        width: Optional[int] = None,
        weights: Dict[str, float] = {},
        size: float = 1.0,
        note: str = None,
        data: bytes = b"",
    ) -> list:
        calls.append(points)
        return [points, colour, width, weights, size, note]

    @tool
    def count(self) -> int:
        return len(calls)

    @tool
    def hinted(
        self,
        at: datetime.datetime = None,
        day: datetime.date = None,
        clock: datetime.time = None,
        key: uuid.UUID = None,
        price: decimal.Decimal = decimal.Decimal(0),
        path: pathlib.Path = pathlib.Path(),
        pair: Pair = Pair(0),
        tree: Optional[Tree] = None,
    ) -> Any:
        return None

    @tool
    def foreign(self, model: Foreign) -> str:
        return "ran"

    @tool
    def unchecked(self, z: complex, more: List[complex] = []) -> str:
        return "ran"
