"""Calls of a batch tool that wait for one worker are run at once, and each has its own answer."""

import asyncio
import contextlib
import textwrap
from pathlib import Path
from typing import Any, AsyncIterator, Dict, Iterator, List

import httpx
import pytest
from served import Gateway, wait_for

TOOLS = """
    import asyncio
    import ctypes
    import os
    import signal
    import threading
    import time
    from pathlib import Path

    from snakepit_bridge import ToolError, context, tool

    lock = threading.Lock()
    running = []


    def squares(calls: list) -> list:
        return [ToolError("odd one", status=422) if call["n"] < 0 else [call["n"] ** 2, len(calls)] for call in calls]


    @tool(batch=16)
    def square(calls: list) -> list:
        "Takes 10 ms for any number of calls; says for each how many there were."
        time.sleep(0.01)
        return squares(calls)


    @tool(batch=16)
    async def square_later(calls: list) -> list:
        await asyncio.sleep(0.01)
        return squares(calls)


    @tool(batch=4)
    def counted(calls: list) -> list:
        "How many batches run, this one among them."
        with lock:
            running.append(1)
        time.sleep(0.05)
        with lock:
            count = len(running)
            running.pop()
        return [count] * len(calls)


    @tool(batch=4)
    async def counted_later(calls: list) -> list:
        running.append(1)
        await asyncio.sleep(0.05)
        count = len(running)
        running.pop()
        return [count] * len(calls)


    @tool(batch=16)
    def slow(calls: list) -> list:
        "Waits for the file `go` of its first call."
        Path(calls[0]["seen"]).write_text(str(len(calls)))
        while not Path(calls[0]["go"]).exists():
            time.sleep(0.001)
        return [call["n"] for call in calls]


    @tool(batch=16)
    async def slow_later(calls: list) -> list:
        Path(calls[0]["seen"]).write_text(str(len(calls)))
        while not Path(calls[0]["go"]).exists():
            await asyncio.sleep(0.001)
        return [call["n"] for call in calls]


    @tool(batch=16)
    def wrong(calls: list) -> list:
        "One result too few."
        time.sleep(0.05)
        return [1] * (len(calls) - 1)


    @tool(batch=16)
    async def wrong_later(calls: list) -> list:
        return wrong(calls)


    @tool(batch=16)
    def dies(calls: list) -> list:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGSEGV)


    @tool(batch=16)
    async def dies_later(calls: list) -> list:
        dies(calls)


    @tool(batch=16)
    def holding(calls: list) -> list:
        "Sleeps as C code does that keeps Python's lock: nothing else runs meanwhile, and nothing can be interrupted."
        Path(calls[0]["seen"]).write_text(str(len(calls)))
        ctypes.PyDLL(None).usleep(1_500_000)
        return [call["n"] for call in calls]


    @tool(batch=16)
    def stubborn(calls: list) -> list:
        "Does not let itself be interrupted."
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            try:
                time.sleep(0.01)
            except BaseException:
                pass
        return calls


    @tool
    def busy(go: str) -> None:
        "Keeps a slot until there is such a file."
        while not Path(go).exists():
            time.sleep(0.001)


    @tool
    def double(n: int) -> int:
        return 2 * n


    @tool(batch=16)
    def doubled(calls: list, ctx) -> list:
        "By another tool of this worker."
        return [ctx.call_tool("double", n=call["n"]) for call in calls]


    @tool(batch=16)
    def seen(calls: list, ctx) -> list:
        "What the context of a batch says."
        time.sleep(0.05)
        return [[ctx.session_id, ctx.time_left()] for call in calls]
"""

PROFILES = [(profile, kind) for profile in ("process", "thread", "async") for kind in ("", "_later")]


def start(folder: Path, profile: str, settings: str) -> Gateway:
    """A gateway with one worker, of two slots if its profile has several."""
    (folder / "batch_tools.py").write_text(textwrap.dedent(TOOLS))
    slots = "" if profile == "process" else ", slots: 2"
    path = folder / "snakepit.yaml"
    pool = f"name: default, adapter: batch_tools, workers: 1, profile: {profile}{slots}, {settings}"
    path.write_text(f"pools: [{{{pool}}}]\n")
    return Gateway("--config", str(path), env={"PYTHONPATH": str(folder)})


