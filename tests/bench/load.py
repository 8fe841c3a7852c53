"""Load generators: wrk, h2load, bench_latency, and a plain client for single requests. Every answer
that is an error fails the measurement."""

import json
import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Tuple

from servers import Failure

HERE = Path(__file__).resolve().parent
ECHO = b'{"tool":"echo","args":{"message":"hello"}}'
JSON = "application/json"


def _body_file(body: bytes) -> str:
    path = Path(tempfile.gettempdir()) / f"bench-body-{os.getpid()}"
    path.write_bytes(body)
    return str(path)


def wrk(
    port: int,
    path: str,
    seconds: float,
    connections: int,
    body: bytes = ECHO,
    kind: str = JSON,
    sessions: int = 0,
) -> float:
    """Requests per second over HTTP/1.1 with kept connections, one thread.

    With `sessions` that many bodies take turns, which have their numbers for `%d`.
    """
    name = _body_file(body)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", str(HERE / "post.lua"), f"http://127.0.0.1:{port}{path}"]
    environment = {**os.environ, "BENCH_BODY": name, "BENCH_TYPE": kind}
    if sessions:
        environment["BENCH_SESSIONS"] = str(sessions)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=True
        )
    finally:
        os.unlink(name)
    result = json.loads(done.stdout.splitlines()[-1])
    if result["failures"] or not result["requests"]:
        raise Failure(f"wrk on {path}: {done.stdout}")
    return result["requests"] / result["seconds"]


def h2load(
    port: int, path: str, seconds: float, connections: int, streams: int, body: bytes = ECHO
) -> float:
    """Requests per second over HTTP/2 with prior knowledge, one thread."""
    name = _body_file(body)
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds:.0f}", "-d", name]
    command += ["-H", f"content-type: {JSON}", f"http://127.0.0.1:{port}{path}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    finally:
        os.unlink(name)
    rate = re.search(r"finished in .*?, ([0-9.]+) req/s", done.stdout)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    broken = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if not rate or not codes or not broken:
        raise Failure(f"h2load said: {done.stdout}")
    bad = [int(each) for each in codes.groups()[1:] + broken.groups()]
    if any(bad) or int(codes.group(1)) == 0:
        raise Failure(f"h2load on {path}: {done.stdout}")
    return float(rate.group(1))


def latency(binary: Path, port: int, count: int) -> Dict[str, float]:
    """p50_us and p99_us of one connection without load."""
    command = [str(binary), str(port), str(count), "/execute", ECHO.decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Failure(f"bench_latency: {done.stderr}")
    return json.loads(done.stdout)


class Plain:
    """One kept HTTP/1.1 connection with next to no cost of its own."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(
        self, method: str, path: str, body: bytes = b""
    ) -> Tuple[int, Dict[str, str], bytes]:
        """Status, headers (lower case) and body."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        text, _, rest = data.partition(b"\r\n\r\n")
        lines = text.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        while len(rest) < int(headers["content-length"]):
            rest += self._more()
        return int(lines[0].split()[1]), headers, rest

    def _more(self) -> bytes:
        piece = self.socket.recv(65536)
        if not piece:
            raise Failure("the connection was closed")
        return piece

    def close(self) -> None:
        self.socket.close()
