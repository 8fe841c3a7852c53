"""Tables and arrays of other libraries as lists and dicts, also where their own methods would lose something."""

from __future__ import annotations

from typing import Any, Callable

from .naming import ancestors

_FINE = {"ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}  # of numpy's units those below Python's, in a second
_NOT_A_TIME = -(2**63)


def listed(value: Any, method: str) -> Any:
    """What ``value.method()`` gives, or else what it would have to give to lose nothing."""
    if method == "to_dict":
        axes = {name: getattr(value, name, None) for name in ("index", "columns")}
        if any(getattr(axis, "is_unique", True) is False for axis in axes.values()):
            return _split_frame(value, axes)
    elif method == "to_pydict":
        names = list(value.column_names)
        if len(set(names)) < len(names):
            rows = zip(*(column.to_pylist() for column in value.columns))
            return {"columns": names, "data": list(map(list, rows))}
    elif method == "tolist" and _is_numpys(value) and value.dtype.str[-3:-1] in _FINE:
        return _times(value) if value.dtype.kind == "M" else _durations(value)
    return getattr(value, method)()


def _split_frame(value: Any, axes: dict[str, Any]) -> Any:
    """pandas' own form without labels for keys; a series has none, and one axis."""
    if axes["columns"] is not None:
        return value.to_dict("split")
    return {"index": axes["index"].tolist(), "data": value.tolist()}


def _is_numpys(value: Any) -> bool:
    """Whether it is an array or scalar of numpy, which has a dtype of numpy's."""
    return hasattr(value, "dtype") and any(base.__module__ == "numpy" for base in ancestors(type(value)))


def _times(value: Any) -> Any:
    """As Python's own where they are whole microseconds, else as text."""
    coarse = value.astype("M8[us]")
    if (coarse.astype(value.dtype).astype("i8") == value.astype("i8")).all():
        return coarse.tolist()
    return _each(value.astype("U").tolist(), lambda text: None if text == "NaT" else text)


def _durations(value: Any) -> Any:
    """In seconds, as those of Python's own."""
    unit = value.dtype.str[-3:-1]
    counts = value.astype(f"m8[{unit}]").astype("i8").tolist()
    return _each(counts, lambda count: None if count == _NOT_A_TIME else count / _FINE[unit])


def _each(listed_value: Any, change: Callable[[Any], Any]) -> Any:
    """The same with what the nested lists hold changed."""
    if isinstance(listed_value, list):
        return [_each(item, change) for item in listed_value]
    return listed_value if listed_value is None else change(listed_value)
