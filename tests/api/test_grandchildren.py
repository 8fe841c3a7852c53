"""What tools start ends with their worker, in whatever session or group; and with the gateway, however that ends."""

import os
import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import httpx
import pytest
from served import Gateway, wait_for

TOOLS = """
    import os
    import signal
    import subprocess
    import time
    from pathlib import Path


    def sleeper(**how) -> int:
        return subprocess.Popen(["sleep", "600"], **how).pid


    def forked(leave) -> int:
        "A child that runs no other program."
        child = os.fork()
        if child == 0:
            leave()
            while True:
                signal.pause()
        return child


    def daemon() -> int:
        "A program whose parent is gone."
        shell = ["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]
        return int(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)


    def start(together: str, count: int) -> dict:
        "Answers when so many workers have been called."
        found = [
            sleeper(),
            sleeper(start_new_session=True),
            sleeper(preexec_fn=os.setpgrp),
            forked(os.setsid),
            daemon(),
        ]
        Path(together, str(os.getpid())).touch()
        while len(os.listdir(together)) < count:
            time.sleep(0.002)
        return {"pid": os.getpid(), "children": found}
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_dead(pids: List[int]) -> None:
    wait_for(lambda: not any(map(is_alive, pids)))


def start(start_gateway, tmp_path: Path, *args: str) -> Gateway:
    (tmp_path / "starting.py").write_text(textwrap.dedent(TOOLS))
    return start_gateway("--adapter", "starting", *args, env={"PYTHONPATH": str(tmp_path)})


def call_start(gateway: Gateway, tmp_path: Path, count: int):
    together = tmp_path / "together"
    together.mkdir(exist_ok=True)
    args = {"together": str(together), "count": count}
    return httpx.post(f"{gateway.url}/tools/start", json=args, timeout=60).json()


@pytest.mark.parametrize("end", ["crash", "kill", "recycle"])
def test_what_a_tool_has_started_ends_with_its_worker(start_gateway, tmp_path: Path, end: str) -> None:
    gateway = start(start_gateway, tmp_path, "--workers", "2")
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: call_start(gateway, tmp_path, 2), range(2)))
    (one, ones), (other, others) = [(each["pid"], each["children"]) for each in found]
    assert one != other
    if end == "recycle":
        ids = {worker["pid"]: worker["id"] for worker in httpx.get(gateway.url + "/workers").json()["workers"]}
        assert httpx.post(f"{gateway.url}/workers/{ids[one]}/recycle").status_code < 300
    else:
        os.kill(one, signal.SIGSEGV if end == "crash" else signal.SIGKILL)
    wait_dead([one, *ones])
    assert all(map(is_alive, others))


@pytest.mark.parametrize("how", ["in order", "killed", "killed with its warden"])
def test_what_a_tool_has_started_ends_with_the_gateway(start_gateway, tmp_path: Path, how: str) -> None:
    (tmp_path / "starting.py").write_text(textwrap.dedent(TOOLS))
    arguments = ("--adapter", "starting", "--workers", "1", "--instance", f"t{os.getpid()}")
    gateway = Gateway(*arguments, env={"PYTHONPATH": str(tmp_path)})
    try:
        found = call_start(gateway, tmp_path, 1)
        children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
        wardens = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "snakepit-warden\n"]
        if how == "in order":
            gateway.stop()
        else:
            for warden in wardens if how != "killed" else []:
                os.kill(int(warden), signal.SIGKILL)
            gateway.process.kill()
            gateway.process.wait()
    finally:
        gateway.kill()
    if how == "killed with its warden":
        start_gateway(*arguments, env={"PYTHONPATH": str(tmp_path)})
    wait_dead([found["pid"], *found["children"]])
