"""The row of call_tool: a tool calls a tool of another pool, there and back. FastAPI has no such thing."""

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List

from row import Row, percentile
from servers import Failure, Server

from load import Plain

CALLS = 2000
WARM_UP = 200
CONFIG = """\
pools:
  - {name: callers, adapter: calling_tools.Callers, workers: 1}
  - {name: called, adapter: calling_tools.Called, workers: 1}
"""


def _times_us(server: Server, tool: str, count: int) -> List[float]:
    """What the caller's own clock said of each call."""
    client = Plain(server.port)
    body = json.dumps({"tool": tool, "args": {"n": count}}).encode()
    status, _, answer = client.request("POST", "/execute", body)
    client.close()
    if status != 200:
        raise Failure(f"{tool}: {status} {answer!r}")
    return [each / 1000 for each in json.loads(answer)["result"]]


def call_tool(bench: Any) -> List[Row]:
    tools = {"call_add": "a function", "acall_add": "a coroutine"}
    medians: Dict[str, List[float]] = {tool: [] for tool in tools}
    tails: Dict[str, List[float]] = {tool: [] for tool in tools}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "snakepit.yaml"
        config.write_text(CONFIG)
        with bench.gateway(None, "--config", str(config), adapter=None) as gateway:
            for tool in tools:
                _times_us(gateway, tool, WARM_UP)
            for _ in range(bench.repeats):
                for tool in tools:
                    times = _times_us(gateway, tool, CALLS)
                    medians[tool].append(median(times))
                    tails[tool].append(percentile(times, 0.99))
    return [
        Row(
            name=tool,
            what=f"call_tool to another pool by {whose}, round trip, median",
            unit="us",
            value=median(medians[tool]),
            bar=400,
            hoped=200,
            absolute=True,
            samples=medians[tool],
            note=f"p99 {median(tails[tool]):.0f} us",
        )
        for tool, whose in tools.items()
    ]


ROWS: Dict[str, Callable[[Any], List[Row]]] = {"call_tool": call_tool}
