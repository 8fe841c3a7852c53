"""Large bodies travel through shared memory (bridge/BOOT.md): whole, bounded, and without a leak."""

import hashlib
import io
import json
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import numpy as np
import pytest
import requests
from served import Gateway, memory_descriptors, wait_for

KIB, MIB = 1 << 10, 1 << 20
BINARY = {"content-type": "application/octet-stream"}
RANDOM = os.urandom(64 * MIB)
DECEPTIONS = ["nothing", "unsealed", "shrinkable", "writable", "short", "device"]


@pytest.fixture(scope="module")
def large() -> Iterator[Gateway]:
    shared = Gateway("--workers", "2", "--adapter", "sizes")
    yield shared
    shared.stop()


def post(gateway: Gateway, tool: str, data: Any, headers: Dict[str, str] = BINARY) -> requests.Response:
    return requests.post(f"{gateway.url}/tools/{tool}", data=data, headers=headers, timeout=60)


def call(gateway: Gateway, tool: str, **args: Any) -> Any:
    answer = requests.post(f"{gateway.url}/execute", json={"tool": tool, "args": args}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 64 * MIB])
def test_a_body_of_any_size_comes_and_goes_whole(large: Gateway, size: int) -> None:
    data = RANDOM[:size]
    assert post(large, "digest", data).json() == sha(data)
    assert post(large, "mirror", data).content == data


def test_a_body_of_unknown_length_may_become_large(large: Gateway) -> None:
    pieces = [RANDOM[at : at + 10000] for at in range(0, 300000, 10000)]
    assert post(large, "digest", iter(pieces)).json() == sha(RANDOM[:300000])


def test_large_json_arguments_arrive(large: Gateway) -> None:
    body = json.dumps({"text": "ü" * MIB}, ensure_ascii=False).encode()
    assert post(large, "length", body, {"content-type": "application/json"}).json() == MIB
    assert call(large, "length", text="y" * 100000) == 100000


def test_calls_that_run_together_have_large_arguments(large: Gateway) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda i: call(large, "lengths", text="x" * (100000 + i)), range(64))
        assert list(found) == list(range(100000, 100064))


def test_large_json_arguments_are_checked(large: Gateway) -> None:
    head = {"content-type": "application/json"}
    assert post(large, "length", b'{"text": "' + b"x" * MIB, head).json()["code"] == "invalid_json"
    assert post(large, "length", json.dumps({"text": [1] * MIB}), head).status_code == 422


@pytest.mark.parametrize("size", [64 * KIB - 3, 64 * KIB, MIB])
def test_a_large_json_result_arrives(large: Gateway, size: int) -> None:
    assert call(large, "text", size=size) == "x" * size


def test_a_view_is_read_in_place_and_lasts(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "sizes")
    assert post(gateway, "view_digest", RANDOM[:MIB]).json() == sha(RANDOM[:MIB])
    assert post(gateway, "digest", RANDOM[MIB : 2 * MIB]).json() == sha(RANDOM[MIB : 2 * MIB])
    assert call(gateway, "kept_digest") == sha(RANDOM[:MIB])


def test_an_array_parameter_gets_the_bytes(large: Gateway) -> None:
    data = RANDOM[:MIB]
    expected = {"type": "uint8", "shape": [MIB], "sum": float(sum(data)), "writable": False}
    assert post(large, "total", data).json() == expected


