"""How many small values a second one stream brings from Python to a stand-in gateway, which decodes every frame.

``bench_emissions.py [COUNT]`` prints a line for each profile and kind of tool. No test, and nothing is asserted.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import conftest  # noqa: E402 (the path comes first)

ROUNDS = 3
TOOLS = ("counts", "counts_in_loop", "sends", "sends_in_loop")


def rate(stream: Any, tool: str, count: int) -> float:
    """Values a second, from the call to its result."""
    stream.frames.clear()
    begun = time.perf_counter()
    call = stream.begin(tool, {"n": count}, credit=1 << 40)
    while not any(frame.results or frame.failures for frame in stream.frames[-1:]):
        time.sleep(0.001)
    took = time.perf_counter() - begun
    assert sum(len(emission.bodies) for frame in stream.frames for emission in frame.emissions) == count
    assert stream.answer(call).call_id == call
    return count / took


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "package"
        root.mkdir()
        conftest._build(root)
        sys.path.insert(0, str(root))
        import standin

        standin.become_subreaper()
        gateway = standin.Gateway(importlib.import_module("snakepit_bridge.bridge_pb2"), folder)
        zygote = standin.Zygote(str(root), str(HERE / "adapters"))
        zygote.load("sample.Sample")
        for profile in ("process", "thread", "async"):
            for tool in TOOLS:
                worker = gateway.fork(zygote, profile=profile, slots=1 if profile == "process" else 8)
                best = max(rate(worker.stream, tool, count) for _ in range(ROUNDS))
                print(f"{profile:8} {tool:15} {best:10,.0f} values/s", flush=True)
                worker.kill()
        zygote.stop()
        gateway.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
