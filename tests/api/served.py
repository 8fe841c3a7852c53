"""The real gateway as an object. The binary is $SNAKEPIT_BIN, by default build/snakepit."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import httpx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_SECONDS = 60.0  # for what should happen at once: so slow is no machine


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Until it holds; returns the seconds that took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "not in time"
        time.sleep(0.01)
    return time.monotonic() - begun


def listed(client: httpx.Client) -> List[Dict[str, Any]]:
    """All calls of GET /calls, page by page."""
    found: List[Dict[str, Any]] = []
    query: Dict[str, Any] = {"limit": 1000}
    while True:
        page = client.get("/calls", params=query).json()
        found += page["calls"]
        if not page["more"]:
            return found
        query["after"] = page["next"]


def memory_descriptors(pid: int, name: str) -> int:
    """How many memfds of names that begin so the process has open."""
    found = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += f"memfd:{name}" in os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            pass
    return found


class Gateway:
    """One gateway process on a port of its own."""

    def __init__(self, *args: str, env: Optional[Dict[str, str]] = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="gwtest-")
        self.log_path = Path(self.folder.name) / "log"
        binary = os.environ.get("SNAKEPIT_BIN", str(ROOT / "build" / "snakepit"))
        inherited = os.environ.get("PYTHONPATH")
        path = [str(HERE / "adapters")] + ([inherited] if inherited else [])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "XDG_RUNTIME_DIR": self.folder.name,
            "TMPDIR": self.folder.name,
            **(env or {}),
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "serve", "--listen", "127.0.0.1:0", *args], stderr=log, env=environment
            )
        self.port = self._wait_ready()
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What it has written to standard error."""
        return self.log_path.read_text(errors="replace")

    def entries(self) -> Iterator[Dict[str, Any]]:
        """The lines of the log, as far as they are written to their end; others than JSON are left out."""
        lines = self.log().splitlines(keepends=True)
        return (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n"))

    def _wait_ready(self) -> int:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            for entry in self.entries():
                if entry["event"] == "ready":
                    return int(entry["listen"].rpartition(":")[2])
            time.sleep(0.005)
        log = self.log()
        self.kill()
        raise AssertionError(f"the gateway did not get ready; its log:\n{log}")

    def stop(self) -> None:
        """SIGTERM; exit code 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE_SECONDS)
            assert code == 0, f"exit code {code}; its log:\n{self.log()}"
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, if it still runs, and clean up."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()
