"""Large values of any kind go ahead of their messages: as descriptors or, without a channel, in parts (BOOT.md)."""

import hashlib
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests
from served import Gateway, memory_descriptors, wait_for

KIB, MIB = 1 << 10, 1 << 20
WAYS = {
    "descriptors": ("Caller", "Callee"),
    "parts": ("PartedCaller", "PartedCallee"),
    "mixed": ("Caller", "PartedCallee"),
}


def configuration(folder: Path, way: str, profile: str, more: str = "") -> List[str]:
    caller, callee = WAYS[way]
    slots = "" if profile == "process" else ", slots: 16"
    path = folder / "snakepit.yaml"
    path.write_text(
        f"{more}\nsessions: {{variable_size: 20MiB, variables_size: 30MiB}}\npools:\n"
        f"  - {{name: callers, adapter: bulky.{caller}, workers: 1, profile: {profile}{slots}}}\n"
        f"  - {{name: callees, adapter: bulky.{callee}, workers: 1, profile: {profile}{slots}}}\n"
    )
    return ["--config", str(path)]


@pytest.fixture(scope="module", params=[f"{way}-{each}" for way in WAYS for each in ("process", "thread", "async")])
def gateway(request: Any, tmp_path_factory: Any) -> Iterator[Gateway]:
    shared = Gateway(*configuration(tmp_path_factory.mktemp("parcels"), *request.param.split("-")))
    yield shared
    shared.stop()


