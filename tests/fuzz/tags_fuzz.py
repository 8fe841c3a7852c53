#!/usr/bin/python3
"""Type tags: Python's values come back as they were, and no JSON makes decode() or encode() fail."""

import datetime
import json
import math
import random
import sys
from typing import Any, Callable, List

from rounds import main

from snakepit_bridge import tags

TEXTS = ["", "a", "é", "__type__", "\ud800", "AAE=", "AA", "a\nb", "nan", "infinity", "2020-02-29", "12:30", "x" * 99]
NUMBERS = [0, 1, -1, 2**53 + 1, -(2**80), 10**400, 0.5, -0.0, 1e308, 5e-324]
KINDS = ["bytes", "binary", "atom", "tuple", "set", "frozenset", "complex", "datetime", "date", "time", "special_float"]
KINDS += ["infinity", "neg_infinity", "nan", "dict", "ref", "stream_ref", "callback", "unknown", "", "__type__"]
MEMBERS = ["value", "data", "elements", "pairs", "real", "imag", "id", "__schema__"]
NEEDED = {"bytes": ["data"], "tuple": ["elements"], "set": ["elements"], "complex": ["real", "imag"], "dict": ["pairs"]}


def plain(value: Any) -> Any:
    """Something that is equal only for values of the same types and parts, NaN and signs of zero included."""
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(repr(plain(item)) for item in value)
    if isinstance(value, dict):
        return "dict", [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    return type(value).__name__, repr(value)


def refuse(value: Any) -> Any:
    raise AssertionError(f"{value!r:.200} has no form")


def through_json(value: Any) -> Any:
    return tags.decode(json.loads(json.dumps(tags.encode(value, refuse), allow_nan=False)))


# Python's values.


def zone(dice: random.Random) -> Any:
    offset = datetime.timedelta(seconds=dice.choice([0, 3600, -3600, 86399, 61]))
    return dice.choice([None, datetime.timezone.utc, datetime.timezone(offset)])


def moment(dice: random.Random) -> datetime.datetime:
    year, micro = dice.choice([1, 1970, 2024, 9999]), dice.choice([0, 1, 999999])
    return datetime.datetime(year, 2, 28, dice.randrange(24), 59, 7, micro, zone(dice))


LEAVES: List[Callable[[random.Random], Any]] = [
    lambda dice: dice.choice([None, True, False]),
    lambda dice: dice.choice(TEXTS),
    lambda dice: dice.choice(NUMBERS),
    lambda dice: dice.choice([math.nan, math.inf, -math.inf]),
    lambda dice: dice.randbytes(dice.randrange(9)),
    lambda dice: complex(dice.choice([0.0, -0.0, math.nan, 2.5]), dice.choice([1.0, -0.0, math.inf])),
    moment,
    lambda dice: moment(dice).date(),
    lambda dice: moment(dice).timetz(),
]


def fixed(dice: random.Random, depth: int) -> Any:
    """Something that may be a key."""
    if depth and dice.random() < 0.3:
        items = [fixed(dice, depth - 1) for _ in range(dice.randrange(3))]
        return dice.choice([tuple, frozenset])(items)
    return dice.choice(LEAVES)(dice)


def value(dice: random.Random, depth: int) -> Any:
    if depth == 0 or dice.random() < 0.3:
        return dice.choice(LEAVES)(dice)
    size = range(dice.randrange(4))
    kind = dice.randrange(5)
    if kind == 0:
        return {fixed(dice, 2) for _ in size}
    if kind == 1:
        return {fixed(dice, 2): value(dice, depth - 1) for _ in size}
    if kind == 2:
        return {dice.choice(TEXTS): value(dice, depth - 1) for _ in size}
    return (list if kind == 3 else tuple)(value(dice, depth - 1) for _ in size)


# JSON as anybody may send it.


def data(dice: random.Random, depth: int) -> Any:
    if depth == 0 or dice.random() < 0.3:
        return dice.choice([*TEXTS, *NUMBERS, None, True])
    if dice.random() < 0.3:
        return [data(dice, depth - 1) for _ in range(dice.randrange(4))]
    names = dice.sample([*MEMBERS, *TEXTS], dice.randrange(4))
    found = {name: data(dice, depth - 1) for name in names}
    if dice.random() < 0.8:
        found["__type__"] = kind = dice.choice(KINDS) if dice.random() < 0.95 else data(dice, 1)
        found.update({name: data(dice, depth - 1) for name in NEEDED.get(str(kind), ["value"])})
    if dice.random() < 0.3:
        pairs = [[data(dice, depth - 1), data(dice, depth - 1)] for _ in range(dice.randrange(4))]
        found[dice.choice(["pairs", "elements"])] = pairs
    return found


def nested(dice: random.Random) -> Any:
    """As deep as the gateway lets it pass."""
    inner = data(dice, 1)
    for _ in range(60):
        inner = {"__type__": dice.choice(["tuple", "frozenset", "x"]), "elements": [inner]}
    return inner


def check(dice: random.Random) -> None:
    given = value(dice, 4)
    assert plain(through_json(given)) == plain(given), given
    sent = nested(dice) if dice.random() < 0.02 else data(dice, 4)
    made = tags.decode(sent)
    assert plain(through_json(made)) == plain(made), sent
    seen: List[Any] = []
    tags.decode(sent, seen.append)
    assert all(each["__type__"] in ("ref", "stream_ref", "callback") for each in seen), sent


if __name__ == "__main__":
    sys.exit(main("tags", check))
