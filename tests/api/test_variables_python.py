"""Session variables read and written by Python tools, in the real gateway."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import httpx
import pytest
from served import wait_for


@pytest.fixture(params=["process", "thread"])
def client(request, start_gateway) -> Iterator[httpx.Client]:
    """Of two workers, or of one with two threads."""
    workers = "2" if request.param == "process" else "1"
    gateway = start_gateway(
        "--workers", workers, "--adapter", "variable_tools.Shared",
        env={"SNAKEPIT_POOLS_DEFAULT_PROFILE": request.param, "SNAKEPIT_SESSIONS_VARIABLES_CACHE_TTL": "1h"},
    )  # fmt: skip
    with httpx.Client(base_url=gateway.url, timeout=30) as each:
        each.post("/sessions", json={"id": "mine"})
        yield each


def run(client: httpx.Client, tool: str, session: str = "mine", **args: Any) -> httpx.Response:
    return client.post("/execute", json={"tool": tool, "args": args, "session_id": session})


def result(client: httpx.Client, tool: str, session: str = "mine", **args: Any) -> Any:
    answer = run(client, tool, session, **args)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def put(client: httpx.Client, name: str, value: Any) -> None:
    assert client.put(f"/sessions/mine/variables/{name}", json={"value": value}).status_code == 200


def test_tools_and_callers_see_the_same_variables(client: httpx.Client) -> None:
    assert result(client, "write", name="x", value={"a": [1, None]}) == 1
    assert client.get("/sessions/mine/variables/x").json()["value"] == {"a": [1, None]}
    put(client, "x", 5)
    assert result(client, "read", name="x") == 5
    more = {"type": "float", "constraints": {"max": 9}}
    assert result(client, "write", name="x", value=6, more=more) == 3
    told = {"name": "x", "value": 6.0, "type": "float", "version": 3, "constraints": {"max": 9}}
    assert result(client, "describe", name="x") == told
    result(client, "remove", name="x")
    assert client.get("/sessions/mine/variables/x").status_code == 404


def test_what_a_tool_does_wrong_is_its_answer(client: httpx.Client) -> None:
    told = run(client, "read", name="nothing").json()
    assert (told["code"], told["status"], told["executed"]) == ("variable_not_found", 404, "yes")
    told = run(client, "write", name="-", value=1).json()
    assert (told["code"], told["status"]) == ("invalid_variable", 422)
    more = {"expected_version": 7}
    assert run(client, "write", name="x", value=1, more=more).json()["code"] == "version_conflict"
    told = client.post("/execute", json={"tool": "read", "args": {"name": "x"}}).json()
    assert told["detail"] == "the call belongs to no session"


def test_types_survive_the_way_there_and_back(client: httpx.Client) -> None:
    wrong = ["whole", "above", "vector", "model", "truth"]
    kept = [True, True, "3", "[1.0, 2.0]", "True", "gpt2", "[{'x': [nan, 'NaN']}]", wrong]
    assert result(client, "types") == kept


def test_several_are_written_and_read_at_once(client: httpx.Client) -> None:
    read = [{"a": 1, "b": 1, "c": 1}, {"a": 4, "c": 3}, "none", True, False, ["a", "c"], 2]
    assert result(client, "several") == read


def test_the_dialect_of_snakepit_is_spoken(client: httpx.Client) -> None:
    said = [1.0, "x", 2, True, {"count": 2}, ["name", "other", "temperature"], True, True, False]
    said[2] = 3  # by then
    said[4] = {"count": 3}
    assert result(client, "dialect") == said


def test_a_tool_sees_what_another_caller_has_changed_at_once(client: httpx.Client) -> None:
    put(client, "x", "old")
    waited: List[float] = []
    watcher = threading.Thread(target=lambda: waited.append(result(client, "watch", name="x", value="new")))
    watcher.start()
    time.sleep(0.5)
    put(client, "x", "new")
    watcher.join()
    assert waited


def test_what_was_read_is_remembered(client: httpx.Client) -> None:
    put(client, "x", 1)
    result(client, "reads", name="x", count=1)
    wait_for(lambda: result(client, "reads", name="x", count=2000) < 60)  # asking the gateway is never so quick


def test_a_session_of_the_same_id_is_another_one(client: httpx.Client) -> None:
    for value in (1, 2):
        client.post("/sessions", json={"id": "mine"})
        put(client, "x", value)
        assert [result(client, "read", name="x") for _ in range(4)] == [value] * 4
        client.delete("/sessions/mine")


def test_a_call_that_outlives_its_session_does_nothing_in_the_next_one(client: httpx.Client, tmp_path: Path) -> None:
    put(client, "x", "before")
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(result, client, "outlive", begun=str(begun), go_on=str(go_on))
        try:
            while not begun.exists() and not old.done():
                time.sleep(0.01)
            assert client.delete("/sessions/mine").status_code == 204
            client.post("/sessions", json={"id": "mine"})
            put(client, "x", "new")
            assert result(client, "read", name="x") == "new"
        finally:
            go_on.touch()
        assert old.result() == ["session_not_found"] * 3
    assert client.get("/sessions/mine/variables/x").json()["value"] == "new"


def test_of_two_tools_that_expect_the_same_version_one_wins(client: httpx.Client) -> None:
    put(client, "x", "y")
    said: List[str] = []
    at = time.time() + 1
    racers = [threading.Thread(target=lambda: said.append(result(client, "race", name="x", at=at))) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(said) == ["lost 2", "won 2"]


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_coroutines_wait_without_blocking_each_other(start_gateway: Callable[..., Any], profile: str) -> None:
    gateway = start_gateway(
        "--workers", "1", "--adapter", "variable_tools.Together", env={"SNAKEPIT_POOLS_DEFAULT_PROFILE": profile}
    )
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        client.post("/sessions", json={"id": "mine"})
        assert result(client, "awrite_all", count=50) == [True, "gone", 49]
        said: Dict[str, str] = {"async": "in async code: await the methods that begin with a, as in variables.aget()"}
        put(client, "x", 1)
        assert result(client, "blocks") == said.get(profile, "1")


def test_a_worker_that_asks_for_more_than_it_reads_is_refused_and_goes_on(start_gateway: Callable[..., Any]) -> None:
    """Without pings, which would send the first replies while the gateway still makes the others."""
    settings = {"PROFILE": "async", "HEARTBEAT_INTERVAL": "0"}
    gateway = start_gateway(
        "--workers", "1", "--adapter", "variable_tools.Together",
        env={f"SNAKEPIT_POOLS_DEFAULT_{name}": value for name, value in settings.items()},
    )  # fmt: skip
    with httpx.Client(base_url=gateway.url, timeout=60) as client:
        client.post("/sessions", json={"id": "mine"})
        for number in range(7):
            put(client, f"v{number}", "x" * 1000000)
        came = result(client, "flood", count=60)
        assert set(came) <= {7, "overloaded"} and 7 in came and "overloaded" in came
        assert result(client, "flood", count=1) == [7]


def test_a_name_or_a_type_with_a_nul_in_it_is_not_what_comes_before(client: httpx.Client) -> None:
    put(client, "x", 1)
    assert run(client, "write", name="x\0y", value=2).status_code >= 400
    assert run(client, "write", name="x", value=2, more={"type": "integer\0zz"}).status_code >= 400
    assert run(client, "remove", name="x\0y").status_code >= 400
    assert run(client, "read", name="x\0y").status_code >= 400
    assert result(client, "read", name="x") == 1
