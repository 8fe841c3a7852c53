"""Calls of a batch tool that wait for one worker are run at once, and each has its own answer."""

import asyncio
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import httpx
import pytest

TOOLS = """
    import os
    import signal
    import time
    from pathlib import Path

    from snakepit_bridge import tool


    @tool(batch=16)
    def square(calls: list) -> list:
        "Takes 10 ms for any number of calls; says for each how many there were."
        time.sleep(0.01)
        return [ValueError("odd one") if call["n"] < 0 else [call["n"] ** 2, len(calls)] for call in calls]


    @tool(batch=16)
    def slow(calls: list) -> list:
        "Waits for the file `go` of its last call."
        Path(calls[0]["seen"]).write_text(str(len(calls)))
        while not Path(calls[0]["go"]).exists():
            time.sleep(0.001)
        return [call["n"] for call in calls]


    @tool(batch=16)
    def wrong(calls: list) -> list:
        "One result too few."
        time.sleep(0.05)
        return [1] * (len(calls) - 1)


    @tool(batch=16)
    def dies(calls: list) -> list:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGSEGV)


    @tool
    def busy(seconds: float) -> None:
        time.sleep(seconds)
"""


@pytest.fixture(scope="module")
def batching(tmp_path_factory) -> Iterator[Any]:
    from served import Gateway

    folder = tmp_path_factory.mktemp("batching")
    (folder / "batch_tools.py").write_text(textwrap.dedent(TOOLS))
    shared = Gateway("--workers", "1", "--adapter", "batch_tools", env={"PYTHONPATH": str(folder)})
    yield shared
    shared.stop()


def at_once(gateway: Any, tool: str, bodies: List[Dict[str, Any]]) -> List[httpx.Response]:
    async def post() -> List[httpx.Response]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False, limits=limits) as client:
            return list(await asyncio.gather(*(client.post(f"/tools/{tool}", json=body) for body in bodies)))

    return asyncio.run(post())


def test_calls_that_wait_are_run_at_once(batching: Any) -> None:
    answers = at_once(batching, "square", [{"n": n} for n in range(48)])
    assert [answer.json()[0] for answer in answers] == [n**2 for n in range(48)]
    sizes = [answer.json()[1] for answer in answers]
    assert max(sizes) > 4 and max(sizes) <= 16


def test_a_lone_call_is_a_batch_of_one(batching: Any) -> None:
    assert httpx.post(batching.url + "/tools/square", json={"n": 3}).json() == [9, 1]


def test_a_failure_is_its_own_calls_alone(batching: Any) -> None:
    answers = at_once(batching, "square", [{"n": n - 4} for n in range(16)])
    for n, answer in enumerate(answers):
        if n < 4:
            assert (answer.status_code, answer.json()["python"]["type"]) == (500, "ValueError")
        else:
            assert answer.json()[0] == (n - 4) ** 2


def test_a_batch_of_another_length_fails_all_its_calls(batching: Any) -> None:
    answers = at_once(batching, "wrong", [{} for _ in range(8)])
    assert {answer.json()["python"]["type"] for answer in answers} == {"TypeError"}


def test_the_tool_says_how_many_calls_it_takes(batching: Any) -> None:
    tools = {tool["name"]: tool for tool in httpx.get(batching.url + "/tools").json()["tools"]}
    assert tools["square"]["batch"] == 16
    assert "batch" not in tools["busy"]


def test_one_call_of_a_batch_is_cancelled_and_the_others_go_on(batching: Any, tmp_path: Path) -> None:
    seen, go = tmp_path / "seen", tmp_path / "go"

    async def run() -> List[Any]:
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False) as client:
            first = asyncio.create_task(client.post("/tools/busy", json={"seconds": 0.3}))
            await asyncio.sleep(0.1)
            args = {"seen": str(seen), "go": str(go)}
            calls = [
                asyncio.create_task(
                    client.post("/tools/slow", json={"n": n, **args}, headers={"x-request-id": f"batch-{n}"})
                )
                for n in range(4)
            ]
            await first
            while not seen.exists():
                await asyncio.sleep(0.005)
            assert (await client.delete("/calls/batch-1")).status_code in (200, 202, 204)
            cancelled = await asyncio.wait_for(calls[1], 10)
            go.touch()
            return [cancelled, *await asyncio.gather(calls[0], calls[2], calls[3])]

    cancelled, *others = asyncio.run(run())
    assert (cancelled.status_code, cancelled.json()["code"]) == (499, "cancelled")
    assert [answer.json() for answer in others] == [0, 2, 3]
    assert seen.read_text() == "4"


def test_a_batch_that_nobody_waits_for_is_interrupted(batching: Any, tmp_path: Path) -> None:
    body = {"n": 0, "seen": str(tmp_path / "seen"), "go": str(tmp_path / "go")}

    async def run() -> None:
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False) as client:
            first = asyncio.create_task(client.post("/tools/busy", json={"seconds": 0.2}))
            await asyncio.sleep(0.1)
            calls = [asyncio.create_task(client.post("/tools/slow", json=body)) for _ in range(3)]
            await first
            while not (tmp_path / "seen").exists():
                await asyncio.sleep(0.005)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(run())
    begun = time.monotonic()
    assert httpx.post(batching.url + "/tools/square", json={"n": 2}, timeout=30).json()[0] == 4
    assert time.monotonic() - begun < 4  # cancel_grace is 5


def test_the_death_of_its_worker_ends_every_call_of_a_batch(batching: Any) -> None:
    answers = at_once(batching, "dies", [{} for _ in range(4)])
    assert {answer.json()["code"] for answer in answers} <= {"worker_crash"}
