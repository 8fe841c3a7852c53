"""Workers that are forked from a warm one: what it saves, and what is in its way."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import httpx
from served import wait_for

MIB = 1 << 20
WORKERS, CALLERS = 4, 10

CACHING = """
import os, threading, time
from snakepit_bridge import BaseAdapter, tool


class Caching(BaseAdapter):
    cache = None
    forks = 0

    def after_fork(self):
        self.forks += 1

    @tool
    def look_up(self) -> dict:
        loaded = self.cache is None
        if loaded:
            self.cache = os.urandom(30 << 20)
        time.sleep(0.01)
        return {"pid": os.getpid(), "loaded": loaded, "forks": self.forks}

    @tool
    def start_a_thread(self) -> None:
        threading.Thread(target=time.sleep, args=(600,), name="sleeper", daemon=True).start()
"""


def start(start_gateway, tmp_path: Path, options: str = ""):
    (tmp_path / "caching.py").write_text(CACHING)
    config = tmp_path / "snakepit.yaml"
    config.write_text(
        f"pools: [{{name: default, adapter: caching.Caching, workers: {WORKERS}, {options}}}]"
    )
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def get(gateway, path: str) -> Dict[str, Any]:
    answer = httpx.get(gateway.url + path, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for_refork(gateway, state: str) -> Dict[str, Any]:
    wait_for(lambda: get(gateway, "/pools/default")["refork"]["state"] == state)
    wait_for(lambda: get(gateway, "/pools/default")["workers"]["draining"] == 0)
    return get(gateway, "/pools/default")["refork"]


def call_all(gateway, calls: int) -> List[Dict[str, Any]]:
    """So many calls, more at once than there are workers; none may fail."""
    answers: List[Dict[str, Any]] = []
    faults: List[str] = []

    def call() -> None:
        with httpx.Client(base_url=gateway.url, timeout=30) as client:
            for _ in range(calls // CALLERS):
                answer = client.post("/tools/look_up", json={})
                if answer.status_code == 200:
                    answers.append(answer.json())
                else:
                    faults.append(answer.text)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[0]
    return answers


def proportional_mib(gateway) -> float:
    ids = [each["id"] for each in get(gateway, "/workers")["workers"]]
    assert len(ids) == WORKERS
    return sum(get(gateway, f"/workers/{each}")["proportional_bytes"] for each in ids) / MIB


def test_workers_forked_from_a_warm_one_share_its_cache(start_gateway, tmp_path: Path) -> None:
    plain = start(start_gateway, tmp_path)
    call_all(plain, 200)
    before = proportional_mib(plain)
    assert get(plain, "/pools/default")["refork"] == {"state": "none", "pending": False}

    gateway = start(start_gateway, tmp_path, "recycle: {refork_after: 20}")
    call_all(gateway, 200)
    assert "last_error" not in wait_for_refork(gateway, "done")
    answers = call_all(gateway, 200)
    after = proportional_mib(gateway)
    print(
        f"proportional memory of {WORKERS} workers with a cache of 30 MiB:"
        f" {before:.0f} MiB, forked from a warm one {after:.0f} MiB"
    )
    assert len({each["pid"] for each in answers}) == WORKERS
    assert {(each["loaded"], each["forks"]) for each in answers} == {(False, 1)}
    assert after < before - (WORKERS - 2) * 30
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 0


def test_a_worker_with_threads_is_not_forked_from_and_the_pool_says_why(
    start_gateway, tmp_path: Path
) -> None:
    gateway = start(start_gateway, tmp_path, "recycle: {refork_after: 20}")
    for _ in range(19):
        httpx.post(gateway.url + "/tools/start_a_thread", json={})
    call_all(gateway, 200)
    assert "'sleeper'" in wait_for_refork(gateway, "failed")["last_error"]
    assert gateway.log().count("cannot be forked from a warm one") == 1
    call_all(gateway, 200)
    pool = get(gateway, "/pools/default")
    assert (pool["counters"]["crashes"], pool["workers"]["ready"]) == (0, WORKERS)
    assert pool["counters"]["recycled"] == 1


def test_changed_code_is_loaded_after_workers_were_forked_from_a_warm_one(
    start_gateway, tmp_path: Path
) -> None:
    """The reload starts from a fresh process, whose place a warm worker then takes again."""
    gateway = start(start_gateway, tmp_path, "recycle: {refork_after: 20}")
    call_all(gateway, 200)
    first = wait_for_refork(gateway, "done")["at"]
    (tmp_path / "caching.py").write_text(CACHING.replace("forks = 0", "forks = 1000"))
    assert httpx.post(gateway.url + "/pools/default/reload").status_code == 202
    wait_for(lambda: get(gateway, "/pools/default")["reload"]["state"] == "done")
    time.sleep(1)  # `at` has whole seconds
    assert {each["forks"] // 1000 for each in call_all(gateway, 200)} == {1}
    wait_for(lambda: get(gateway, "/pools/default")["refork"]["at"] > first)
    wait_for_refork(gateway, "done")
    assert {each["forks"] for each in call_all(gateway, 40)} == {1001}


def start_one(start_gateway, tmp_path: Path, refork_after: int):
    """A worker, whose replacement is there at once."""
    (tmp_path / "caching.py").write_text(CACHING)
    options = f"workers: 1, recycle: {{refork_after: {refork_after}}}"
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{name: default, adapter: caching.Caching, {options}}}]")
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def test_a_worker_that_is_warm_before_the_old_process_has_gone_is_not_the_last_one(
    start_gateway, tmp_path: Path
) -> None:
    gateway = start_one(start_gateway, tmp_path, 1)
    with httpx.Client(base_url=gateway.url, timeout=30) as client:

        def is_reforked() -> bool:
            assert client.post("/tools/look_up", json={}).status_code == 200
            found = client.get("/pools/default").json()["refork"]
            return found["state"] == "done" and found["at"] > before

        before = ""
        for _ in range(3):
            wait_for(is_reforked)
            before = client.get("/pools/default").json()["refork"]["at"]
            assert client.post("/pools/default/reload").status_code == 202


def test_a_warm_worker_has_as_long_to_let_go_of_its_stream_as_a_process_has_to_load(
    start_gateway, tmp_path: Path
) -> None:
    gateway = start_one(start_gateway, tmp_path, 3)
    warm = [httpx.post(gateway.url + "/tools/look_up", json={}).json()["pid"] for _ in range(3)][0]
    os.kill(warm, signal.SIGSTOP)
    try:
        wait_for(lambda: get(gateway, "/pools/default")["workers"]["draining"] == 1)
        time.sleep(3)  # more than stop_grace
    finally:
        os.kill(warm, signal.SIGCONT)
    assert "last_error" not in wait_for_refork(gateway, "done")
    assert not httpx.post(gateway.url + "/tools/look_up", json={}).json()["loaded"]


SLOW = """
import os, time
from snakepit_bridge import BaseAdapter, tool

