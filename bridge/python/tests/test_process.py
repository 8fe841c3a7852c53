"""What a worker's process does with the kernel."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("made, shared", [("", False), ("select.epoll()", True), ("os.eventfd(0)", True)])
def test_a_process_knows_whether_its_forks_would_share_pollers(pb, made, shared):
    code = f"import os, select; x = {made or None}; from snakepit_bridge import process; print(process.has_pollers())"
    root = Path(pb.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(shared)


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_a_ping_is_answered_when_a_tool_has_taken_all_descriptors(_shared, gateway, profile):
    worker = gateway.fork(_shared("sample.Sample"), profile=profile, slots=1 if profile == "process" else 4)
    try:
        assert worker.stream.value("takes_all_descriptors") > 0
        worker.stream.ping(1)
        assert worker.stream.state(1).resident_bytes > 1 << 20
        assert worker.stream.value("grows", {"n": 1}) == {"n": 1}
    finally:
        worker.kill()


def test_memory_is_not_known_without_its_descriptor(pb):
    from snakepit_bridge.process import Memory

    memory = Memory()
    assert memory.resident() > 1 << 20
    memory.close()
    memory.close()
    assert memory.resident() == 0
