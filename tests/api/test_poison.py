"""Requests that kill their workers: how many workers each may kill, who else is blamed, and what that costs others."""

import textwrap
import threading
import time
from pathlib import Path
from typing import List

import httpx
from served import wait_for

TOOLS = """
    import os
    import signal
    import time
    from pathlib import Path


    def kill(number: int = 0) -> None:
        "Dies of a segfault."
        with open(Path(__file__).with_name("deaths"), "a") as file:
            file.write(f"{number}\\n")
        os.kill(os.getpid(), signal.SIGSEGV)
        signal.pause()


    def wait(file: str) -> str:
        "Returns when there is such a file."
        while not Path(file).exists():
            time.sleep(0.005)
        return "served"


    def echo(text: str) -> str:
        return text
"""


def start(start_gateway, tmp_path: Path, pool: str):
    (tmp_path / "killers.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{adapter: killers, {pool}}}]\n")
    return start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})


def deaths(tmp_path: Path) -> int:
    path = tmp_path / "deaths"
    return len(path.read_text().splitlines()) if path.exists() else 0


class Later:
    """A call in a thread of its own."""

    def __init__(self, url: str, tool: str, **args: object) -> None:
        self.answer = httpx.Response(0)
        self._url, self._body = url + "/execute", {"tool": tool, "args": args}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.answer = httpx.post(self._url, json=self._body, timeout=60)

    def code(self) -> str:
        """Of the problem, or "result"."""
        self._thread.join()
        return self.answer.json().get("code", "result")


def test_queued_copies_of_a_killer_stop_at_poison_after(start_gateway, tmp_path: Path) -> None:
    gateway = start(start_gateway, tmp_path, "workers: 1, poison_after: 2")
    go = tmp_path / "go"
    first = Later(gateway.url, "wait", file=str(go))
    wait_for(lambda: httpx.get(gateway.url + "/pools/default").json()["inflight"] == 1)
    copies = [Later(gateway.url, "kill") for _ in range(8)]
    wait_for(lambda: httpx.get(gateway.url + "/pools/default").json()["queue"]["depth"] == 8)
    good = Later(gateway.url, "echo", text="good")
    go.touch()
    assert first.code() == "result"
    codes = [copy.code() for copy in copies]
    assert sorted(codes) == ["poison_request"] * 6 + ["worker_crash"] * 2
    refused = [copy.answer for copy in copies if copy.code() == "poison_request"]
    assert {(answer.status_code, answer.json()["executed"]) for answer in refused} == {(422, "no")}
    assert good.code() == "result"
    assert deaths(tmp_path) == 2


def test_only_the_killer_is_refused_when_calls_run_side_by_side(start_gateway, tmp_path: Path) -> None:
    gateway = start(start_gateway, tmp_path, "workers: 1, profile: thread, slots: 4, breaker: {threshold: 0}")
    url, go = gateway.url, tmp_path / "go"
    codes: List[str] = []
    for number in range(3):
        others = [Later(url, "wait", file=str(go)) for _ in range(3)]
        wait_for(lambda: httpx.get(url + "/pools/default").json()["inflight"] == 3)
        killer = Later(url, "kill")
        codes.append(killer.code())
        assert [other.code() for other in others] == ["worker_crash"] * 3
        listed = httpx.get(url + "/pools/default/poison").json()["poison"]
        assert {each["tool"]: each["kills"] for each in listed} == {"wait": 1, "kill": number + 1}
        go.touch()
        assert Later(url, "wait", file=str(go)).code() == "result"
        go.unlink()
    assert codes == ["worker_crash"] * 3
    assert [each["tool"] for each in httpx.get(url + "/pools/default/poison").json()["poison"]] == ["kill"]
    assert Later(url, "kill").code() == "poison_request"
    assert deaths(tmp_path) == 3


def test_a_pool_whose_workers_die_of_their_first_call_says_so_and_slows_down(start_gateway, tmp_path: Path) -> None:
    gateway = start(start_gateway, tmp_path, "workers: 1, poison_after: 0, breaker: {threshold: 0}")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        seen, reasons = set(), []
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            answer = client.post("/tools/kill", json={"number": len(seen)})
            seen.add(answer.json()["code"])
            if answer.json()["code"] == "no_workers_available":
                reasons.append(client.get("/readyz?verbose").text)  # of a moment later: the next one may be there
        assert seen == {"worker_crash", "no_workers_available"}
        assert any("workers end before they have answered anything (segfault 11)" in each for each in reasons)
        # At once, and then after 50, 100, 200, 400, 800 and 1,600 ms: 7 at most in 3 s.
        assert deaths(tmp_path) <= 8
        wait_for(lambda: client.post("/tools/echo", json={"text": "well"}).status_code == 200)
        assert client.get("/pools/default").json()["state"] == "running"
