"""Workers that the kernel kills for want of memory. Its counter, which no test can raise at will, is a file that is
mounted in its place; the deaths are real."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Dict, List

import httpx
import pytest
from served import ROOT, wait_for

GATEWAY = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind {counters} /sys/fs/cgroup && exec {binary} "$@"' gateway "$@"
"""

TOOLS = """
import time

def stay(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
"""


def can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode == 0


def count(counters: Path, kills: int) -> None:
    """Version 2 of control groups has one file, version 1 the other."""
    (counters / "memory").mkdir(parents=True, exist_ok=True)
    for path in (counters / "memory.events", counters / "memory" / "memory.oom_control"):
        fresh = path.with_suffix(".fresh")
        fresh.write_text(f"oom_kill {kills}\n")
        fresh.rename(path)


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_each_kill_of_the_kernel_is_one_workers_end(start_gateway, tmp_path: Path, monkeypatch) -> None:
    counters = tmp_path / "counters"
    count(counters, 7)
    (tmp_path / "staying.py").write_text(TOOLS)
    wrapper = tmp_path / "gateway"
    binary = Path(os.environ.get("SNAKEPIT_BIN", ROOT / "build" / "snakepit")).resolve()
    wrapper.write_text(GATEWAY.format(counters=counters, binary=binary))
    wrapper.chmod(0o755)
    monkeypatch.setenv("SNAKEPIT_BIN", str(wrapper))
    gateway = start_gateway("--workers", "3", "--adapter", "staying", env={"PYTHONPATH": str(tmp_path)})
    ends: List[Dict[str, object]] = []

    def stay() -> None:
        ends.append(httpx.post(gateway.url + "/tools/stay", json={"seconds": 600}, timeout=60).json()["crash"])

    threads = [threading.Thread(target=stay) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: httpx.get(gateway.url + "/pools/default").json()["inflight"] == 3)
    count(counters, 9)
    for worker in httpx.get(gateway.url + "/workers").json()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert sorted(each["classification"] for each in ends) == ["killed", "oom", "oom"]
