"""Large bodies beside FastAPI: 64 MiB in and numpy's sum out, a 16 MiB array returned.

One exchange after the other on a kept connection, ours and FastAPI's in turn, so that a noisy
moment of the machine meets both.
"""

import os
import socket
import time
from statistics import median
from typing import Any, Dict, List, NamedTuple

from row import Row
from servers import FastApi, Failure

BINARY, JSON = "application/octet-stream", "application/json"
ADAPTER = "large_tools"
ARRAY_BYTES = 16 << 20
EXCHANGES = 3  # of each for a repeat


class Load(NamedTuple):
    """What is sent, and the least length of the answer."""

    path: str
    body: bytes
    kind: str
    length: int


class Exchange:
    """A kept HTTP/1.1 connection whose cost is little beside that of the servers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = bytearray(1 << 20)

    def milliseconds(self, load: Load) -> float:
        """From the first byte sent to the last one received."""
        head = f"POST {load.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {load.kind}\r\n"
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


def measure(bench: Any, load: Load) -> Dict[str, List[float]]:
    """Interleaved samples of both, in milliseconds, after one exchange that warms up."""
    samples: Dict[str, List[float]] = {"samples": [], "rival_samples": []}
    with bench.gateway(1, adapter=ADAPTER) as gateway, FastApi() as rival:
        ours, theirs = Exchange(gateway.port), Exchange(rival.port)
        for _ in range(EXCHANGES * bench.repeats + 1):
            samples["samples"].append(ours.milliseconds(load))
            samples["rival_samples"].append(theirs.milliseconds(load))
    return {name: times[1:] for name, times in samples.items()}


def time_row(samples: Dict[str, List[float]], **fields: object) -> Row:
    return Row(
        unit="ms",
        value=median(samples["samples"]),
        rival=median(samples["rival_samples"]),
        **samples,
        **fields,
    )


def sum_64m(bench: Any) -> List[Row]:
    samples = measure(bench, Load("/tools/total", os.urandom(64 << 20), BINARY, 1))
    what = "64 MiB in, their sum by numpy out, HTTP/1.1"
    return [time_row(samples, name="sum_64m", what=what, bar=1.0, hoped=0.75)]


def array_16m(bench: Any) -> List[Row]:
    samples = measure(bench, Load("/tools/array", b"{}", JSON, ARRAY_BYTES))
    what = "a numpy array of 16 MiB returned, HTTP/1.1"
    return [time_row(samples, name="array_16m", what=what, bar=1.2, hoped=0.9)]


ROWS = {"sum_64m": sum_64m, "array_16m": array_16m}