VERSION = 1
time.sleep(0.5)


class Slow(BaseAdapter):
    def initialize(self):
        time.sleep(0.5)

    @tool
    def look(self) -> dict:
        return {"pid": os.getpid(), "version": VERSION}
"""


def count_children(process: int) -> int:
    """Of all its threads."""
    return sum(len(each.read_text().split()) for each in Path(f"/proc/{process}/task").glob("*/children"))


def test_a_reload_while_the_warm_worker_still_lets_go_of_its_stream_takes_its_place(
    start_gateway, tmp_path: Path
) -> None:
    """Else the warm one were forgotten: workers of the old code, and a process that nobody ends."""
    (tmp_path / "slow.py").write_text(SLOW)
    config = tmp_path / "snakepit.yaml"
    config.write_text("pools: [{name: default, adapter: slow.Slow, workers: 1, recycle: {refork_after: 3}}]")
    gateway = start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})

    def look() -> Dict[str, Any]:
        return httpx.post(gateway.url + "/tools/look", json={}, timeout=30).json()

    processes = count_children(gateway.process.pid)
    warm = [look()["pid"] for _ in range(3)][0]
    os.kill(warm, signal.SIGSTOP)  # its replacement is not ready for another half a second
    wait_for(lambda: get(gateway, "/pools/default")["workers"]["draining"] == 1)
    (tmp_path / "slow.py").write_text(SLOW.replace("VERSION = 1", "VERSION = 22"))
    assert httpx.post(gateway.url + "/pools/default/reload").status_code == 202
    wait_for(lambda: get(gateway, "/pools/default")["reload"]["state"] == "loading")
    os.kill(warm, signal.SIGCONT)
    wait_for(lambda: get(gateway, "/pools/default")["reload"]["state"] == "done")
    wait_for(lambda: get(gateway, "/pools/default")["workers"]["draining"] == 0)
    assert [look()["version"] for _ in range(9)] == [22] * 9
    wait_for_refork(gateway, "done")
    assert [look()["version"] for _ in range(9)] == [22] * 9
    wait_for(lambda: count_children(gateway.process.pid) == processes)
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 0
