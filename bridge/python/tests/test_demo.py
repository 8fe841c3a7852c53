"""The demonstration adapter's tools."""

import math
import statistics

import pytest

from snakepit_bridge import ToolError
from snakepit_bridge.demo import Demo


@pytest.fixture
def demo():
    return Demo()


def test_echo_returns_its_arguments(demo):
    assert demo.echo(message="hello") == {"message": "hello"}


def test_add_adds(demo):
    assert (demo.add(2, 3), demo.add(2)) == (5, 2)


def test_sleep_sleeps(demo):
    assert demo.sleep(ms=5)["slept_ms"] >= 5


def test_fail_raises_what_it_is_told(demo):
    with pytest.raises(ZeroDivisionError, match="why"):
        demo.fail("ZeroDivisionError", "why")


@pytest.mark.parametrize("name", ["NoSuchError", "len", "__name__"])
def test_fail_says_that_a_name_is_no_exception(demo, name):
    with pytest.raises(ValueError, match=name):
        demo.fail(name)


def test_unknown_way_to_crash_is_refused(demo):
    with pytest.raises(ToolError):
        demo.crash("meteor")


def test_text_stats_counts(demo):
    found = demo.text_stats("Ein Hut, ein Mütze-Band.\nDrei\n".encode(), top=1)
    assert (found["lines"], found["words"], found["characters"], found["bytes"]) == (2, 5, 30, 31)
    assert found["top_words"] == [{"word": "ein", "count": 2}]


@pytest.mark.parametrize("body, bits", [(b"", 0.0), (b"aaaa", 0.0), (b"abab", 1.0), (bytes(range(256)), 8.0)])
def test_text_stats_measures_entropy(demo, body, bits):
    assert demo.text_stats(body)["entropy_bits_per_byte"] == bits


def test_text_stats_takes_any_bytes(demo):
    assert demo.text_stats(b"caf\xe9 caf\xe9")["words"] == 2


def test_csv_describe_finds_types(demo):
    body = b"i;f;b;d;t;e\n1;1.5;true;2024-01-02;x;\n2;;false;2024-01-01;y;\n"
    columns = demo.csv_describe(body)["columns"]
    assert [c["type"] for c in columns.values()] == ["integer", "number", "boolean", "date", "text", "text"]
    assert columns["f"]["missing"] == 1
    assert columns["d"]["min"] == "2024-01-01"
    assert columns["e"] == {"type": "text", "count": 0, "missing": 2, "distinct": 0}


def test_csv_describe_agrees_with_statistics(demo):
    numbers = [3.5, 1, 4, 1, 5, 9, 2, 6.25]
    column = demo.csv_describe(("x\n" + "\n".join(map(str, numbers))).encode())["columns"]["x"]
    assert math.isclose(column["mean"], statistics.fmean(numbers))
    assert math.isclose(column["standard_deviation"], statistics.stdev(numbers))
    assert column["quartiles"] == statistics.quantiles(numbers, n=4, method="inclusive")
    assert (column["min"], column["max"], column["distinct"]) == (1, 9, 7)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_describe_finds_the_delimiter(demo, delimiter):
    assert demo.csv_describe(f"a{delimiter}b\n1{delimiter}2\n".encode())["delimiter"] == delimiter


@pytest.mark.parametrize(
    "body, hint",
    [
        (b"", "empty"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields"),
        (b"a,a\n", "two columns"),
        (b"a,\n", "no name"),
        (b'a,b\n"1,2\n', "line"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_malformed_csv_is_explained(demo, body, hint):
    with pytest.raises(ToolError, match=hint) as caught:
        demo.csv_describe(body)
    assert caught.value.status == 422
