"""What does not come up: a pool whose code imports for ever, next to one that serves."""

import os
import re
import signal
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Iterator, Optional, Tuple

import httpx
import pytest
from served import ROOT, wait_for

CONFIG = """
    pools:
      - {name: hung, adapter: hung, workers: 1, start_timeout: 5s}
      - {name: well, adapter: quick, workers: 1}
"""

HUNG = """
    import os, time
    from pathlib import Path

    # In the first process, from which workers would be forked; or in each worker, since what it loads cannot be forked.
    if {spawned}:
        import threading
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if not {spawned} or Path(__file__).with_name("loaded").exists():
        time.sleep(600)
    Path(__file__).with_name("loaded").touch()


    def never() -> None:
        pass
"""


def port_of(pid: int) -> Optional[int]:
    """Where the process listens; it says so only when all pools have started or failed."""
    sockets = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
        sockets.update([found[1]] if found else [])
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in sockets:
            return int(fields[1].rpartition(":")[2], 16)
    return None


@pytest.fixture(params=["zygote", "worker"])
def hung(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tuple[httpx.Client, Path]]:
    """A gateway of which one pool imports for ever, and its log."""
    (tmp_path / "quick.py").write_text("def quick() -> str:\n    return 'well'\n")
    (tmp_path / "hung.py").write_text(textwrap.dedent(HUNG).format(spawned=request.param == "worker"))
    (tmp_path / "snakepit.yaml").write_text(textwrap.dedent(CONFIG))
    binary = os.environ.get("SNAKEPIT_BIN", str(ROOT / "build" / "snakepit"))
    log = tmp_path / "log"
    with tempfile.TemporaryDirectory() as folder, log.open("wb") as out:
        gateway = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--config", str(tmp_path / "snakepit.yaml")],
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "XDG_RUNTIME_DIR": folder, "TMPDIR": folder},
        )
        try:
            wait_for(lambda: port_of(gateway.pid) is not None)
            with httpx.Client(base_url=f"http://127.0.0.1:{port_of(gateway.pid)}", timeout=60) as client:
                yield client, log
        finally:
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(60) == 0


def test_a_pool_that_imports_for_ever_holds_nobody_up_and_fails_in_time(hung: Tuple[httpx.Client, Path]) -> None:
    client, log = hung
    begun = time.monotonic()
    wait_for(lambda: client.get("/startupz").status_code == 200)
    assert client.get("/pools/hung").json()["state"] == "starting"
    assert "[-] pool hung: starting" in client.get("/startupz?verbose").text
    assert client.post("/tools/quick", json={}).json() == "well"
    wait_for(lambda: client.get("/pools/hung").json()["state"] == "failed")
    assert time.monotonic() - begun > 3
    assert "python did not import hung within 5000 ms (start_timeout)" in client.get("/readyz?verbose").text
    assert client.get("/startupz").status_code == 200
    assert client.post("/tools/quick", json={}).json() == "well"
    assert '"event":"ready"' in log.read_text()
