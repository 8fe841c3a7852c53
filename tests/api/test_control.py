"""What an operator sees and does, where Python is the easier language: changed code, several pools,
workers that do not answer."""

import os
import re
import resource
import signal
import textwrap
import threading
from pathlib import Path
from typing import Any, Dict, List

import httpx
import pytest
from served import wait_for

CODE = """
from snakepit_bridge import tool

@tool
def version() -> int:
    return {number}
"""


def get(gateway, path: str) -> Dict[str, Any]:
    answer = httpx.get(gateway.url + path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def configured(start_gateway, tmp_path: Path, text: str):
    """A gateway with this configuration file."""
    config = tmp_path / "snakepit.yaml"
    config.write_text(textwrap.dedent(text))
    return start_gateway("--config", str(config))


def test_a_reload_picks_up_changed_code(start_gateway, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    module.write_text(CODE.format(number=1))
    gateway = start_gateway(
        "--workers", "2", "--adapter", "changing", env={"PYTHONPATH": str(tmp_path)}
    )
    seen, failed, stop = set(), [], threading.Event()

    def call() -> None:
        with httpx.Client(base_url=gateway.url, timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/tools/version", json={})
                seen.add(answer.text)
                if answer.status_code != 200:
                    failed.append(answer.text)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: "1" in seen)
    module.write_text(CODE.format(number=20))
    assert httpx.post(gateway.url + "/pools/default/reload").status_code == 202
    took = wait_for(lambda: get(gateway, "/pools/default")["counters"]["recycled"] == 2)
    stop.set()
    for thread in threads:
        thread.join()
    print(f"two workers with new code after {1000 * took:.0f} ms")
    assert not failed, failed[0]
    assert seen == {"1", "20"}
    answers = {httpx.post(gateway.url + "/tools/version", json={}).text for _ in range(10)}
    assert answers == {"20"}


def test_a_reload_of_broken_code_changes_nothing_and_is_logged(
    start_gateway, tmp_path: Path
) -> None:
    module = tmp_path / "breaking.py"
    module.write_text(CODE.format(number=1))
    gateway = start_gateway(
        "--workers", "1", "--adapter", "breaking", env={"PYTHONPATH": str(tmp_path)}
    )
    module.write_text("import no_such_module")
    assert httpx.post(gateway.url + "/pools/default/reload").status_code == 202
    wait_for(lambda: get(gateway, "/pools/default")["reload"]["state"] == "failed")
    assert "no_such_module" in get(gateway, "/pools/default")["reload"]["last_error"]
    assert gateway.log().count("no_such_module") == 1
    assert gateway.log().count("pool not reloaded") == 1
    assert httpx.post(gateway.url + "/tools/version", json={}).text == "1"
    pool = get(gateway, "/pools/default")
    assert (pool["state"], pool["counters"]["recycled"]) == ("running", 0)


def test_reloads_during_a_reload_become_one_that_follows(start_gateway, tmp_path: Path) -> None:
    """The second picks up what was written after the first had begun to load."""
    module = tmp_path / "following.py"
    module.write_text(CODE.format(number=1))
    gateway = start_gateway(
        "--workers", "2", "--adapter", "following", env={"PYTHONPATH": str(tmp_path)}
    )
    assert get(gateway, "/pools/default")["reload"] == {"state": "none", "pending": False}
    waiting = "import time\nfrom pathlib import Path\n\nhere = Path(__file__).parent\n(here / 'read').touch()\n"
    waiting += "while not (here / 'go').exists():\n    time.sleep(0.002)\n"
    module.write_text(waiting + CODE.format(number=20))
    reload_url = gateway.url + "/pools/default/reload"
    assert httpx.post(reload_url).status_code == 202
    wait_for((tmp_path / "read").exists)
    assert get(gateway, "/pools/default")["reload"]["state"] == "loading"
    module.write_text(CODE.format(number=300))
    for _ in range(5):
        assert httpx.post(reload_url).status_code == 202
    assert get(gateway, "/pools/default")["reload"]["pending"]
    (tmp_path / "go").touch()
    wait_for(lambda: httpx.post(gateway.url + "/tools/version", json={}).text == "300")
    wait_for(lambda: get(gateway, "/pools/default")["reload"]["state"] == "done")
    assert not get(gateway, "/pools/default")["reload"]["pending"]
    assert gateway.log().count("code reloaded") == 2


def test_a_stalled_worker_is_shown_and_not_killed(start_gateway, tmp_path: Path) -> None:
    """A C call that keeps Python's lock: pings stay unanswered until it returns. Snakepit 73."""
    (tmp_path / "holding.py").write_text(
        "import ctypes\n\ndef hold(seconds: int) -> int:\n"
        "    return ctypes.PyDLL(None).sleep(seconds)\n"
    )
    (tmp_path / "snakepit.yaml").write_text(
        "pools: [{name: default, adapter: holding, workers: 1,"
        " heartbeat: {interval: 100ms, stall_after: 300ms}}]"
    )
    config = str(tmp_path / "snakepit.yaml")
    gateway = start_gateway("--config", config, env={"PYTHONPATH": str(tmp_path)})
    answers = []
    body = {"tool": "hold", "args": {"seconds": 3}}
    thread = threading.Thread(
        target=lambda: answers.append(httpx.post(gateway.url + "/execute", json=body, timeout=30))
    )
    assert not get(gateway, "/workers/default-1")["stalled"]
    thread.start()
    wait_for(lambda: get(gateway, "/workers/default-1")["stalled"])
    thread.join()
    assert answers[0].status_code == 200, answers[0].text
    wait_for(lambda: not get(gateway, "/workers/default-1")["stalled"])


def test_a_stalled_worker_that_has_no_calls_is_replaced(start_gateway, tmp_path: Path) -> None:
    """Nothing would end it, and a pool of one would never answer again."""
    gateway = configured(
        start_gateway,
        tmp_path,
        """
        pools:
          - {name: default, workers: 1, cancel_grace: 500ms, heartbeat: {interval: 100ms, stall_after: 300ms}}
        """,
    )
    pid = get(gateway, "/workers/default-1")["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: get(gateway, "/pools/default")["workers"]["stalled"] == 1)
    answer = httpx.post(gateway.url + "/tools/echo", json={"text": "there"}, timeout=20)
    assert answer.status_code == 200, answer.text
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    counters = get(gateway, "/pools/default")["counters"]
    assert (counters["crashes"], counters["recycled"]) == (0, 1)


@pytest.mark.parametrize("workers", ["workers: 2", "min_workers: 2, max_workers: 3"])
def test_with_nothing_but_stalled_workers_only_a_pool_that_grows_is_ready(
    start_gateway, tmp_path: Path, workers: str
) -> None:
    heartbeat = "heartbeat: {interval: 100ms, stall_after: 300ms}"
    (tmp_path / "snakepit.yaml").write_text(f"pools: [{{adapter: holder.Holder, {workers}, {heartbeat}}}]")
    gateway = start_gateway("--config", str(tmp_path / "snakepit.yaml"))
    go = tmp_path / "go"
    body = {"tool": "wait", "args": {"file": str(go)}}
    stopped: List[int] = []
    wait_for(lambda: get(gateway, "/pools/default")["workers"]["ready"] == 2)
    for number in (1, 2):
        httpx.post(gateway.url + "/execute", json=body, headers={"prefer": "respond-async"})
        wait_for(lambda: get(gateway, "/pools/default")["inflight"] == number)
        busy = [each["pid"] for each in get(gateway, "/workers")["workers"] if each["inflight"]]
        stopped += [pid for pid in busy if pid not in stopped]
        os.kill(stopped[-1], signal.SIGSTOP)
        wait_for(lambda: get(gateway, "/pools/default")["workers"]["stalled"] == number)
        grows = workers != "workers: 2"
        expected = 200 if number == 1 or grows else 503
        answer = httpx.get(gateway.url + "/readyz", params={"verbose": ""})
        assert answer.status_code == expected, answer.text
        assert f"2 of 2 workers ready, {number} of them stalled" in answer.text
    if grows:
        assert httpx.post(gateway.url + "/tools/echo", json={}).status_code == 200
        assert get(gateway, "/pools/default")["workers"]["stalled"] == 2
    go.touch()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: httpx.get(gateway.url + "/readyz").status_code == 200)


def test_pools_are_shown_each_for_itself(start_gateway, tmp_path: Path) -> None:
    gateway = configured(
        start_gateway,
        tmp_path,
        """
        pools:
          - {name: main, workers: 1, breaker: {threshold: 2, open_for: 3s}}
          - {name: other, adapter: functions, min_workers: 1, max_workers: 3}
          - {name: broken, adapter: nothing_here, workers: 1}
        """,
    )
    pools = {each["name"]: each for each in get(gateway, "/pools")["pools"]}
    assert set(pools) == {"main", "other", "broken"}
    assert pools["broken"]["state"] == "failed"
    assert "nothing_here" in pools["broken"]["reason"]
    assert (pools["other"]["min"], pools["other"]["max"]) == (1, 3)
    ids = {each["id"] for each in get(gateway, "/workers")["workers"]}
    assert {"main-1", "other-1"} <= ids
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        named = client.post("/execute", json={"tool": "greet", "pool": "main"})
        assert named.json()["code"] == "tool_not_found"
        named = client.post("/execute", json={"tool": "any", "pool": "broken"})
        assert (named.status_code, named.json()["code"]) == (503, "no_workers_available")
        for code in range(2):
            client.post("/tools/crash", json={"how": "exit", "code": code})
        assert client.post("/tools/echo", json={}).json()["code"] == "circuit_open"
        assert client.post("/tools/greet", json={"name": "you"}).status_code == 200
        states = [get(gateway, f"/pools/{name}")["breaker"]["state"] for name in ("main", "other")]
        assert states == ["open", "closed"]
        wait_for(lambda: client.post("/tools/echo", json={}).status_code == 200)
        assert get(gateway, "/pools/main")["breaker"] == {"state": "closed", "opened": 1}


def test_a_tool_of_two_pools_is_that_of_the_first_whichever_starts_first(
    start_gateway, tmp_path: Path
) -> None:
    """The first pool is slow to load; the second has the name until then."""
    slow = "import time\ntime.sleep(1.5)\n" + CODE.format(number=1)
    (tmp_path / "slow_pool.py").write_text(slow)
    (tmp_path / "quick_pool.py").write_text(CODE.format(number=2))
    config = tmp_path / "snakepit.yaml"
    config.write_text(
        "pools: [{name: slow, adapter: slow_pool, workers: 1},"
        " {name: quick, adapter: quick_pool, workers: 2}]"
    )
    gateway = start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})
    wait_for(lambda: get(gateway, "/tools/version").get("also_in") == ["quick"])
    assert get(gateway, "/tools/version")["pool"] == "slow"
    assert [each["name"] for each in get(gateway, "/tools")["tools"]] == ["version"]
    answers = {
        pool: httpx.post(gateway.url + "/execute", json={"tool": "version", **pool_of}).json()
        for pool, pool_of in {"": {}, "slow": {"pool": "slow"}, "quick": {"pool": "quick"}}.items()
    }
    assert {pool: answer["result"] for pool, answer in answers.items()} == {
        "": 1,
        "slow": 1,
        "quick": 2,
    }
    reports = [line for line in gateway.log().splitlines() if "tools of several pools" in line]
    assert len(reports) == 1, reports
    assert '"tools":"version (slow)"' in reports[0]


def test_the_table_of_descriptors_has_room_for_all_connections_from_the_start(gateway) -> None:
    """A process with threads that enlarges it waits for every processor, seconds long when they are busy."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(re.search(r"FDSize:\s+(\d+)", status)[1]) >= min(10_000 + 4096, hard - 1)
