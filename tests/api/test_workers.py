"""Workers that come, go and die: what callers and operators are told.

Snakepit 19.
"""

import os
import signal
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import httpx
import pytest
from served import wait_for

TOOLS = """
import asyncio, ctypes, os, signal
from pathlib import Path

async def linger(seconds: int) -> None:
    await asyncio.sleep(seconds)

def stick(seconds: int) -> int:
    "Waits in C, where no exception gets in."
    return ctypes.CDLL(None).sleep(seconds)

def count(file: str, wait: int) -> int:
    "How often it was called with this file; waits the first time."
    with open(file, "a") as counter:
        counter.write("x")
    times = len(Path(file).read_text())
    if times == 1:
        stick(wait)
    return times

def whoami() -> int:
    return os.getpid()

def say_and_die(text: str, how: int) -> None:
    "Writes to standard error as a library in C does, and ends by a signal, or by a code if it is above 100."
    os.write(2, text.encode() + b"\\n")
    if how > 100:
        os._exit(how)
    os.kill(os.getpid(), how)
    stick(10)  # another thread may be the one that gets the signal

def tire() -> int:
    "Wishes its worker to be replaced."
    from snakepit_bridge import request_recycle
    request_recycle()
    return os.getpid()

def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
"""


def get(gateway, path: str) -> Dict[str, Any]:
    answer = httpx.get(gateway.url + path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def with_tools(start_gateway, tmp_path: Path, pool: str):
    """A gateway with one pool of these tools."""
    (tmp_path / "own_tools.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{name: default, adapter: own_tools, {pool}}}]")
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def test_a_pool_of_no_workers_is_ready(start_gateway, tmp_path: Path) -> None:
    gateway = with_tools(
        start_gateway, tmp_path, "min_workers: 0, max_workers: 1, idle_time: 100ms"
    )
    for _ in range(2):
        wait_for(lambda: get(gateway, "/workers")["workers"] == [])
        answer = httpx.get(gateway.url + "/readyz?verbose")
        assert (answer.status_code, answer.text[:3]) == (200, "[+]"), answer.text
        assert httpx.get(gateway.url + "/startupz").status_code == 200
        assert httpx.post(gateway.url + "/tools/whoami", json={}, timeout=30).status_code == 200


def test_a_replacement_gets_calls_last_until_its_taint_is_over(
    start_gateway, tmp_path: Path
) -> None:
    gateway = with_tools(start_gateway, tmp_path, "workers: 2, crash_barrier: {taint_ms: 4000}")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:

        def whoami() -> int:
            return client.post("/tools/whoami", json={}).json()

        assert client.post("/tools/die", json={}).json()["code"] == "worker_crash"
        died = time.monotonic()
        wait_for(lambda: [w["state"] for w in get(gateway, "/workers")["workers"]] == ["ready"] * 2)
        tainted = {w["pid"]: w["tainted"] for w in get(gateway, "/workers")["workers"]}
        assert sorted(tainted.values()) == [False, True]
        seen = {whoami() for _ in range(20)}
        assert time.monotonic() - died < 4
        assert [tainted[pid] for pid in seen] == [False]
        wait_for(lambda: not any(w["tainted"] for w in get(gateway, "/workers")["workers"]))
        assert time.monotonic() - died > 3.9


def test_what_shares_a_worker_with_a_call_that_sticks_is_told_or_retried(
    start_gateway, tmp_path: Path
) -> None:
    gateway = with_tools(
        start_gateway,
        tmp_path,
        "workers: 1, worker_profile: thread, threads_per_worker: 3, cancel_grace: 300ms",
    )
    answers: Dict[str, Dict[str, Any]] = {}

    def call(name: str, **body: Any) -> threading.Thread:
        def run() -> None:
            answers[name] = httpx.post(gateway.url + "/execute", json=body, timeout=60).json()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    counter = str(tmp_path / "counter")
    threads: List[threading.Thread] = [
        call("innocent", tool="stick", args={"seconds": 30}),
        call("again", tool="count", args={"file": counter, "wait": 30}, idempotent=True),
    ]
    wait_for(lambda: get(gateway, "/pools/default")["inflight"] == 2 and Path(counter).exists())
    threads.append(call("late", tool="stick", args={"seconds": 30}, run_timeout_ms=100))
    for thread in threads:
        thread.join()
    assert answers["late"]["code"] == "worker_timeout"
    assert answers["innocent"]["code"] == "worker_crash"
    assert answers["innocent"]["crash"] == {
        "classification": "killed",
        "signal": "SIGKILL",
        "exit_code": None,
        "reason": "another call on it could not be interrupted",
    }
    assert "could not be interrupted" in answers["innocent"]["detail"]
    assert answers["innocent"]["executed"] == "maybe"
    assert answers["again"]["result"] == 2
    assert get(gateway, "/pools/default/poison")["poison"] == []
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 0


@pytest.mark.parametrize(
    "text, how, classification",
    [
        ("what():  CUDA error: device-side assert triggered", signal.SIGABRT, "gpu"),
        ("NCCL error: unhandled system error", signal.SIGSEGV, "gpu"),
        ("cudaErrorIllegalAddress", 101, "gpu"),
        ("CUDA error: but somebody else killed it", signal.SIGKILL, "killed"),
        ("terminate called after throwing an instance", signal.SIGABRT, "abort"),
        ("nothing of note", 101, "exit"),
    ],
)
def test_the_last_words_of_a_worker_tell_an_error_of_the_gpu(
    start_gateway, tmp_path: Path, text: str, how: int, classification: str
) -> None:
    for profile in ("process", "thread"):
        gateway = with_tools(start_gateway, tmp_path, f"workers: 1, worker_profile: {profile}")
        body = {"text": text, "how": int(how)}
        problem = httpx.post(gateway.url + "/tools/say_and_die", json=body, timeout=30).json()
        assert problem["code"] == "worker_crash"
        assert problem["crash"]["classification"] == classification


def test_a_worker_is_replaced_when_it_wishes(start_gateway, tmp_path: Path) -> None:
    gateway = with_tools(start_gateway, tmp_path, "workers: 1")
    first = httpx.post(gateway.url + "/tools/tire", json={}).json()
    wait_for(lambda: httpx.post(gateway.url + "/tools/whoami", json={}).json() != first)
    counters = get(gateway, "/pools/default")["counters"]
    assert counters["recycled"] == 1
    assert counters["crashes"] == 0


LIMITED = """
import time
from snakepit_bridge import tool

@tool(run_timeout=0.3)
def short(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
"""


def test_a_tools_own_limit_holds_for_its_callers(start_gateway, tmp_path: Path) -> None:
    (tmp_path / "limited.py").write_text(LIMITED)
    gateway = start_gateway("--adapter", "limited", "--workers", "1", env={"PYTHONPATH": str(tmp_path)})
    body = {"tool": "short", "args": {"seconds": 20.0}, "run_timeout_ms": 10000}
    answer = httpx.post(gateway.url + "/execute", json=body, timeout=15)
    assert answer.status_code == 504
    assert answer.json()["code"] == "worker_timeout"
    body["args"]["seconds"] = 0.01
    assert httpx.post(gateway.url + "/execute", json=body).status_code == 200


def test_of_calls_sent_ahead_one_runs(start_gateway, tmp_path: Path) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text("pools: [{name: default, workers: 1, ahead_budget: 10s}]")
    gateway = start_gateway("--config", str(config))
    later = {"prefer": "respond-async"}

    def sleep(seconds: float, headers: dict) -> httpx.Response:
        body = {"tool": "sleep", "args": {"seconds": seconds}}
        return httpx.post(gateway.url + "/execute", json=body, headers=headers)

    assert sleep(0, {}).status_code == 200  # it is measured, and so the next ones are sent ahead
    calls = [sleep(seconds, later).headers["location"] for seconds in (600, 0, 0, 0)]
    wait_for(lambda: get(gateway, calls[0])["state"] == "running")
    states = {"/calls/" + call["request_id"]: call["state"] for call in get(gateway, "/calls")["calls"]}
    alone = [get(gateway, each)["state"] for each in calls]
    assert alone == [states[each] for each in calls] == ["running"] + 3 * ["dispatched"]
    httpx.delete(gateway.url + calls[0])
    wait_for(lambda: all(get(gateway, each)["state"] == "done" for each in calls))


@pytest.mark.parametrize("profile", ["thread", "async"])
def test_of_more_calls_than_slots_those_in_slots_run(start_gateway, tmp_path: Path, profile: str) -> None:
    gateway = with_tools(start_gateway, tmp_path, f"workers: 1, profile: {profile}, slots: 2, cancel_grace: 100ms")
    later = {"prefer": "respond-async"}
    body = {"tool": "stick" if profile == "thread" else "linger", "args": {"seconds": 600}}
    calls = [httpx.post(gateway.url + "/execute", json=body, headers=later).headers["location"] for _ in range(3)]
    wait_for(lambda: [get(gateway, each)["state"] for each in calls] == ["running", "running", "queued"])
    for each in reversed(calls):
        httpx.delete(gateway.url + each)


def test_a_tool_that_takes_longer_than_there_is_time_is_not_run(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    body = {"tool": "sleep", "args": {"seconds": 0.5}}
    assert httpx.post(gateway.url + "/execute", json=body).status_code == 200
    answer = httpx.post(gateway.url + "/execute", json={**body, "timeout_ms": 400})
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_unreachable")
    assert (answer.json()["executed"], answer.headers["retry-after"]) == ("no", "1")
    assert httpx.post(gateway.url + "/execute", json={**body, "timeout_ms": 5000}).status_code == 200


FORKING = """
import os, sys

def fork_and_return() -> dict:
    child = os.fork()
    return {"pid": os.getpid(), "child": child}

def fork_and_exit() -> str:
    if os.fork() == 0:
        sys.exit("the child")
    return "the parent"

def whoami() -> int:
    return os.getpid()
"""


def test_a_child_that_a_tool_forks_does_not_become_a_worker(start_gateway, tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(FORKING)
    gateway = start_gateway("--adapter", "forking", "--workers", "1", env={"PYTHONPATH": str(tmp_path)})
    me = httpx.post(gateway.url + "/tools/whoami", json={}).json()
    for _ in range(10):
        forked = httpx.post(gateway.url + "/tools/fork_and_return", json={}).json()
        assert forked["pid"] == me
        assert forked["child"] > 0
        assert httpx.post(gateway.url + "/tools/fork_and_exit", json={}).json() == "the parent"
        assert httpx.post(gateway.url + "/tools/whoami", json={}).json() == me


LIMITS = "limits: {memory: 8GiB, core: 0, cpu_time: 1h, open_files: 333, processes: 5000}"


@pytest.mark.parametrize("more, tells", [("", "0"), (", no_new_privs: true", "1")])
@pytest.mark.parametrize("spawned", [False, True])
def test_configured_limits_hold_in_workers(
    start_gateway, tmp_path: Path, more: str, tells: str, spawned: bool
) -> None:
    (tmp_path / "threading_code.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    preload = ", preload: threading_code" if spawned else ""  # a thread: what was loaded cannot be forked
    gateway = with_tools(start_gateway, tmp_path, f"workers: 1, {LIMITS}{more}{preload}")
    worker = httpx.post(gateway.url + "/tools/whoami", json={}).json()
    assert ("spawned one by one" in gateway.log()) is spawned
    lines = Path(f"/proc/{worker}/limits").read_text().splitlines()[1:]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max address space"] == [str(8 << 30)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max cpu time"] == ["3600", "3601"]
    assert limits["Max open files"] == ["333", "333"]
    assert limits["Max processes"] == ["5000", "5000"]
    status = Path(f"/proc/{worker}/status").read_text()
    assert f"NoNewPrivs:\t{tells}\n" in status
    assert Path(f"/proc/{gateway.process.pid}/limits").read_text() != Path(f"/proc/{worker}/limits").read_text()


@pytest.mark.parametrize(
    "pool, threads",
    [
        ("workers: 1", 1),
        ("workers: 1, worker_profile: thread", os.cpu_count()),
        ("workers: 1, worker_profile: async", os.cpu_count()),
        ("min_workers: 1, max_workers: 150, worker_profile: thread", 1),
        ("workers: 1, env: {OMP_NUM_THREADS: 7}", 7),
    ],
)
def test_numeric_libraries_get_their_workers_share_of_the_processors(
    start_gateway, tmp_path: Path, pool: str, threads: int
) -> None:
    gateway = with_tools(start_gateway, tmp_path, pool)
    worker = httpx.post(gateway.url + "/tools/whoami", json={}).json()
    environment = Path(f"/proc/{worker}/environ").read_text().split("\0")
    assert f"OMP_NUM_THREADS={threads}" in environment
