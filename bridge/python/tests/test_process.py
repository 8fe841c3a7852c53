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
