"""Tools that take and give Arrow's streams."""

from typing import Any, Dict

import pyarrow
from snakepit_bridge import Binary, tool

STREAM = "application/vnd.apache.arrow.stream"


@tool
def describe(body: memoryview) -> Dict[str, Any]:
    """What the table is like, and whether its columns lie where the body lies."""
    whole = pyarrow.py_buffer(body)
    table = pyarrow.ipc.open_stream(whole).read_all()
    buffers = [each for column in table.columns for chunk in column.chunks for each in chunk.buffers() if each]
    first, last = whole.address, whole.address + whole.size
    return {
        "columns": table.column_names,
        "rows": table.num_rows,
        "sum": sum(table["x"].to_pylist()),
        "mapped": all(first <= each.address < last for each in buffers),
    }


@tool
def count_to(rows: int) -> Binary:
    """A table of so many numbers and their names."""
    table = pyarrow.table({"x": range(rows), "name": [str(number) for number in range(rows)]})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Binary(sink.getvalue(), STREAM)
