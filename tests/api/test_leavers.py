"""Clients that close their side while the gateway reads: it notices, however the end arrives."""

import os
import signal
import socket
import time
from typing import Any

import pytest
from served import memory_descriptors, wait_for

HEAD = b"POST /tools/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n"
ENDS = {
    "in_the_head": b"POST /tools/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/b\r\n",
    "behind_the_head": HEAD % 50_000_000,
    "in_the_body": HEAD % 50_000_000 + b"x" * 10,
    "in_a_large_body": HEAD % 50_000_000 + b"x" * 30_000,
    "in_a_larger_body": HEAD % 50_000_000 + b"x" * 5_000_000,
    "behind_the_body": HEAD % 2 + b"{}",
    "behind_a_request_without_a_body": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def connections(pid: int) -> int:
    """Sockets that the process has open."""
    found = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += "socket:" in os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            pass
    return found


def leave_together_with(gateway: Any, text: bytes, first: int) -> None:
    """The gateway knows the connection by its first bytes, and sees the rest and the end in one look."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    connection.sendall(text[:first])
    time.sleep(0.05)
    os.kill(gateway.process.pid, signal.SIGSTOP)
    try:
        connection.setblocking(False)
        connection.send(text[first:])
        connection.close()
        time.sleep(0.02)
    finally:
        os.kill(gateway.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("first", [30, 5])
@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_an_end_that_comes_with_the_last_bytes_is_seen(gateway: Any, text: bytes, first: int) -> None:
    pid = gateway.process.pid
    before = connections(pid)
    for _ in range(4):
        leave_together_with(gateway, text, first)
    wait_for(lambda: connections(pid) <= before and memory_descriptors(pid, "snakepit-body") == 0)


def test_what_came_before_the_end_is_still_answered(gateway: Any) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n")
        connection.sendall(b"x" * 50_000)
        connection.shutdown(socket.SHUT_WR)
        assert b" 404 " in connection.recv(1000)
