"""Statistics of texts and of CSV tables, for the demonstration adapter."""

from __future__ import annotations

import collections
import csv
import datetime
import io
import math
import re
from typing import Any, Callable

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False}
_MISSING = ("", "na", "n/a", "nan", "null", "none")
_DELIMITERS = ",;\t|"


def text(body: bytes, top: int) -> dict[str, Any]:
    """Counts of a text, its ``top`` most frequent words, and its Shannon entropy in bits per byte."""
    try:
        content, encoding = body.decode(), "utf-8"
    except UnicodeDecodeError:
        content, encoding = body.decode("latin-1"), "unknown"
    words = _WORD.findall(content.lower())
    frequent = collections.Counter(words).most_common(max(0, top))
    return {
        "bytes": len(body),
        "characters": len(content),
        "words": len(words),
        "lines": len(content.splitlines()),
        "encoding": encoding,
        "top_words": [{"word": word, "count": count} for word, count in frequent],
        "entropy_bits_per_byte": round(_entropy(body), 6),
    }


def _entropy(body: bytes) -> float:
    total = len(body)
    return -sum(n / total * math.log2(n / total) for n in collections.Counter(body).values()) + 0.0


def table(body: bytes) -> dict[str, Any]:
    """The columns of a CSV file with a header. Raises ValueError that says what is wrong, and in which line."""
    try:
        content = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from None
    delimiter = _sniff(content)
    header, rows = _read(content, delimiter)
    columns = {name: _column([row[index] for row in rows]) for index, name in enumerate(header)}
    return {"rows": len(rows), "delimiter": delimiter, "columns": columns}


def _sniff(content: str) -> str:
    """The delimiter that cuts the first lines into the most, and equally many, fields."""
    lines = [line for line in content.splitlines()[:20] if line.strip()]
    if not lines:
        raise ValueError("the file is empty")

    def score(delimiter: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        return len(set(counts)) == 1, counts[0]

    best = max(_DELIMITERS, key=lambda d: (score(d)[1] > 1, *score(d)))
    return best if score(best)[1] > 1 else ","


def _read(content: str, delimiter: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        header = [name.strip() for name in next(reader)]
        _check_header(header)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(f"line {reader.line_num} has {len(row)} fields, the header has {len(header)}")
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    except StopIteration:
        raise ValueError("the file is empty") from None
    return header, rows


def _check_header(header: list[str]) -> None:
    for index, name in enumerate(header):
        if not name:
            raise ValueError(f"line 1: column {index + 1} has no name")
        if name in header[:index]:
            raise ValueError(f"line 1: two columns are named {name!r}")


def _column(cells: list[str]) -> dict[str, Any]:
    present = [cell.strip() for cell in cells if cell.strip().lower() not in _MISSING]
    kind, found = _typed(present)
    result: dict[str, Any] = {
        "type": kind,
        "count": len(present),
        "missing": len(cells) - len(present),
        "distinct": len(set(found)),
    }
    if found and kind != "boolean":
        result.update(min=_shown(min(found)), max=_shown(max(found)))
    if found and kind in ("integer", "number"):
        result.update(_spread(found))
    return result


def _typed(cells: list[str]) -> tuple[str, list[Any]]:
    """The narrowest type that fits all cells, and the cells as such."""
    parsers: list[tuple[str, Callable[[str], Any]]] = [
        ("boolean", lambda cell: _BOOLEANS[cell.lower()]),
        ("integer", int),
        ("number", _finite),
        ("date", datetime.date.fromisoformat),
    ]
    for kind, parse in parsers if cells else ():
        try:
            return kind, [parse(cell) for cell in cells]
        except (KeyError, ValueError):
            continue
    return "text", cells


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _spread(numbers: list[Any]) -> dict[str, Any]:
    """Mean, sample standard deviation and quartiles. (statistics would triple the import time of the demo.)"""
    count = len(numbers)
    mean = math.fsum(numbers) / count
    squares = math.fsum((number - mean) ** 2 for number in numbers)
    ordered = sorted(numbers)
    return {
        "mean": mean,
        "standard_deviation": math.sqrt(squares / (count - 1)) if count > 1 else 0.0,
        "quartiles": [_quantile(ordered, quarter / 4) for quarter in (1, 2, 3)],
    }


def _quantile(ordered: list[Any], share: float) -> float:
    """By linear interpolation between the two nearest values."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
