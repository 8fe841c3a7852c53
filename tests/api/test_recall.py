"""Calls that were sent ahead to a worker, whose tool then takes longer than it ever did: others run them."""

import itertools
import json
import os
import random
import signal
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import httpx
import pytest
from served import Gateway, memory_descriptors, wait_for

TOOLS = """
    import asyncio
    import os
    import time
    from pathlib import Path

    from snakepit_bridge import BaseAdapter, parcel, tool


    class Waiting(BaseAdapter):
        @tool
        def touch(self, file: str, until: str = "") -> int:
            "Adds a line to the file; waits for the other one to be there. Says which process it was."
            with open(file, "a") as marks:
                marks.write("x\\n")
            while until and not Path(until).exists():
                time.sleep(0.001)
            return os.getpid()

        @tool
        async def atouch(self, file: str, until: str = "") -> int:
            with open(file, "a") as marks:
                marks.write("x\\n")
            while until and not Path(until).exists():
                await asyncio.sleep(0.001)
            return os.getpid()

        @tool
        def measure(self, body: bytes) -> int:
            return len(body)

        @tool(supports_streaming=True)
        def count(self, n: int):
            yield from range(n)


    class Parted(Waiting):
        def initialize(self):
            parcel.close_channel()
"""

NDJSON = "application/x-ndjson"
SHORT = "ahead_budget: 150ms, recall_after: 50ms"  # calls are recalled a fifth of a second after they were sent
PROFILES = {"process": ("touch", 1), "thread": ("touch", 2), "async": ("atouch", 2)}


