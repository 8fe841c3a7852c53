"""What runs when the gateway has to go: it is stopped down to the Python frame, whose `finally` runs."""

import signal
import textwrap
import threading
from pathlib import Path
from typing import Dict, List

import httpx
import pytest
from served import wait_for

TOOLS = """
    import asyncio
    import time
    from pathlib import Path

    from snakepit_bridge import Cancelled


    def note(path: str, line: str) -> None:
        with open(path, "a") as file:
            file.write(line + "\\n")


    def spin(path: str, name: str) -> None:
        note(path, f"{name} begun")
        try:
            while True:
                time.sleep(0.005)
        except BaseException as error:
            note(path, f"{name} {type(error).__name__} {issubclass(type(error), Cancelled)}")
            raise
        finally:
            note(path, f"{name} finally")


    async def rest(path: str, name: str) -> None:
        note(path, f"{name} begun")
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            note(path, f"{name} CancelledError")
            raise
        finally:
            note(path, f"{name} finally")


    def drip(path: str, name: str):
        note(path, f"{name} begun")
        try:
            while True:
                yield 1
                time.sleep(0.005)
        finally:
            note(path, f"{name} finally")


    async def seep(path: str, name: str):
        note(path, f"{name} begun")
        try:
            while True:
                yield 1
                await asyncio.sleep(0.005)
        finally:
            note(path, f"{name} finally")
"""

PROFILES = [("process", 2, "spin"), ("thread", 1, "spin"), ("async", 1, "rest"), ("async", 1, "spin")]


def read(path: Path) -> List[str]:
    return path.read_text().splitlines() if path.exists() else []


def start(start_gateway, tmp_path: Path, profile: str, workers: int, drain: str):
    (tmp_path / "leaving_tools.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    pool = f"{{adapter: leaving_tools, workers: {workers}, profile: {profile}, stop_grace: 120s}}"
    config.write_text(f"drain_timeout: {drain}\npools: [{pool}]\n")
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def send(url: str, tool: str, ledger: Path, name: str, answers: Dict[str, httpx.Response]) -> threading.Thread:
    def run() -> None:
        body = {"tool": tool, "args": {"path": str(ledger), "name": name}}
        answers[name] = httpx.post(url, json=body, timeout=60)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("profile, workers, tool", PROFILES)
@pytest.mark.parametrize("hurried", [False, True], ids=["drain_timeout", "second_signal"])
def test_what_runs_when_the_gateway_goes_is_cancelled_down_to_its_frame(
    start_gateway, tmp_path: Path, profile: str, workers: int, tool: str, hurried: bool
) -> None:
    ledger = tmp_path / "ledger"
    gateway = start(start_gateway, tmp_path, profile, workers, "60s" if hurried else "300ms")
    answers: Dict[str, httpx.Response] = {}
    threads = [send(gateway.url + "/execute", tool, ledger, name, answers) for name in ("a", "b")]
    wait_for(lambda: len(read(ledger)) == 2)
    gateway.process.send_signal(signal.SIGTERM)
    if hurried:
        wait_for(lambda: '"draining"' in gateway.log())
        gateway.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert gateway.process.wait(60) == 0, "the workers were waited for"
    cancelled = "CancelledError" if tool == "rest" else "Cancelled True"
    for name in ("a", "b"):
        assert answers[name].status_code == 503
        assert (answers[name].json()["code"], answers[name].json()["executed"]) == ("shutting_down", "maybe")
        told = [line for line in read(ledger) if line.startswith(name)]
        assert told == [f"{name} begun", f"{name} {cancelled}", f"{name} finally"]


@pytest.mark.parametrize("profile, tool", [("process", "drip"), ("thread", "drip"), ("async", "seep")])
def test_a_stream_that_runs_when_the_gateway_goes_is_closed(
    start_gateway, tmp_path: Path, profile: str, tool: str
) -> None:
    ledger = tmp_path / "ledger"
    gateway = start(start_gateway, tmp_path, profile, 1, "300ms")
    answers: Dict[str, httpx.Response] = {}
    thread = send(gateway.url + "/stream", tool, ledger, "a", answers)
    wait_for(lambda: len(read(ledger)) == 1)
    gateway.process.send_signal(signal.SIGTERM)
    thread.join()
    assert gateway.process.wait(60) == 0
    assert "shutting_down" in answers["a"].text
    assert read(ledger) == ["a begun", "a finally"]