def call(gateway: Gateway, tool: str, session: str = "", **args: Any) -> Any:
    body: Dict[str, Any] = {"tool": tool, "args": args}
    if session:
        body["session_id"] = session
    answer = requests.post(f"{gateway.url}/execute", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("size", [64 * KIB, 64 * KIB + 1, 128 * KIB + 65, 1000000, 64 * MIB])
@pytest.mark.parametrize("tool", ["exchange", "aexchange"])
def test_arguments_and_results_of_called_tools_are_whole(gateway: Gateway, tool: str, size: int) -> None:
    assert call(gateway, tool, size=size) == [size]


def test_several_at_once_are_told_apart(gateway: Gateway) -> None:
    assert call(gateway, "aexchange", size=3000000, times=12) == [3000000] * 12


def test_large_json_is_whole(gateway: Gateway) -> None:
    assert call(gateway, "exchange_text", size=5 * MIB) is True


def test_bodies_of_requests_are_whole(gateway: Gateway) -> None:
    data = os.urandom(8 * MIB)
    head = {"content-type": "application/octet-stream"}
    answer = requests.post(f"{gateway.url}/tools/mirror_here", data=data, headers=head, timeout=60)
    assert answer.content == data


def test_variables_are_whole(gateway: Gateway) -> None:
    for size in (70000, 20 * MIB - 100):
        call(gateway, "store", "it", name="large", size=size)
        expected = "v" * size
        assert call(gateway, "stored", "it", name="large") == hashlib.sha256(expected.encode()).hexdigest()
        value = requests.get(f"{gateway.url}/sessions/it/variables/large", timeout=60).json()["value"]
        assert value == expected


def test_many_large_values_of_one_message_are_whole(gateway: Gateway) -> None:
    assert call(gateway, "store_many", "many", count=12, size=MIB) == [MIB] * 12


def test_values_of_a_stream_are_whole_and_in_order(gateway: Gateway) -> None:
    sizes = [1, 100000, 5, 8 * MIB, 70000, 2, 200000, 3]
    body = {"tool": "pour", "args": {"sizes": sizes}}
    answer = requests.post(f"{gateway.url}/stream", json=body, timeout=60)
    events, event = [], ""
    for line in answer.content.splitlines():
        if line.startswith(b"event: "):
            event = line[7:].decode()
        elif line.startswith(b"data: ") and event in ("chunk", "progress"):
            events.append((event, json.loads(line[6:])))
    numbers = [data["done"] if kind == "progress" else data["n"] for kind, data in events]
    assert numbers == [number for n in range(len(sizes)) for number in (n, n)]
    assert [len(data["text"]) for kind, data in events if kind == "chunk"] == sizes


# What else is to hold while something large is under way.


@pytest.fixture(params=["descriptors", "parts"])
def way(request: Any) -> str:
    return str(request.param)


@pytest.fixture
def start(start_gateway: Callable[..., Gateway], tmp_path: Path, way: str) -> Callable[..., Gateway]:
    return lambda profile: start_gateway(*configuration(tmp_path, way, profile))


def latencies(gateway: Gateway, over: threading.Event) -> List[float]:
    """Seconds of small calls, one after the other."""
    found = []
    with requests.Session() as session:
        while not over.is_set() or len(found) < 20:
            begun = time.perf_counter()
            answer = session.post(f"{gateway.url}/execute", json={"tool": "quick", "args": {"n": 1}}, timeout=60)
            assert answer.json()["result"] == 1
            found.append(time.perf_counter() - begun)
    return found


def test_small_calls_are_answered_while_large_values_are_under_way(start: Callable[..., Gateway]) -> None:
    gateway = start("async")
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        small = pool.submit(latencies, gateway, over)
        begun = time.perf_counter()
        try:
            assert call(gateway, "aexchange", size=64 * MIB, times=2) == [64 * MIB] * 2
        finally:
            over.set()
        took = time.perf_counter() - begun
        found = sorted(small.result())
    told = f"{len(found)} small calls in {took:.2f} s: median {found[len(found) // 2] * 1e3:.1f} ms, "
    print(told + f"95 % {found[len(found) * 95 // 100] * 1e3:.1f} ms, longest {found[-1] * 1e3:.1f} ms")
    assert len(found) >= 20


def test_a_worker_that_is_killed_in_the_middle_leaves_nothing(start: Callable[..., Gateway]) -> None:
    gateway = start("process")
    pid = gateway.process.pid
    body = {"tool": "exchange", "args": {"size": 64 * MIB, "times": 4}}
    ends = []
    for i in range(8):
        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(requests.post, f"{gateway.url}/execute", json=body, timeout=60)
            time.sleep(0.1 + 0.05 * i)
            for name in ("callers", "callees")[i % 2 :]:
                for worker in requests.get(f"{gateway.url}/workers").json()["workers"]:
                    if worker["pool"] == name and worker["pid"]:
                        os.kill(worker["pid"], signal.SIGKILL)
            ends.append(begun.result().status_code)
        if i == 1:
            before = resident(pid)
        wait_for(lambda: requests.get(f"{gateway.url}/readyz").status_code == 200)
    assert set(ends) <= {200, 500, 502}
    wait_for(lambda: memory_descriptors(pid, "snakepit-") == 0)
    wait_for(lambda: resident(pid) < before + 40 * MIB)
    assert call(gateway, "exchange", size=MIB) == [MIB]


@pytest.fixture
def slow(start_gateway: Callable[..., Gateway]) -> Gateway:
    """One worker without a descriptor channel, whose values leave slowly; it may leave calls alone for long."""
    settings = {"profile": "thread", "cancel-grace": "60s", "heartbeat-interval": "0"}
    more = [word for name, value in settings.items() for word in (f"--pools-default-{name}", value)]
    return start_gateway("--workers", "1", "--adapter", "bulky.Slow", *more)


def moved(gateway: Gateway) -> Dict[str, int]:
    return dict(call(gateway, "moved"))


def begin(gateway: Gateway, tool: str, **request: Any) -> socket.socket:
    """Post it, and do not wait for the answer."""
    prepared = requests.Request("POST", f"{gateway.url}/tools/{tool}", **request).prepare()
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
    head = "".join(f"{name}: {value}\r\n" for name, value in prepared.headers.items())
    text = f"POST {prepared.path_url} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n"
    connection.sendall(text.encode() + (prepared.body or b""))
    return connection


def test_arguments_of_a_cancelled_call_are_not_sent_to_their_end(slow: Gateway) -> None:
    worker = requests.get(f"{slow.url}/workers").json()["workers"][0]["pid"]
    body = bytes(40 * MIB)
    binary = {"content-type": "application/octet-stream"}
    before = moved(slow)
    os.kill(worker, signal.SIGSTOP)
    try:
        with begin(slow, "mirror_here", data=body, headers=binary):
            wait_for(lambda: running(slow) == 1)
        wait_for(lambda: running(slow) == 0)
    finally:
        os.kill(worker, signal.SIGCONT)
    after = moved(slow)
    assert 0 < after["came"] - before["came"] <= 2 * MIB
    assert after["here"] == 0
    assert requests.post(f"{slow.url}/tools/mirror_here", data=body, headers=binary, timeout=60).content == body
    assert requests.get(f"{slow.url}/workers").json()["workers"][0]["pid"] == worker


def running(gateway: Gateway) -> int:
    return len(requests.get(f"{gateway.url}/calls").json()["calls"])


def test_a_result_of_a_cancelled_call_is_not_sent_to_its_end(slow: Gateway) -> None:
    before = moved(slow)
    with begin(slow, "zeros_here", json={"size": 40 * MIB}):
        wait_for(lambda: moved(slow)["left"] > before["left"])
    wait_for(lambda: moved(slow)["here"] == 0)
    assert moved(slow)["left"] - before["left"] < 20 * MIB
    assert len(requests.post(f"{slow.url}/tools/zeros_here", json={"size": MIB}, timeout=60).content) == MIB


def test_nothing_is_left_of_many_exchanges(start: Callable[..., Gateway]) -> None:
    gateway = start("process")
    pid = gateway.process.pid

    def look() -> List[int]:
        return [call(gateway, "descriptors"), call(gateway, "descriptors_here"), len(os.listdir(f"/proc/{pid}/fd"))]

    call(gateway, "exchange", size=MIB, times=20)
    before, memory = look(), resident(pid)
    call(gateway, "exchange", size=MIB, times=200)
    call(gateway, "store", "it", name="large", size=MIB)
    wait_for(lambda: memory_descriptors(pid, "snakepit-") == 0)
    assert look()[:2] == before[:2]
    assert look()[2] <= before[2] + 1
    assert resident(pid) < memory + 20 * MIB
