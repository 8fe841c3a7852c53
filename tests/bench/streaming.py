"""Clients of streams: what they measure is one number or a few, and every chunk is accounted for."""

import re
import selectors
import socket
import time
from typing import Callable, Dict, List
from urllib.parse import quote

from servers import FastApi, Failure, Server

ROOM = 1 << 18
STAMP = re.compile(rb"(?:data: |,\"data\":)(\d{9,})[\n}]")


def address(server: Server, name: str, count: int) -> str:
    """The stream of that name, as either server calls it."""
    if isinstance(server, FastApi):
        return f"/stream/{name}?count={count}"
    return f"/stream?tool={name}&args=" + quote('{"count":%d}' % count if count else "{}")


class Reader:
    """One stream over HTTP/1.1, at the cost of a recv() for each piece."""

    def __init__(self, server: Server, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.room = bytearray(ROOM)
        self.ask(path)

    def ask(self, path: str) -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        self.socket.sendall(head.encode())

    def piece(self) -> memoryview:
        """What there is; empty at the end of the connection."""
        return memoryview(self.room)[: self.socket.recv_into(self.room)]

    def count_to_end(self, mark: bytes) -> int:
        """How often this one byte is in the rest of the stream. More would be torn by the encoding."""
        count, tail = 0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            data = bytes(self.piece())
            if not data:
                raise Failure(f"a stream broke off after {count} chunks")
            count += data.count(mark)
            tail = (tail + data)[-7:]
        return count

    def close(self) -> None:
        self.socket.close()


def chunks_per_second(server: Server, name: str, count: int) -> float:
    """Of one stream of that many small chunks, from the request to its end."""
    start = time.perf_counter()
    reader = Reader(server, address(server, name, count))
    got = reader.count_to_end(b"~")
    reader.close()
    if got != count:
        raise Failure(f"{got} chunks instead of {count}")
    return count / (time.perf_counter() - start)


def first_chunk_us(server: Server, count: int) -> float:
    """From the yield to the reader, median; one stream after the other on one connection."""
    times: List[float] = []
    reader = Reader(server, address(server, "first", 0))
    for _ in range(count):
        text, stamp, heard = b"", None, 0
        while not text.endswith(b"0\r\n\r\n"):
            data = bytes(reader.piece())
            now = time.monotonic_ns()
            if not data:
                raise Failure(f"no stream: {text.decode(errors='replace')}")
            text += data
            stamp, heard = (STAMP.search(text), now) if stamp is None else (stamp, heard)
        if stamp is None:
            raise Failure(f"no chunk: {text.decode(errors='replace')}")
        times.append((heard - int(stamp[1])) / 1000)
        reader.ask(address(server, "first", 0))
    reader.close()
    return sorted(times)[len(times) // 2]


class Crowd:
    """Many open streams of one chunk a second."""

    def __init__(self, server: Server, streams: int, seconds: int) -> None:
        self.late_ms: List[float] = []
        self._chunks = 0
        self._selector = selectors.EpollSelector()
        self._tails: Dict[socket.socket, bytes] = {}
        self._room = bytearray(65536)
        for _ in range(streams):
            reader = Reader(server, address(server, "ticks", seconds + 60))
            self._tails[reader.socket] = b""
            self._selector.register(reader.socket, selectors.EVENT_READ)
            self._read_for(0)

    def settle(self, seconds: float) -> None:
        """What comes in that time does not count."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read_for(left)
        self.late_ms, self._chunks = [], 0

    def listen(self, seconds: float) -> None:
        """What comes in that time counts, and has to be as much as it should."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read_for(left)
        expected = len(self._tails) * seconds
        if not 0.9 * expected < self._chunks < 1.1 * expected:
            raise Failure(f"{self._chunks} chunks, {expected:.0f} were expected")

    def _read_for(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            self._read(key.fileobj)  # type: ignore[arg-type]

    def _read(self, stream: socket.socket) -> None:
        size = stream.recv_into(self._room)
        now = time.monotonic_ns()
        if size == 0:
            raise Failure("a stream has ended")
        text = self._tails[stream] + self._room[:size]
        end = 0
        for stamp in STAMP.finditer(text):
            self.late_ms.append((now - int(stamp[1])) / 1e6)
            self._chunks += 1
            end = stamp.end()
        self._tails[stream] = text[end:][-64:]

    def close(self) -> None:
        for stream in self._tails:
            stream.close()


def growth_while_stopped_mib(server: Server, count: int, stop_s: float) -> float:
    """How much more memory the server has at most while the reader of a large stream does nothing."""
    before = server.resident_mib()
    reader = Reader(server, address(server, "large", count))
    got = 0
    while got < 1 << 22:
        got += bytes(reader.piece()).count(b"x")
    peak = _peak_mib(server.resident_mib, stop_s)
    got += reader.count_to_end(b"x")
    reader.close()
    if got < count * 65536:
        raise Failure(f"{got} bytes of {count * 65536}")
    return peak - before


def _peak_mib(resident: Callable[[], float], seconds: float) -> float:
    peak, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max(peak, resident())
        time.sleep(0.1)
    return peak