@pytest.mark.parametrize("count", [6, 60000])
def test_an_array_parameter_gets_the_array_of_an_npy_file(large: Gateway, count: int) -> None:
    file = io.BytesIO()
    np.save(file, np.arange(count, dtype="<f4").reshape(3, -1))
    got = post(large, "total", file.getvalue(), {"content-type": "application/x-npy"}).json()
    assert (got["type"], got["shape"]) == ("float32", [3, count // 3])


def test_an_array_is_answered_as_it_lies_in_memory(large: Gateway) -> None:
    answer = post(large, "array", b'{"count": 2097152}', {"content-type": "application/json"})
    assert np.array_equal(np.frombuffer(answer.content), np.arange(2097152, dtype=np.float64))


def test_an_array_that_is_not_in_one_piece_is_answered_by_rows(large: Gateway) -> None:
    answer = post(large, "columns", b"{}", {"content-type": "application/json"})
    expected = np.arange(40000, dtype=np.int64).reshape(200, 200).T
    assert answer.content == expected.tobytes()


def test_a_retried_call_has_the_same_body(large: Gateway, tmp_path: Path) -> None:
    head = {"content-type": f"application/octet-stream; mark={tmp_path}/died"}
    answer = post(large, "die_once", RANDOM[:MIB], head)
    assert (answer.status_code, answer.json()) == (200, sha(RANDOM[:MIB]))


def test_a_result_that_a_dead_worker_left_behind_is_recovered(large: Gateway) -> None:
    answer = post(large, "answer_and_die", json.dumps({"size": MIB}), {"content-type": "application/json"})
    assert (answer.status_code, answer.content) == (200, b"z" * MIB)


@pytest.mark.parametrize("how", DECEPTIONS)
def test_memory_that_could_kill_the_gateway_is_refused(large: Gateway, how: str) -> None:
    answer = post(large, "deceive", json.dumps({"how": how}), {"content-type": "application/json"})
    assert (answer.status_code, answer.json()["python"]["type"]) == (500, "ProtocolError")
    assert post(large, "digest", RANDOM[:MIB]).json() == sha(RANDOM[:MIB])


def test_fifty_at_once_get_their_own(large: Gateway) -> None:
    def one(i: int) -> bool:
        data = RANDOM[i * 1000 : i * 1000 + 100000 + i]
        return post(large, "mirror", data).content == data

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(300)))


@pytest.mark.parametrize("profile", ["thread", "async"])
def test_workers_of_several_slots_take_and_give_large_bodies(
    start_gateway: Callable[..., Gateway], profile: str
) -> None:
    options = ["--pools-default-profile", profile, "--pools-default-slots", "8"]
    gateway = start_gateway("--workers", "1", "--adapter", "sizes", *options)
    with ThreadPoolExecutor(16) as pool:
        bodies: List[bytes] = [RANDOM[i : i + 200000] for i in range(100)]
        assert [a.content for a in pool.map(lambda data: post(gateway, "mirror", data), bodies)] == bodies


def test_nothing_is_left_of_a_thousand_large_calls(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "sizes")
    with requests.Session() as session:

        def rounds(count: int) -> None:
            for i in range(count):
                data = RANDOM[i : i + 70000]
                answer = session.post(f"{gateway.url}/tools/mirror", data=data, headers=BINARY)
                assert answer.content == data

        rounds(20)
        before = open_files(gateway.process.pid), call(gateway, "descriptors")
        rounds(1000)
        wait_for(lambda: memory_descriptors(gateway.process.pid, "snakepit-body") == 0)
        assert open_files(gateway.process.pid) <= before[0] + 1
        assert call(gateway, "descriptors") == before[1]


def test_refused_and_unknown_calls_leave_no_memory_in_the_worker(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "sizes")
    before = call(gateway, "descriptors")
    for _ in range(20):
        assert post(gateway, "text", RANDOM[:MIB]).status_code == 415
    assert call(gateway, "descriptors") == before


def test_a_caller_who_leaves_takes_the_memory_along(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "sizes")
    before = call(gateway, "descriptors")
    for sent in (100000, MIB):  # in the middle of the body, and while the tool runs
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(
                b"POST /tools/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                b"Content-Length: 1048576\r\n\r\n" + RANDOM[:sent]
            )
            wait_for(lambda: memory_descriptors(gateway.process.pid, "snakepit-body") == 1)
            time.sleep(0.1)
        wait_for(lambda: memory_descriptors(gateway.process.pid, "snakepit-body") == 0)
    assert call(gateway, "descriptors") == before


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096, reason="needs 2,200 connections")
def test_without_descriptors_large_bodies_travel_in_frames(start_gateway: Callable[..., Gateway]) -> None:
    """More bodies at once than a reactor gives descriptors to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway = start_gateway("--workers", "1", "--adapter", "sizes", "--http-body-limit", str(MIB))
    clients = []
    try:
        head = b"POST /tools/digest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n"
        for _ in range(2200):
            client = socket.create_connection(("127.0.0.1", gateway.port))
            client.sendall(head + b"a" * 1000)
            clients.append(client)
        wait_for(lambda: memory_descriptors(gateway.process.pid, "snakepit-body") >= 1024)
        assert post(gateway, "mirror", RANDOM[:100000]).content == RANDOM[:100000]
    finally:
        for client in clients:
            client.close()
    wait_for(lambda: memory_descriptors(gateway.process.pid, "snakepit-body") == 0)
