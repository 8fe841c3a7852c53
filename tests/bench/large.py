"""Large bodies beside FastAPI: 64 MiB in and numpy's sum out, a 16 MiB array returned.

One exchange after the other on a kept connection, ours and FastAPI's in turn, so that a noisy
moment of the machine meets both. As a program it prints both with their ratio.
"""

import os
import socket
import sys
import time
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple

from servers import FastApi, Failure, Gateway

BINARY, JSON = "application/octet-stream", "application/json"
ADAPTER = "large_tools"
ARRAY_BYTES = 16 << 20


class Load(NamedTuple):
    """What is sent, the least length of the answer, and how large the ratio may be."""

    name: str
    what: str
    path: str
    body: bytes
    kind: str
    length: int
    bar: float
    hoped: float


def loads() -> List[Load]:
    body = os.urandom(64 << 20)
    return [
        Load("sum_64m", "64 MiB in, numpy's sum out", "/tools/total", body, BINARY, 1, 1.0, 0.75),
        Load(
            "array_16m",
            "16 MiB array returned",
            "/tools/array",
            b"{}",
            JSON,
            ARRAY_BYTES,
            1.2,
            0.9,
        ),
    ]


class Exchange:
    """A kept HTTP/1.1 connection whose cost is little beside that of the servers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = bytearray(1 << 20)

    def milliseconds(self, load: Load) -> float:
        """From the first byte sent to the last one received."""
        head = f"POST {load.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {load.kind}\r\n"
        head += f"Content-Length: {len(load.body)}\r\n\r\n"
        start = time.perf_counter()
        self._socket.sendall(head.encode())
        self._socket.sendall(load.body)
        length = self._receive()
        took = (time.perf_counter() - start) * 1000
        if length < load.length:
            raise Failure(f"{load.path}: {length} bytes instead of {load.length}")
        return took

    def _receive(self) -> int:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(65536)
        head, _, first = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if b" 200 " not in lines[0]:
            raise Failure(data.decode(errors="replace"))
        length = next(int(each[15:]) for each in lines if each.startswith(b"content-length:"))
        left = length - len(first)
        while left > 0:
            got = self._socket.recv_into(self._room)
            if not got:
                raise Failure("the connection was closed")
            left -= got
        return length

    def _more(self, size: int) -> bytes:
        piece = self._socket.recv(size)
        if not piece:
            raise Failure("the connection was closed")
        return piece


def measure(binary: Path, load: Load, repeats: int) -> Dict[str, List[float]]:
    """Interleaved samples of both, in milliseconds, after one exchange that warms up."""
    samples: Dict[str, List[float]] = {"samples": [], "rival_samples": []}
    with Gateway(binary, 1, adapter=ADAPTER) as gateway, FastApi() as rival:
        ours, theirs = Exchange(gateway.port), Exchange(rival.port)
        for i in range(repeats + 1):
            samples["samples"].append(ours.milliseconds(load))
            samples["rival_samples"].append(theirs.milliseconds(load))
    return {name: times[1:] for name, times in samples.items()}


def main() -> None:
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "build"
    for load in loads():
        found = measure(build / "snakepit", load, 15)
        ours, rival = median(found["samples"]), median(found["rival_samples"])
        print(
            f"{load.name}: {load.what}: {ours:.1f} ms, FastAPI {rival:.1f} ms,"
            f" ratio {ours / rival:.2f} (bar {load.bar}, hoped {load.hoped})",
            flush=True,
        )


if __name__ == "__main__":
    main()
