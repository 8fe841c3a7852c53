"""What it takes a tool to call a tool of another pool, there and back, in microseconds."""

import json
import statistics
import urllib.request
from typing import Dict, List

CALLS = 2000
WARM_UP = 200
CONFIG = """\
pools:
  - {name: callers, adapter: calling_tools.Callers, workers: 1}
  - {name: called, adapter: calling_tools.Called, workers: 1}
"""


def _times(url: str, tool: str, n: int) -> List[int]:
    body = json.dumps({"tool": tool, "args": {"n": n}}).encode()
    request = urllib.request.Request(f"{url}/execute", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["result"]


def round_trips(url: str) -> Dict[str, float]:
    """Median and 99th percentile, in microseconds, of calls from a synchronous tool and from a coroutine.

    ``url`` is that of a gateway with CONFIG.
    """
    found: Dict[str, float] = {}
    for name, tool in (("call_tool", "call_add"), ("call_tool_async", "acall_add")):
        _times(url, tool, WARM_UP)
        times = sorted(_times(url, tool, CALLS))
        found[f"{name}_median_us"] = statistics.median(times) / 1000
        found[f"{name}_p99_us"] = times[len(times) * 99 // 100] / 1000
    return found
