"""Workers whose stream to the gateway breaks while their process lives: what callers are told, and when."""

import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import httpx
import pytest
from served import Gateway, wait_for

TOOLS = """
    import ctypes, os, socket, time


    def stream() -> int:
        "The descriptor of the stream to the gateway."
        for name in os.listdir("/proc/self/fd"):
            try:
                with socket.socket(fileno=os.dup(int(name))) as there:
                    if "bridge" in str(there.getpeername()):
                        return int(name)
            except OSError:  # another kind of descriptor
                pass
        raise LookupError("there is no stream")


    def write(data: str, seconds: float) -> str:
        "Writes bytes, as hexadecimal digits, where only gRPC should write."
        os.write(stream(), bytes.fromhex(data))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return "done"


    def cut(seconds: int) -> None:
        "Closes the stream and holds Python's lock, so that nobody in this process can do anything about it."
        os.close(stream())
        ctypes.PyDLL(None).sleep(seconds)


    def hold(seconds: int) -> int:
        "A C call that keeps Python's lock."
        return ctypes.PyDLL(None).sleep(seconds)


    def whoami() -> int:
        return os.getpid()
"""

# What begins like a frame of HTTP/2 of an unknown type, which is to be skipped: 16 KiB with all that follows.
SWALLOWING = "00400062" + "00" * 4 + "01"
ZEROS = "00" * 7000


def start(start_gateway, tmp_path: Path, pool: str) -> Gateway:
    (tmp_path / "breaking.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{name: default, adapter: breaking, {pool}}}]")
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def execute(gateway: Gateway, tool: str, **args: Any) -> Dict[str, Any]:
    answer = httpx.post(gateway.url + "/execute", json={"tool": tool, "args": args}, timeout=60)
    return {"status": answer.status_code, **answer.json()}


def later(gateway: Gateway, answers: Dict[str, Dict[str, Any]], tool: str, **args: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.update({tool: execute(gateway, tool, **args)}))
    thread.start()
    return thread


def get(gateway: Gateway, path: str) -> Dict[str, Any]:
    return httpx.get(gateway.url + path).json()


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
@pytest.mark.parametrize("data", ["67617262616765" * 1000, SWALLOWING, ZEROS], ids=["words", "swallowing", "zeros"])
def test_a_worker_that_writes_garbage_to_its_stream_crashes_soon(
    start_gateway, tmp_path: Path, profile: str, data: str
) -> None:
    gateway = start(start_gateway, tmp_path, f"workers: 1, worker_profile: {profile}")
    first = execute(gateway, "whoami")["result"]
    problem = execute(gateway, "write", data=data, seconds=600)
    assert (problem["status"], problem["code"]) == (502, "worker_crash"), problem
    if problem["crash"]["signal"]:
        assert problem["crash"]["reason"] == "its stream to the gateway is broken"
    assert execute(gateway, "whoami")["result"] != first
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 1


def test_an_answer_that_was_swallowed_on_its_way_is_given(start_gateway, tmp_path: Path) -> None:
    gateway = start(start_gateway, tmp_path, "workers: 1")
    first = execute(gateway, "whoami")["result"]
    assert execute(gateway, "write", data=SWALLOWING, seconds=0)["result"] == "done"
    assert execute(gateway, "whoami")["result"] != first
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 1


def test_a_worker_whose_stream_ends_but_whose_process_lives_is_ended_and_replaced(
    start_gateway, tmp_path: Path
) -> None:
    gateway = start(start_gateway, tmp_path, "workers: 1")
    first = execute(gateway, "whoami")["result"]
    problem = execute(gateway, "cut", seconds=600)
    assert problem["code"] == "worker_crash"
    assert problem["crash"] == {
        "classification": "killed",
        "signal": "SIGKILL",
        "exit_code": None,
        "reason": "its stream to the gateway ended",
    }
    assert execute(gateway, "whoami")["result"] != first
    wait_for(lambda: not Path(f"/proc/{first}").exists())
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 1


def test_a_worker_without_a_stream_is_given_no_calls(start_gateway, tmp_path: Path) -> None:
    """Others take them at once, though it has free slots, and its process is still there for a while."""
    gateway = start(start_gateway, tmp_path, "workers: 2, worker_profile: thread, threads_per_worker: 4")
    answers: Dict[str, Dict[str, Any]] = {}

    def states() -> List[str]:
        return sorted(worker["state"] for worker in get(gateway, "/workers")["workers"])

    threads = [later(gateway, answers, "cut", seconds=600)]
    wait_for(lambda: states() == ["draining", "ready"])
    before = get(gateway, "/pools/default")["counters"]["requeued"]
    threads.append(later(gateway, answers, "write", data="", seconds=1))
    pids = {execute(gateway, "whoami")["result"] for _ in range(20)}
    for thread in threads:
        thread.join()
    assert answers["cut"]["code"] == "worker_crash"
    assert answers["write"]["result"] == "done"
    assert len(pids) == 1
    assert get(gateway, "/pools/default")["counters"]["requeued"] == before


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_a_worker_that_stalls_for_kill_after_is_killed_and_its_call_told_why(
    start_gateway, tmp_path: Path, profile: str
) -> None:
    heartbeat = "heartbeat: {interval: 100ms, stall_after: 300ms, kill_after: 2s}"
    gateway = start(start_gateway, tmp_path, f"workers: 1, worker_profile: {profile}, {heartbeat}")
    first = execute(gateway, "whoami")["result"]
    assert execute(gateway, "write", data="", seconds=3)["result"] == "done"  # busy, not stalled
    begun = time.monotonic()
    problem = execute(gateway, "hold", seconds=600)
    assert time.monotonic() - begun >= 2
    assert problem["code"] == "worker_crash"
    assert problem["executed"] == "maybe"
    assert problem["crash"] == {
        "classification": "killed",
        "signal": "SIGKILL",
        "exit_code": None,
        "reason": "it did not answer pings for heartbeat.kill_after",
    }
    assert execute(gateway, "whoami")["result"] != first
    wait_for(lambda: not Path(f"/proc/{first}").exists())
    assert get(gateway, "/pools/default")["counters"]["crashes"] == 1
    poison = get(gateway, "/pools/default/poison")["poison"]
    assert [(entry["tool"], entry["kills"]) for entry in poison] == [("hold", 1)]
