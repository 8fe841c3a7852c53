"""Arrow in and out of a tool, as its own stream format: nothing is encoded on the way, nothing copied in the worker.

pyarrow is in no package of Debian 12. Another folder that has it is named by PYTHONPATH.
"""

from typing import Any, Iterator

import pytest
import requests
from served import Gateway

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: it is in no package of Debian 12")

STREAM = "application/vnd.apache.arrow.stream"
SMALL, LARGE = 10, 200_000  # rows; the large one travels in shared memory


@pytest.fixture(scope="module")
def arrow() -> Iterator[Gateway]:
    gateway = Gateway("--workers", "1", "--adapter", "arrow")
    yield gateway
    gateway.stop()


def written(table: Any) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def describe(arrow: Gateway, body: bytes) -> requests.Response:
    return requests.post(arrow.url + "/tools/describe", data=body, headers={"content-type": STREAM}, timeout=30)


@pytest.mark.parametrize("rows", [SMALL, LARGE])
def test_a_table_is_read_where_it_lies(arrow: Gateway, rows: int) -> None:
    table = pyarrow.table({"x": range(rows), "name": [f"n{number}" for number in range(rows)]})
    answer = describe(arrow, written(table))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"columns": ["x", "name"], "rows": rows, "sum": sum(range(rows)), "mapped": True}


@pytest.mark.parametrize("rows", [SMALL, LARGE])
def test_a_table_is_given_with_its_content_type(arrow: Gateway, rows: int) -> None:
    answer = requests.post(arrow.url + "/tools/count_to", json={"rows": rows}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, STREAM), answer.text
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    assert table["x"].to_pylist() == list(range(rows))
    assert table["name"][rows - 1].as_py() == str(rows - 1)


def test_what_is_no_table_is_the_tools_own_error(arrow: Gateway) -> None:
    answer = describe(arrow, b"junk" * 99)
    assert (answer.status_code, answer.json()["python"]["type"]) == (500, "ArrowInvalid"), answer.text
