"""Sessions over HTTP, against the real gateway."""

import contextlib
import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator

import httpx
import pytest
from served import wait_for

EXECUTOR = ThreadPoolExecutor(8)


@pytest.fixture
def client(gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as each:
        yield each


def execute(client: httpx.Client, tool: str, session: str = "", **members: Any) -> httpx.Response:
    body: Dict[str, Any] = {"tool": tool, **members}
    if session:
        body["session_id"] = session
    return client.post("/execute", json=body)


def problem(answer: httpx.Response, status: int, code: str) -> Dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    return answer.json()


def test_a_session_is_made_shown_changed_and_ended(client: httpx.Client) -> None:
    made = client.post("/sessions", json={"ttl_ms": 60000, "metadata": {"x": [1, None]}})
    assert made.status_code == 201, made.text
    path = made.headers["location"]
    assert path == f"/sessions/{made.json()['id']}"
    assert made.json()["id"].startswith("s-") and len(made.json()["id"]) == 24
    changed = client.patch(path, json={"affinity": "strict_queue"}).json()
    assert changed["metadata"] == {"x": [1, None]}
    assert changed["ttl_ms"] == 60000
    changed = client.patch(path, json={"ttl_ms": 70000, "metadata": {}}).json()
    shown = client.get(path).json()
    assert {**shown, "idle_ms": 0} == {**changed, "idle_ms": 0}
    assert (shown["affinity"], shown["ttl_ms"], shown["metadata"]) == ("strict_queue", 70000, {})
    assert client.delete(path).status_code == 204
    problem(client.delete(path), 404, "session_not_found")
    problem(client.get(path), 404, "session_not_found")


def test_a_session_may_begin_without_a_body(client: httpx.Client) -> None:
    assert client.post("/sessions").status_code == 201


def test_making_a_session_twice_gives_the_same_one(client: httpx.Client) -> None:
    """Snakepit 52."""
    assert client.post("/sessions", json={"id": "twice", "metadata": {"n": 1}}).status_code == 201
    again = client.post("/sessions", json={"id": "twice", "metadata": {"n": 2}})
    assert again.status_code == 200
    assert again.json()["metadata"] == {"n": 1}


@pytest.mark.parametrize(
    "body",
    [
        {"id": ""},
        {"id": "x" * 129},
        {"id": "-x"},
        {"id": "a/b"},
        {"id": "s-mine"},
        {"ttl_ms": 0},
        {"metadata": []},
        {"metadata": {"x": "y" * 65536}},
        {"affinity": "loose"},
        {"x": 1},
    ],
)
def test_a_session_that_cannot_be_is_refused(client: httpx.Client, body: Dict[str, Any]) -> None:
    told = problem(client.post("/sessions", json=body), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == "/" + next(iter(body))


def test_a_call_in_a_session_knows_it_and_is_counted(start_gateway) -> None:
    """Snakepit 14."""
    gateway = start_gateway("--workers", "1", "--adapter", "session_tools.Shared")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        made = client.post("/sessions").json()["id"]
        assert execute(client, "whoami", made).json()["result"] == made
        assert execute(client, "whoami", made).json()["result"] == made
        assert execute(client, "whoami").json()["result"] == ""
        assert client.get(f"/sessions/{made}").json()["calls"] == 2


def test_an_unknown_id_of_the_callers_own_begins_a_session(client: httpx.Client) -> None:
    problem(client.get("/sessions/begins:now"), 404, "session_not_found")
    assert execute(client, "echo", "begins:now").status_code == 200
    assert client.get("/sessions/begins%3Anow").json()["calls"] == 1


def test_whoever_writes_a_variable_begins_a_session_too(client: httpx.Client) -> None:
    for url, write in (("/sessions/by-put/variables/x", client.put), ("/sessions/by-patch/variables", client.patch)):
        problem(client.get(url), 404, "session_not_found")
        assert write(url, json={"value": 1} if write == client.put else {"set": {"x": {"value": 1}}}).status_code == 200
        assert client.get(url).status_code == 200
    problem(client.put("/sessions/s-unknown/variables/x", json={"value": 1}), 404, "session_not_found")
    problem(client.delete("/sessions/by-delete/variables/x"), 404, "session_not_found")


def test_an_unknown_id_of_the_gateways_is_not_found(client: httpx.Client) -> None:
    """Snakepit 54."""
    told = problem(execute(client, "echo", "s-AAAAAAAAAAAAAAAAAAAAAA"), 404, "session_not_found")
    assert told["session_id"] == "s-AAAAAAAAAAAAAAAAAAAAAA"
    assert told["executed"] == "no"


def test_a_malformed_id_is_refused(client: httpx.Client) -> None:
    told = problem(execute(client, "echo", "a b"), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == "/session_id"


def test_idle_sessions_expire_and_touched_ones_stay(start_gateway) -> None:
    """Snakepit 53."""
    gateway = start_gateway("--workers", "1", "--sessions-ttl", "2s")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        client.post("/sessions", json={"id": "idle"})
        client.post("/sessions", json={"id": "touched"})
        client.post("/sessions", json={"id": "long", "ttl_ms": 60000})
        while "snakepit_sessions_expired_total 1" not in client.get("/metrics").text:
            assert execute(client, "echo", "touched").status_code == 200
            time.sleep(0.05)
        listed = client.get("/sessions").json()["sessions"]
        assert [each["id"] for each in listed] == ["touched", "long"]
        problem(client.get("/sessions/idle"), 404, "session_not_found")


def test_one_session_too_many_is_refused_everywhere_and_ending_one_makes_room(start_gateway) -> None:
    """Snakepit 53."""
    gateway = start_gateway("--workers", "1", "--sessions-limit", "2")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for name in ("a", "b"):
            assert client.post("/sessions", json={"id": name}).status_code == 201
        for answer in (client.post("/sessions"), execute(client, "echo", "c")):
            assert problem(answer, 429, "session_quota_exceeded")["limit"] == 2
            assert 1 <= int(answer.headers["retry-after"]) <= 3601
        assert execute(client, "echo", "a").status_code == 200
        client.delete("/sessions/b")
        assert execute(client, "echo", "c").status_code == 200
        metrics = client.get("/metrics").text
        assert "snakepit_sessions 2" in metrics
        assert "snakepit_sessions_refused_total 2" in metrics


def test_what_sessions_keep_is_limited(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", "--sessions-memory-limit", "1KiB")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        large = {"x": "y" * 600}
        assert client.post("/sessions", json={"id": "a", "metadata": large}).status_code == 201
        told = problem(client.post("/sessions", json={"metadata": large}), 429, "session_quota_exceeded")
        assert told["limit"] == 1024
        client.post("/sessions", json={"id": "b"})
        problem(client.patch("/sessions/b", json={"metadata": large}), 429, "session_quota_exceeded")


def test_sessions_are_listed_by_pages(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        names = [f"n{number}" for number in range(5)]
        for name in names:
            client.post("/sessions", json={"id": name})
        seen, more, after = [], True, {}
        while more:
            page = client.get("/sessions", params={"limit": 2, **after}).json()
            seen += [each["id"] for each in page["sessions"]]
            more, after = page["more"], {"after": page.get("next")}
            client.delete(f"/sessions/{seen[-1]}")
        assert seen == names and after == {"after": None}
        for query in ("limit=0", "limit=1001", "limit=x", "after=", "after=x", "after=-1", "order=up"):
            problem(client.get(f"/sessions?{query}"), 400, "invalid_request")


# --- affinity ---


@pytest.fixture
def shared(start_gateway) -> Iterator[httpx.Client]:
    """Two workers, whose one object is told of sessions that begin; a client of it."""
    gateway = start_gateway("--workers", "2", "--adapter", "session_tools.Shared")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        yield client


def later(client: httpx.Client, *args: Any, **members: Any) -> "Future[httpx.Response]":
    """The same as execute(), meanwhile."""
    return EXECUTOR.submit(execute, client, *args, **members)


def count(client: httpx.Client, session: str, **members: Any) -> Dict[str, Any]:
    answer = execute(client, "count", session, **members)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@contextlib.contextmanager
def occupied(client: httpx.Client, session: str, folder: Path) -> Iterator[None]:
    """The worker of that session is busy."""
    worker, free = client.get(f"/sessions/{session}").json()["workers"]["default"], folder / "free"
    call = later(client, "hold", session, args={"file": str(free)}, affinity="strict_queue")
    wait_for(lambda: client.get(f"/workers/{worker}").json()["inflight"] > 0)
    try:
        yield
    finally:
        free.touch()
    assert call.result().status_code == 200


def test_calls_of_a_session_come_to_the_same_worker(shared: httpx.Client) -> None:
    """Snakepit 15."""
    first = count(shared, "mine")
    for number in range(2, 10):
        assert execute(shared, "nap", args={"seconds": 0}).status_code == 200
        again = count(shared, "mine")
        assert (again["pid"], again["count"]) == (first["pid"], number)
    worker = shared.get("/sessions/mine").json()["workers"]["default"]
    assert shared.get(f"/workers/{worker}").json()["pid"] == first["pid"]


def test_a_hint_falls_back_when_the_worker_is_busy(shared: httpx.Client, tmp_path: Path) -> None:
    """Snakepit 15."""
    first = count(shared, "mine")
    with occupied(shared, "mine", tmp_path):
        other = count(shared, "mine")
    assert other["pid"] != first["pid"]
    assert other["count"] == 1


def test_a_strict_call_waits_for_its_worker_while_another_is_idle(shared: httpx.Client, tmp_path: Path) -> None:
    """Snakepit 16."""
    shared.post("/sessions", json={"id": "mine", "affinity": "strict_queue"})
    first = count(shared, "mine")
    with occupied(shared, "mine", tmp_path):
        waiting = later(shared, "count", "mine")
        wait_for(lambda: shared.get("/pools/default").json()["queue"]["depth"] == 1)
        assert execute(shared, "nap", args={"seconds": 0}).json()["result"] != first["pid"]
        assert not waiting.done()
    assert waiting.result().json()["result"]["pid"] == first["pid"]


def test_a_worker_that_is_replaced_first_runs_what_waits_for_it(shared: httpx.Client, tmp_path: Path) -> None:
    shared.post("/sessions", json={"id": "mine", "affinity": "strict_queue"})
    first = count(shared, "mine")
    worker = shared.get("/sessions/mine").json()["workers"]["default"]
    with occupied(shared, "mine", tmp_path):
        waiting = [later(shared, "count", "mine") for _ in range(3)]
        wait_for(lambda: shared.get("/pools/default").json()["queue"]["depth"] == 3)
        wait_for(lambda: shared.get("/pools/default").json()["queue"]["oldest_ms"] > 0)
        assert shared.post(f"/workers/{worker}/recycle").status_code == 202
        wait_for(lambda: shared.get(f"/workers/{worker}").json()["state"] == "draining")
        problem(execute(shared, "count", "mine"), 410, "session_lost")
        assert count(shared, "mine")["pid"] != first["pid"]
    results = [each.result().json()["result"] for each in waiting]
    assert {each["pid"] for each in results} == {first["pid"]}
    assert sorted(each["count"] for each in results) == [2, 3, 4]
    wait_for(lambda: shared.get(f"/workers/{worker}").status_code == 404)


def test_a_call_that_does_not_want_to_wait_is_refused_at_once(shared: httpx.Client, tmp_path: Path) -> None:
    """Snakepit 16."""
    first = count(shared, "mine")
    with occupied(shared, "mine", tmp_path):
        answer = execute(shared, "count", "mine", affinity="strict_fail_fast")
    told = problem(answer, 503, "worker_busy")
    assert (told["retryable"], told["executed"], told["session_id"]) == (True, "no", "mine")
    assert answer.headers["retry-after"] == "1"
    assert count(shared, "mine", affinity="strict_fail_fast")["pid"] == first["pid"]


def test_a_strict_session_whose_worker_was_killed_is_lost_once_and_begins_anew(
    shared: httpx.Client,
) -> None:
    shared.post("/sessions", json={"id": "mine", "affinity": "strict_queue"})
    for number in (1, 2):
        first = count(shared, "mine")
        assert first["count"] == number
    os.kill(first["pid"], signal.SIGKILL)
    wait_for(lambda: 'snakepit_worker_crashes_total{pool="default"} 1' in shared.get("/metrics").text)
    told = problem(execute(shared, "count", "mine"), 410, "session_lost")
    assert (told["retryable"], told["executed"], told["session_id"]) == (False, "no", "mine")
    for number in (1, 2):
        anew = count(shared, "mine")
        assert anew["pid"] != first["pid"]
        assert (anew["count"], anew["begun"]) == (number, ["mine"])


def test_the_configured_affinity_counts_where_nothing_else_is_said(start_gateway, tmp_path: Path) -> None:
    gateway = start_gateway(
        "--workers", "2", "--adapter", "session_tools.Shared",
        "--pools-default-affinity", "strict_fail_fast",
    )
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        count(client, "mine")
        with occupied(client, "mine", tmp_path):
            problem(execute(client, "count", "mine"), 503, "worker_busy")
            assert execute(client, "count", "mine", affinity="hint").status_code == 200


@pytest.mark.parametrize("member,value", [("affinity", "loose"), ("affinity", 1), ("affinity_key", "")])
def test_an_affinity_that_is_none_is_refused(client: httpx.Client, member: str, value: Any) -> None:
    told = problem(execute(client, "echo", **{member: value}), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == f"/{member}"


# --- what Python hears ---


def test_a_session_that_has_ended_begins_anew_with_the_same_id(shared: httpx.Client) -> None:
    assert [count(shared, "mine")["count"] for _ in range(3)] == [1, 2, 3]
    assert shared.delete("/sessions/mine").status_code == 204
    for _ in range(4):  # on both workers
        anew = count(shared, "mine")
    assert anew["count"] <= 4
    assert anew["begun"].count("mine") <= 2


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_an_ended_session_takes_its_objects_along(start_gateway, profile: str) -> None:
    gateway = start_gateway(
        "--workers", "1", "--adapter", "session_tools.Own", "--pools-default-profile", profile
    )
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for expected in (1, 2):
            assert execute(client, "add", "mine").json()["result"]["count"] == expected
        client.delete("/sessions/mine")
        assert execute(client, "add", "mine").json()["result"]["count"] == 1
        assert execute(client, "cleaned_up", "other").json()["result"] == [2]


def test_an_expired_session_takes_its_objects_along(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "session_tools.Own")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        client.post("/sessions", json={"id": "mine", "ttl_ms": 100})
        execute(client, "add", "mine")
        wait_for(lambda: execute(client, "cleaned_up", "other").json()["result"] == [1])


def test_a_kept_outcome_is_no_use_of_its_session(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", "--adapter", "session_tools.Own")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        body = {"tool": "add", "session_id": "mine"}
        made = client.post("/execute", json=body, headers={"prefer": "respond-async"})
        assert made.status_code == 202
        while client.get(made.headers["location"] + "/result").status_code != 200:
            time.sleep(0.01)
        client.delete("/sessions/mine")
        assert execute(client, "cleaned_up", "other").json()["result"] == [1]
        assert client.get(made.headers["location"] + "/result").status_code == 200


# --- affinity by content ---


def test_calls_about_the_same_come_to_the_same_worker(start_gateway) -> None:
    gateway = start_gateway("--workers", "4", "--adapter", "session_tools.Models")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        workers = {
            key: {execute(client, "ask", affinity_key=key).json()["result"] for _ in range(5)}
            for key in "abcdefghijklmnopqrst"
        }
        assert all(len(each) == 1 for each in workers.values())
        assert len(set.union(*workers.values())) > 1


def test_too_many_calls_about_the_same_spill_over(start_gateway) -> None:
    gateway = start_gateway("--workers", "2", "--adapter", "session_tools.Models")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        args = {"seconds": 2}
        calls = [later(client, "ask", affinity_key="a", args=args) for _ in range(2)]
        assert len({call.result().json()["result"] for call in calls}) == 2


def test_the_worker_that_has_loaded_it_is_preferred(start_gateway) -> None:
    gateway = start_gateway(
        "--workers", "4", "--adapter", "session_tools.Models",
        "--pools-default-heartbeat-interval", "100ms",
    )
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        hashed = {key: execute(client, "ask", affinity_key=key).json()["result"] for key in "abcd"}
        loader = execute(client, "load", args={"labels": list("abcd")}).json()["result"]
        assert set(hashed.values()) != {loader}
        wait_for(lambda: {execute(client, "ask", affinity_key=key).json()["result"] for key in "abcd"} == {loader})
