"""Sessions over HTTP, against the real gateway."""

import time
from typing import Any, Dict, Iterator

import httpx
import pytest


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


def test_an_unknown_id_of_the_gateways_is_not_found(client: httpx.Client) -> None:
    told = problem(execute(client, "echo", "s-AAAAAAAAAAAAAAAAAAAAAA"), 404, "session_not_found")
    assert told["session_id"] == "s-AAAAAAAAAAAAAAAAAAAAAA"
    assert told["executed"] == "no"


def test_a_malformed_id_is_refused(client: httpx.Client) -> None:
    told = problem(execute(client, "echo", "a b"), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == "/session_id"


def test_idle_sessions_expire_and_touched_ones_stay(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", "--sessions-ttl", "1s")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        client.post("/sessions", json={"id": "idle"})
        client.post("/sessions", json={"id": "touched"})
        client.post("/sessions", json={"id": "long", "ttl_ms": 60000})
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert execute(client, "echo", "touched").status_code == 200
            time.sleep(0.1)
        listed = client.get("/sessions").json()["sessions"]
        assert [each["id"] for each in listed] == ["touched", "long"]
        problem(client.get("/sessions/idle"), 404, "session_not_found")
        assert "snakepit_sessions_expired_total 1" in client.get("/metrics").text


def test_one_session_too_many_is_refused_everywhere_and_ending_one_makes_room(start_gateway) -> None:
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
            more, after = page["more"], {"after": seen[-1]}
        assert seen == names
        problem(client.get("/sessions", params={"after": "gone"}), 404, "session_not_found")
        for query in ("limit=0", "limit=1001", "limit=x", "after=", "order=up"):
            problem(client.get(f"/sessions?{query}"), 400, "invalid_request")