@pytest.fixture(scope="module", params=PROFILES, ids=lambda item: "".join(item))
def batching(request: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """Of a profile, with the kind of the tools that are to be used."""
    profile, kind = request.param
    shared = start(tmp_path_factory.mktemp("batching"), profile, "cancel_grace: 20s")
    shared.kind, shared.slots = kind, 1 if profile == "process" else 2
    yield shared
    shared.stop()


def path_of(gateway: Any, tool: str) -> str:
    return f"/tools/{tool}" + ("" if tool in ("seen", "stubborn", "doubled") else gateway.kind)


def post(gateway: Any, tool: str, body: Any) -> httpx.Response:
    return httpx.post(gateway.url + path_of(gateway, tool), json=body, timeout=30)


def at_once(gateway: Any, tool: str, bodies: List[Any], **more: Any) -> List[httpx.Response]:
    path = path_of(gateway, tool)

    async def run() -> List[httpx.Response]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False, limits=limits) as client:
            return list(await asyncio.gather(*(client.post(path, json=body, **more) for body in bodies)))

    return asyncio.run(run())


def workers(gateway: Any) -> List[int]:
    return [worker["pid"] for worker in httpx.get(gateway.url + "/workers").json()["workers"]]


async def until_there_are(client: httpx.AsyncClient, count: int) -> None:
    """So many calls, running or waiting."""
    while True:
        pool = (await client.get("/pools/default")).json()
        if pool["inflight"] + pool["queue"]["depth"] == count:
            return
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def occupied(client: httpx.AsyncClient, slots: int, folder: Path, more: int) -> AsyncIterator[None]:
    """No slot is free until so many more calls have come."""
    go = folder / "free"
    calls = [asyncio.create_task(client.post("/tools/busy", json={"go": str(go)})) for _ in range(slots)]
    await until_there_are(client, slots)
    yield
    await until_there_are(client, slots + more)
    go.touch()
    await asyncio.gather(*calls)


def test_calls_that_wait_are_run_at_once(batching: Any, tmp_path: Path) -> None:
    async def run() -> List[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False, limits=limits) as client:
            async with occupied(client, batching.slots, tmp_path, 64):
                path = path_of(batching, "square")
                calls = [asyncio.create_task(client.post(path, json={"n": n})) for n in range(64)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(run())
    assert [answer.json()[0] for answer in answers] == [n**2 for n in range(64)]
    sizes = [answer.json()[1] for answer in answers]
    assert max(sizes) > 4 and max(sizes) <= 16


def test_a_lone_call_is_a_batch_of_one(batching: Any) -> None:
    assert post(batching, "square", {"n": 3}).json() == [9, 1]


def test_a_failure_is_its_own_calls_alone(batching: Any) -> None:
    answers = at_once(batching, "square", [{"n": n - 4} for n in range(16)])
    for n, answer in enumerate(answers):
        if n < 4:
            assert (answer.status_code, answer.json()["python"]["type"]) == (422, "ToolError")
        else:
            assert answer.json()[0] == (n - 4) ** 2


def test_a_batch_of_another_length_fails_all_its_calls(batching: Any) -> None:
    answers = at_once(batching, "wrong", [{} for _ in range(8)])
    assert {answer.json()["python"]["type"] for answer in answers} == {"TypeError"}


def test_the_tool_says_how_many_calls_it_takes(batching: Any) -> None:
    tools = {tool["name"]: tool for tool in httpx.get(batching.url + "/tools").json()["tools"]}
    assert tools["square" + batching.kind]["batch"] == 16
    assert "batch" not in tools["busy"]


def test_as_many_batches_run_as_there_are_slots(batching: Any) -> None:
    counts = [answer.json() for answer in at_once(batching, "counted", [{} for _ in range(40)])]
    assert max(counts) == batching.slots


async def begin_together(
    client: httpx.AsyncClient, slots: int, tool: str, bodies: List[Dict[str, Any]]
) -> List[Any]:  # fmt: skip
    """Begin calls of that tool that are run as one batch: they come while no slot is free. Their ids are batch-<n>."""
    path, seen = f"/tools/{tool}", Path(bodies[0]["seen"])
    async with occupied(client, slots, seen.parent, len(bodies)):
        calls = [
            asyncio.create_task(client.post(path, json=body, headers={"x-request-id": f"batch-{n}"}))
            for n, body in enumerate(bodies)
        ]
    while not seen.exists():
        await asyncio.sleep(0.005)
    return calls


@pytest.mark.parametrize("left", [0, 1])
def test_one_call_of_a_batch_is_cancelled_and_the_others_go_on(batching: Any, tmp_path: Path, left: int) -> None:
    seen, go = tmp_path / "seen", tmp_path / "go"

    async def run() -> List[Any]:
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False) as client:
            bodies = [{"n": n, "seen": str(seen), "go": str(go)} for n in range(4)]
            calls = await begin_together(client, batching.slots, f"slow{batching.kind}", bodies)
            assert (await client.delete(f"/calls/batch-{left}")).status_code in (200, 202, 204)
            cancelled = await asyncio.wait_for(calls.pop(left), 60)
            go.touch()
            return [cancelled, *await asyncio.gather(*calls)]

    cancelled, *others = asyncio.run(run())
    assert (cancelled.status_code, cancelled.json()["code"]) == (499, "cancelled")
    assert [answer.json() for answer in others] == [n for n in range(4) if n != left]
    assert seen.read_text() == "4"


