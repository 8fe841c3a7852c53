"""The two that are compared, as processes on ports of their own."""

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import List, Optional

HERE = Path(__file__).resolve().parent
START_SECONDS = 30.0


class Failure(Exception):
    """A measurement that must not count."""


class Server:
    """A process with a port; ends with its `with` block."""

    port: int
    process: subprocess.Popen

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident_mib(self) -> float:
        """VmRSS of this process alone."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise Failure("no VmRSS")


class Gateway(Server):
    """build/snakepit; `ready_s` is the time from exec to its ready line.

    Without `workers` or `adapter` the arguments say which.
    """

    def __init__(
        self,
        binary: Path,
        workers: Optional[int],
        *args: str,
        adapter: Optional[str] = "bench_tools",
    ) -> None:
        path = [str(HERE)] + ([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])
        command = [str(binary), "serve", "--listen", "127.0.0.1:0", *args]
        command += ["--workers", str(workers)] if workers else []
        command += ["--adapter", adapter] if adapter else []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, bufsize=0)
        try:
            self.port = self._wait_ready()
        except Failure:
            self.process.kill()
            raise
        self.ready_s = time.perf_counter() - start
        threading.Thread(target=self._drain, daemon=True).start()

    def _wait_ready(self) -> int:
        text = b""
        while True:
            piece = self.process.stderr.read(65536)
            if not piece:
                raise Failure(f"the gateway ended: {text.decode(errors='replace')}")
            text += piece
            for line in text.split(b"\n")[:-1]:
                entry = json.loads(line)
                if entry.get("event") == "ready":
                    return int(entry["listen"].rpartition(":")[2])

    def _drain(self) -> None:
        """The pipe of the log must not fill up."""
        while self.process.stderr.read(65536):
            pass


class FastApi(Server):
    """fastapi_app.py on uvicorn with uvloop and httptools, one process."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["/usr/bin/python3", "-m", "uvicorn", "fastapi_app:app", "--port", str(self.port)]
        command += [
            "--loop",
            "uvloop",
            "--http",
            "httptools",
            "--no-access-log",
            "--log-level",
            "warning",
        ]
        command += ["--backlog", "4096"]
        self.process = subprocess.Popen(command, cwd=HERE)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        self.process.kill()
        raise Failure("FastAPI did not start")


def versions() -> List[str]:
    """What is measured with and against, a line each."""
    commands = [
        ["wrk", "--version"],
        ["h2load", "--version"],
        ["/usr/bin/python3", "--version"],
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "python3-fastapi", "python3-uvicorn"],
    ]
    lines = []
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines += (done.stdout or done.stderr).splitlines()[: 2 if command[0] == "dpkg-query" else 1]
    return lines