class Pool:
    """A gateway of two workers that are sent calls ahead however slow the machine is, and calls of it."""

    def __init__(self, start: Callable[..., Gateway], folder: Path, profile: str, more: str, adapter: str) -> None:
        self.tool, self.slots = PROFILES[profile]
        self.folder = folder
        (folder / "waiting.py").write_text(textwrap.dedent(TOOLS))
        slots = "" if profile == "process" else f", slots: {self.slots}"
        (folder / "snakepit.yaml").write_text(
            f"pools: [{{name: default, adapter: waiting.{adapter}, workers: 2, profile: {profile}{slots}, {more}}}]"
        )
        self.gateway = start("--config", str(folder / "snakepit.yaml"), env={"PYTHONPATH": str(folder)})
        self.http = httpx.Client(base_url=self.gateway.url, timeout=60)
        self.numbers = itertools.count()
        assert self.execute(self.tool, file=self.path("first"))  # measured, and so sent ahead

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def execute(self, tool: str, **args: Any) -> Any:
        answer = self.http.post("/execute", json={"tool": tool, "args": args})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def later(self, tool: str, session: str = "", **args: Any) -> str:
        """Begins a call; its URL."""
        body = {"tool": tool, "args": args, **({"session_id": session, "affinity": "strict_queue"} if session else {})}
        answer = self.http.post("/execute", json=body, headers={"prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    def look(self, call: str) -> Dict[str, Any]:
        return dict(self.http.get(call).json())

    def states(self, calls: List[str]) -> List[str]:
        return [self.look(call)["state"] for call in calls]

    def result(self, call: str) -> Any:
        wait_for(lambda: self.look(call)["state"] == "done")
        return self.look(call)["outcome"]["result"]

    def hold(self) -> Dict[str, str]:
        """Takes each slot that is free; calls, and the files for which they wait."""
        free = 2 * self.slots - self.view()["inflight"]
        gates = [self.path(f"gate-{next(self.numbers)}") for _ in range(free)]
        return {self.later(self.tool, file=self.path("held"), until=gate): gate for gate in gates}

    def short(self) -> List[str]:
        """Calls that do nothing but leave a line in a file of their own; how many ran is told by runs()."""
        return [self.later(self.tool, file=self.path(f"short-{next(self.numbers)}")) for _ in range(10)]

    def runs(self) -> List[int]:
        """Of each short call that has run, how often; they are forgotten."""
        files = list(self.folder.glob("short-*"))
        counts = [len(file.read_text().splitlines()) for file in files]
        for file in files:
            file.unlink()
        return counts

    def view(self) -> Dict[str, Any]:
        return dict(self.http.get("/pools/default").json())

    def counter(self, name: str) -> int:
        counters = self.view()["counters"]
        return int(counters[name] if name in counters else counters["ends"][name])


@pytest.fixture
def start(start_gateway: Callable[..., Gateway], tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    pools: List[Pool] = []

    def start_pool(profile: str, more: str = SHORT, adapter: str = "Waiting") -> Pool:
        pools.append(Pool(start_gateway, tmp_path, profile, more, adapter))
        return pools[-1]

    yield start_pool
    for pool in pools:
        pool.http.close()


def release(held: Dict[str, str]) -> None:
    for gate in held.values():
        Path(gate).touch()


@pytest.mark.parametrize("profile", PROFILES)
def test_calls_behind_one_that_does_not_end_are_run_by_the_other_worker(
    start: Callable[..., Pool], profile: str
) -> None:
    pool = start(profile)
    held = pool.hold()
    calls = pool.short()
    wait_for(lambda: pool.states(calls) == 10 * ["queued"])
    stuck = pool.look(next(iter(held)))["worker"]
    kept = {call: gate for call, gate in held.items() if pool.look(call)["worker"] == stuck}
    release({call: gate for call, gate in held.items() if call not in kept})
    pids = {pool.result(call) for call in calls}
    assert pool.states(list(kept)) == pool.slots * ["running"]
    assert pool.runs() == 10 * [1]
    assert pool.counter("recalled") >= 1
    release(kept)
    assert len(pids) == 1 and pids.isdisjoint({pool.result(call) for call in kept})


def test_a_call_that_came_back_says_that_one_worker_had_it_and_how_long_it_waited(start: Callable[..., Pool]) -> None:
    pool = start("process")
    held = pool.hold()
    answers: List[httpx.Response] = []
    body = {"tool": "touch", "args": {"file": pool.path("call")}}
    caller = threading.Thread(target=lambda: answers.append(httpx.post(f"{pool.gateway.url}/execute", json=body)))
    caller.start()
    wait_for(lambda: pool.counter("recalled") > 0)
    release(held)
    caller.join()
    meta = answers[0].json()["meta"]
    assert meta["attempts"] == 1
    assert meta["queue_ms"] >= 200


def test_a_call_of_a_strict_session_stays_with_its_worker(start: Callable[..., Pool]) -> None:
    pool = start("process")
    gate = pool.path("gate")
    first = pool.later("touch", session="s", file=pool.path("first"), until=gate)
    others = pool.hold()
    bound = pool.later("touch", session="s", file=pool.path("bound"))
    free = pool.later("touch", file=pool.path("free"))
    wait_for(lambda: pool.look(free)["state"] == "queued")
    assert pool.look(bound)["state"] == "dispatched"
    release(others)
    assert pool.result(free) in {pool.result(call) for call in others}
    assert pool.look(bound)["state"] == "dispatched"
    release({first: gate})
    assert pool.result(bound) == pool.result(first) != pool.result(free)


def test_a_stream_that_came_back_is_whole(start: Callable[..., Pool]) -> None:
    pool = start("process")
    held = pool.hold()
    lines: List[str] = []

    def read() -> None:
        body = {"tool": "count", "args": {"n": 1000}}
        with httpx.stream("POST", f"{pool.gateway.url}/stream", json=body, headers={"accept": NDJSON}) as answer:
            lines.extend(line for line in answer.iter_lines() if line)

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: pool.counter("recalled") > 0)
    release(held)
    reader.join()
    events = [json.loads(line) for line in lines]
    assert [event["data"] for event in events if event["event"] == "chunk"] == list(range(1000))
    assert [event["event"] for event in events].count("start") == 1
    assert events[-1]["event"] == "done"


@pytest.mark.parametrize("adapter", ["Waiting", "Parted"])
def test_large_arguments_are_where_the_call_is_run_and_nowhere_else(start: Callable[..., Pool], adapter: str) -> None:
    pool = start("process", adapter=adapter)
    url, head = f"{pool.gateway.url}/tools/measure", {"content-type": "application/octet-stream"}
    body = bytes(3 << 20)
    answers: List[Any] = []
    assert httpx.post(url, content=b"x", headers=head).json() == 1
    held = pool.hold()
    pids = [worker["pid"] for worker in pool.http.get("/workers").json()["workers"]]

    def send() -> None:
        answers.append(httpx.post(url, content=body, headers=head, timeout=60).json())

    callers = [threading.Thread(target=send) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for(lambda: pool.view()["queue"]["depth"] == 4)
    assert pool.counter("recalled") >= 1
    wait_for(lambda: not any(memory_descriptors(pid, "snakepit-body") for pid in pids))
    release(held)
    for caller in callers:
        caller.join()
    assert answers == 4 * [len(body)]
    wait_for(lambda: memory_descriptors(pool.gateway.process.pid, "snakepit-body") == 0)


def test_calls_are_not_recalled_if_that_is_turned_off(start: Callable[..., Pool]) -> None:
    pool = start("process", "ahead_budget: 1s, recall_after: 0")
    held = pool.hold()
    calls = pool.short()
    time.sleep(0.5)
    assert pool.states(calls) == 10 * ["dispatched"]
    release(held)
    for call in calls:
        pool.result(call)
    assert pool.counter("recalled") == 0


# At the same time: calls are recalled a tenth of a second after they were sent, and that is when something happens.

RACING = "ahead_budget: 99ms, recall_after: 1ms"
ROUNDS = 12


def around(dice: random.Random) -> float:
    """Seconds from when they were sent until some moment about when they are recalled."""
    return 0.09 + 0.04 * dice.random()


@pytest.mark.parametrize("profile", PROFILES)
def test_calls_that_start_as_they_are_recalled_run_once(start: Callable[..., Pool], profile: str) -> None:
    pool, dice = start(profile, RACING), random.Random(1)
    for _ in range(ROUNDS):
        held = pool.hold()
        calls = pool.short()
        time.sleep(around(dice))
        release(held)
        for call in (*held, *calls):
            pool.result(call)
        assert pool.runs() == 10 * [1]


def test_calls_whose_worker_dies_as_they_are_recalled_run_once(start: Callable[..., Pool]) -> None:
    pool, dice = start("process", RACING), random.Random(2)
    for _ in range(ROUNDS):
        wait_for(lambda: pool.view()["workers"]["ready"] == 2)
        held = pool.hold()
        calls = pool.short()
        victim = pool.look(next(iter(held)))["worker"]
        pid = pool.http.get(f"/workers/{victim}").json()["pid"]
        time.sleep(around(dice))
        os.kill(pid, signal.SIGKILL)
        release(held)
        for call in calls:
            pool.result(call)
        assert pool.runs() == 10 * [1]
        wait_for(lambda: pool.states(list(held)) == 2 * ["done"])


@pytest.mark.parametrize("profile", PROFILES)
def test_calls_that_are_cancelled_as_they_are_recalled_end_once(start: Callable[..., Pool], profile: str) -> None:
    pool, dice = start(profile, RACING), random.Random(3)
    for _ in range(ROUNDS):
        held = pool.hold()
        calls = pool.short()
        time.sleep(around(dice))
        for call in calls[::2]:
            assert pool.http.delete(call).status_code == 204
        release(held)
        for call in (*held, *calls[1::2]):
            pool.result(call)
        wait_for(lambda: pool.view()["inflight"] == 0)
        runs = pool.runs()
        assert 5 <= len(runs) <= 10 and set(runs) == {1}
    assert pool.counter("cancelled") == 5 * ROUNDS
