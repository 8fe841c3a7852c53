"""Large values of any kind go ahead of their messages: as descriptors or, without a channel, in parts (BOOT.md)."""

import hashlib
import json
import os
import signal
import statistics
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
    assert statistics.median(found) < 0.1
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
                for worker in requests.get(f"{gateway.url}/workers", params={"pool": name}).json()["workers"]:
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
