"""Tables and arrays of numpy, pandas and pyarrow in results: nothing of them may be lost (snakepit 77)."""

import json

import pytest

from snakepit_bridge import conversion, values


def encoded(value):
    return json.loads(values.encode(value))


class Axis(list):
    """What pandas' Index has."""

    @property
    def is_unique(self):
        return len(set(self)) == len(self)

    def tolist(self):
        return list(self)


class Frame:
    """What a frame of pandas does with its labels."""

    def __init__(self, index, columns, rows):
        self.index, self.columns, self.rows = Axis(index), Axis(columns), rows
        self.shape = (len(index), len(columns))

    def to_dict(self, orient="dict"):
        if orient == "split":
            return {"index": list(self.index), "columns": list(self.columns), "data": self.rows}
        return {c: {i: row[n] for i, row in zip(self.index, self.rows)} for n, c in enumerate(self.columns)}


class Series:
    """The same for a series."""

    def __init__(self, index, items):
        self.index, self.items = Axis(index), items

    def to_dict(self):
        return dict(zip(self.index, self.items))

    def tolist(self):
        return self.items


class Table:
    """What pyarrow's tables have."""

    def __init__(self, names, columns):
        self.column_names, self.columns = names, [Chunks(column) for column in columns]
        self.shape = (len(columns[0]), len(columns))

    def to_pydict(self):
        return {name: column.to_pylist() for name, column in zip(self.column_names, self.columns)}


class Chunks:
    """What pyarrow's ChunkedArray has."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def to_pylist(self):
        assert len(self) <= conversion.MAX_LISTED, "it was not asked for its length"
        return list(self.items)


class Scalar:
    def as_py(self):
        return 5


def test_frame_without_repeated_labels_is_its_columns():
    assert encoded(Frame([1, 2], ["a"], [[3], [4]])) == {"a": {"1": 3, "2": 4}}


@pytest.mark.parametrize("index, columns", [(["k", "k"], ["a", "b"]), ([1, 2], ["a", "a"])])
def test_frame_with_repeated_labels_keeps_all_its_rows(index, columns):
    whole = {"index": index, "columns": columns, "data": [[1, 2], [3, 4]]}
    assert encoded(Frame(index, columns, [[1, 2], [3, 4]])) == whole


def test_series_with_repeated_labels_keeps_all_its_items():
    assert encoded(Series(["k", "l"], [1, 2])) == {"k": 1, "l": 2}
    assert encoded(Series(["k", "k"], [1, 2])) == {"index": ["k", "k"], "data": [1, 2]}


def test_table_of_pyarrow_is_its_columns():
    assert encoded(Table(["a", "b"], [[1, 2], [3, 4]])) == {"a": [1, 2], "b": [3, 4]}
    assert encoded(Table(["a", "a"], [[1, 2], [3, 4]])) == {"columns": ["a", "a"], "data": [[1, 3], [2, 4]]}


def test_chunked_array_and_scalar_of_pyarrow_are_their_values():
    assert encoded([Chunks([1, None]), Scalar()]) == [[1, None], 5]


def test_too_long_chunked_array_becomes_a_marker_unlisted():
    assert encoded(Chunks(range(conversion.MAX_LISTED + 1)))["__ffi_unserializable__"] is True


TIMES = [
    ("datetime64[s]", ["2020-01-01T00:00:01", "NaT"], ["2020-01-01T00:00:01", None]),
    ("datetime64[ns]", ["2020-01-01T00:00:01", "NaT"], ["2020-01-01T00:00:01", None]),
    ("datetime64[ns]", ["2020-01-01T00:00:00.000000001", "NaT"], ["2020-01-01T00:00:00.000000001", None]),
    ("timedelta64[s]", [1, "NaT"], [1.0, None]),
    ("timedelta64[ns]", [5, "NaT"], [5e-9, None]),
]


@pytest.mark.parametrize("kind, items, expected", TIMES)
def test_times_of_numpy_are_told_alike_whatever_their_unit(kind, items, expected):
    numpy = pytest.importorskip("numpy")
    array = numpy.array(items, dtype=kind)
    assert encoded(array) == expected
    assert encoded(list(array)) == expected
    assert encoded(array.reshape(1, 2)) == [expected]


def test_pandas_own_objects_lose_nothing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1, 2], [3, None]], index=["k", "k"], columns=["a", "a"])
    assert encoded(frame)["data"] == [[1, 2.0], [3, "NaN"]]
    assert encoded(pandas.Series([1, 2], index=["k", "k"])) == {"index": ["k", "k"], "data": [1, 2]}
    assert encoded([pandas.NA, pandas.Interval(0, 1), pandas.Period("2020-01")]) == [None, "(0, 1]", "2020-01"]
    assert encoded({pandas.Interval(0, 1): 1, pandas.Timedelta("1s"): 2})["(0, 1]"] == 1


def test_pyarrows_own_objects_lose_nothing():
    pyarrow = pytest.importorskip("pyarrow")
    assert encoded(pyarrow.table({"a": [1, None]})) == {"a": [1, None]}
    assert encoded(pyarrow.record_batch({"a": [1]})) == {"a": [1]}
    assert encoded([pyarrow.chunked_array([[1], [2]]), pyarrow.scalar(5), pyarrow.array([1])]) == [[1, 2], 5, [1]]