def test_a_call_whose_time_is_up_leaves_its_batch(batching: Any, tmp_path: Path) -> None:
    seen, go = tmp_path / "seen", tmp_path / "go"

    async def run() -> List[Any]:
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False) as client:
            body = {"seen": str(seen), "go": str(go)}
            path = f"/tools/slow{batching.kind}"
            async with occupied(client, batching.slots, tmp_path, 2):
                late = asyncio.create_task(client.post(path + "?timeout_ms=2000", json={"n": 0, **body}))
                other = asyncio.create_task(client.post(path, json={"n": 1, **body}))
            answer = await late
            go.touch()
            return [answer, await other]

    late, other = asyncio.run(run())
    assert late.status_code == 504
    assert other.json() == 1


def test_a_batch_that_nobody_waits_for_is_interrupted(batching: Any, tmp_path: Path) -> None:
    body = {"n": 0, "seen": str(tmp_path / "seen"), "go": str(tmp_path / "go")}

    async def run() -> None:
        async with httpx.AsyncClient(base_url=batching.url, timeout=30, trust_env=False) as client:
            calls = await begin_together(client, batching.slots, f"slow{batching.kind}", [body] * 3)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    pids = workers(batching)
    asyncio.run(run())
    answers = at_once(batching, "square", [{"n": 2}] * 8)
    assert {answer.json()[0] for answer in answers} == {4}
    assert workers(batching) == pids  # not killed after cancel_grace


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_a_batch_that_cannot_be_interrupted_costs_its_worker_when_nobody_waits(tmp_path: Path, profile: str) -> None:
    gateway = start(tmp_path, profile, "cancel_grace: 300ms")
    try:
        before = workers(gateway)
        answers = at_once(gateway, "stubborn", [{"n": n} for n in range(4)], params={"timeout_ms": 500})
        assert {answer.status_code for answer in answers} == {504}
        wait_for(lambda: workers(gateway) not in (before, []))
        assert httpx.post(gateway.url + "/tools/double", json={"n": 2}, timeout=30).json() == 4
    finally:
        gateway.stop()


@pytest.mark.parametrize("profile", ["process", "thread"])
def test_a_batch_that_cannot_be_interrupted_goes_on_for_those_who_wait(tmp_path: Path, profile: str) -> None:
    gateway = start(tmp_path, profile, "cancel_grace: 300ms")
    slots = 1 if profile == "process" else 2

    async def run() -> List[Any]:
        async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as client:
            bodies = [{"n": n, "seen": str(tmp_path / "seen")} for n in range(3)]
            calls = await begin_together(client, slots, "holding", bodies)
            await client.delete("/calls/batch-0")
            return await asyncio.gather(*calls[1:])

    try:
        before = workers(gateway)
        assert [answer.text for answer in asyncio.run(run())] == ["1", "2"]
        assert workers(gateway) == before
    finally:
        gateway.stop()


def test_the_death_of_its_worker_ends_every_call_of_a_batch(batching: Any) -> None:
    answers = at_once(batching, "dies", [{} for _ in range(4)])
    assert {answer.json()["code"] for answer in answers} == {"worker_crash"}


def test_context_of_a_batch(batching: Any) -> None:
    if batching.kind:
        pytest.skip("the same whatever the kind of the tool")
    params = {"session_id": "of-batch", "timeout_ms": 60000}
    for answer in at_once(batching, "seen", [{"n": n} for n in range(6)], params=params):
        session_id, left = answer.json()
        assert session_id == "of-batch" and 0 < left <= 60


async def double_together(gateway: Gateway, folder: Path) -> List[httpx.Response]:
    """In one batch, since they come while no slot is free."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False) as client:
        async with occupied(client, 2, folder, 8):
            calls = [asyncio.create_task(client.post("/tools/doubled", json={"n": n})) for n in range(8)]
        return await asyncio.gather(*calls)


@pytest.mark.parametrize("profile", ["thread", "async"])
def test_a_batch_leaves_a_slot_for_the_tool_that_it_calls(tmp_path: Path, profile: str) -> None:
    gateway = start(tmp_path, profile, "cancel_grace: 300ms")
    try:
        answers = asyncio.run(double_together(gateway, tmp_path))
        assert [answer.json() for answer in answers] == [2 * n for n in range(8)]
    finally:
        gateway.stop()
