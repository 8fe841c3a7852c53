"""Answers that come later or again: Prefer: respond-async, Idempotency-Key, /calls/{id} when it is done."""

import concurrent.futures
import http.client
import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import httpx
import pytest
from served import Gateway, listed, wait_for


@pytest.fixture(scope="module")
def gateway(start_shared_gateway: Callable[..., Gateway]) -> Gateway:
    return start_shared_gateway("--workers", "2", "--adapter", "holder.Holder")


@pytest.fixture
def client(gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as made:
        yield made


def execute(client: httpx.Client, tool: str, headers: Dict[str, str], **args: Any) -> httpx.Response:
    return client.post("/execute", json={"tool": tool, "args": args}, headers=headers)


def wait_until_done(client: httpx.Client, location: str) -> Dict[str, Any]:
    wait_for(lambda: client.get(location).json()["state"] == "done")
    return client.get(location).json()


def test_respond_async_answers_at_once_and_keeps_the_result(client, tmp_path: Path) -> None:
    go = tmp_path / "go"
    answer = execute(client, "wait", {"prefer": "respond-async"}, file=str(go))
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    location = answer.headers["location"]
    assert location == f"/calls/{answer.headers['x-request-id']}"
    assert client.get(location).json()["state"] in ("queued", "dispatched", "running")
    early = client.get(location + "/result")
    assert early.status_code == 202
    assert early.headers["location"] == location
    go.touch()
    call = wait_until_done(client, location)
    assert call["end"] == "result"
    assert call["outcome"]["result"] == "waited"
    late = client.get(location + "/result")
    assert late.status_code == 200
    assert late.json() == call["outcome"]
    assert call["request_id"] in [each["request_id"] for each in listed(client)]


def test_respond_async_with_wait_answers_directly_what_is_done_in_time(client) -> None:
    answer = execute(client, "sleep", {"prefer": "wait=60, respond-async"}, seconds=0.1)
    assert answer.status_code == 200
    assert answer.json()["result"]["slept_ms"] > 90


def test_respond_async_with_wait_answers_202_after_that_time(client) -> None:
    begun = time.monotonic()
    answer = execute(client, "sleep", {"prefer": "respond-async, wait=1"}, seconds=600)
    assert answer.status_code == 202
    assert time.monotonic() - begun > 0.9
    assert client.delete(answer.headers["location"]).status_code == 204
    call = wait_until_done(client, answer.headers["location"])
    assert call["end"] == "cancelled"
    assert call["outcome"]["code"] == "cancelled"


class Poller:
    """Asks as fast as it can, over one connection."""

    def __init__(self, gateway: Any) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Tuple[int, Any]:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def start(self, number: int) -> str:
        """Where a call will be found that ends after some milliseconds."""
        body = json.dumps({"tool": "sleep", "args": {"seconds": number % 10 / 1000}})
        told = self.ask("POST", "/execute", body, **{"content-type": "application/json", "prefer": "respond-async"})
        return str(told[1]["location"])


def sixteen_times(what: Callable[[int], None]) -> None:
    """At once."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(what, range(16)))


def test_a_call_that_ends_is_found_at_every_moment(gateway) -> None:
    def look(_: int) -> None:
        poller = Poller(gateway)
        for number in range(40):
            location = poller.start(number)
            status, call = 200, {"state": "queued"}
            while status == 200 and call["state"] != "done":
                status, call = poller.ask("GET", location)
            assert status == 200, call

    sixteen_times(look)


def test_a_call_that_ends_can_be_given_up_at_every_moment(gateway) -> None:
    def give_up(_: int) -> None:
        poller = Poller(gateway)
        for number in range(40):
            location = poller.start(number)
            while poller.ask("GET", location)[1]["state"] == "queued":
                pass
            status, problem = poller.ask("DELETE", location)
            assert status == 204, problem

    sixteen_times(give_up)


def test_a_kept_call_can_be_forgotten(client) -> None:
    location = execute(client, "add", {"prefer": "respond-async"}, a=1, b=2).headers["location"]
    wait_until_done(client, location)
    assert client.delete(location).status_code == 204
    assert client.get(location).status_code == 404
    assert client.delete(location).status_code == 404


def test_a_failure_is_kept_as_the_problem_it_is(client) -> None:
    answer = execute(client, "fail", {"prefer": "respond-async"}, message="on purpose")
    location = answer.headers["location"]
    call = wait_until_done(client, location)
    assert call["end"] == "failure"
    late = client.get(location + "/result")
    assert late.status_code == 500
    assert late.headers["content-type"] == "application/problem+json"
    assert late.json()["code"] == call["outcome"]["code"] == "python_error"


def test_the_same_key_gives_the_same_answer_without_running_again(client) -> None:
    key = {"idempotency-key": f"again-{time.monotonic_ns()}"}
    first = execute(client, "sleep", key, seconds=0.05)
    second = execute(client, "sleep", key, seconds=0.05)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()


def test_the_same_key_joins_a_running_call(client, tmp_path: Path) -> None:
    go, key = tmp_path / "go", {"idempotency-key": f"join-{time.monotonic_ns()}"}
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(execute, client, "wait", key, file=str(go)) for _ in range(8)]
        time.sleep(0.3)  # for most of them to join; who comes later has the same
        go.touch()
        answers = [call.result() for call in calls]
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7


@pytest.mark.parametrize("own", [True, False])
def test_a_key_outlives_the_session_of_its_call(client, own: bool) -> None:
    """What has run is not denied, and no session begins for what does not run."""
    wish = {"id": f"own-{time.monotonic_ns()}"} if own else {}
    session = client.post("/sessions", json=wish).json()["id"]
    body, key = {"tool": "add", "args": {"a": 1, "b": 2}, "session_id": session}, {"idempotency-key": f"key-{session}"}
    first = client.post("/execute", json=body, headers=key)
    assert client.delete(f"/sessions/{session}").status_code == 204
    second = client.post("/execute", json=body, headers=key)
    assert (second.status_code, second.json()) == (200, first.json())
    assert second.headers["idempotency-replayed"] == "true"
    assert client.get(f"/sessions/{session}").status_code == 404


def test_who_joins_waits_no_longer_than_it_wants_to(client, tmp_path: Path) -> None:
    go, key = tmp_path / "go", {"idempotency-key": f"patience-{time.monotonic_ns()}"}
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        name = {"x-request-id": f"patience-{time.monotonic_ns()}"}
        first = threads.submit(execute, client, "wait", {**key, **name}, file=str(go))
        wait_for(lambda: client.get(f"/calls/{name['x-request-id']}").status_code == 200)
        second = execute(client, "wait", {**key, "request-timeout": "0.2"}, file=str(go))
        assert (second.status_code, second.json()["code"]) == (504, "deadline_exceeded")
        go.touch()
        assert first.result().json()["result"] == "waited"


def test_the_same_key_with_another_request_is_refused(client) -> None:
    key = {"idempotency-key": f"other-{time.monotonic_ns()}"}
    assert execute(client, "add", key, a=1, b=2).status_code == 200
    answer = execute(client, "add", key, a=1, b=3)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_mismatch"


def test_the_same_key_with_other_metadata_is_another_request(client) -> None:
    key = {"idempotency-key": f"metadata-{time.monotonic_ns()}"}
    call = {"tool": "add", "args": {"a": 1, "b": 2}}
    for user, status in (("a", 200), ("a", 200), ("b", 422)):
        answer = client.post("/execute", json={**call, "metadata": {"user": user}}, headers=key)
        assert answer.status_code == status


def test_a_call_with_a_key_goes_on_when_its_client_leaves(client, tmp_path: Path) -> None:
    go, key = tmp_path / "go", {"idempotency-key": f"left-{time.monotonic_ns()}"}
    body = {"tool": "wait", "args": {"file": str(go)}}
    name = {"x-request-id": f"left-{time.monotonic_ns()}"}
    with pytest.raises(httpx.ReadTimeout):
        client.post("/execute", json=body, headers={**key, **name}, timeout=httpx.Timeout(60, read=0.5))
    assert client.get(f"/calls/{name['x-request-id']}").status_code == 200
    go.touch()
    answer = execute(client, "wait", key, file=str(go))
    assert answer.status_code == 200
    assert answer.headers["idempotency-replayed"] == "true"


def test_a_key_that_is_none_is_refused(client) -> None:
    for key in ("", "x" * 256):
        answer = execute(client, "add", {"idempotency-key": key}, a=1, b=2)
        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"


def test_a_key_is_free_again_when_its_call_was_refused(client) -> None:
    key = {"idempotency-key": f"free-{time.monotonic_ns()}"}
    assert execute(client, "add", key, nothing=1).status_code == 422
    answer = execute(client, "add", key, a=1, b=2)
    assert answer.status_code == 200


def test_outcomes_are_kept_for_a_time_and_within_a_size(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text("calls: {keep_for: 3s, keep_size: 200KiB}\npools: [{workers: 1}]\n")
    short = start_gateway("--config", str(config))
    with httpx.Client(base_url=short.url, trust_env=False, timeout=30) as client:
        paths = []
        for letter in "xy":
            answer = execute(client, "echo", {"prefer": "respond-async, wait=60"}, text=letter * 60000)
            paths.append("/calls/" + answer.headers["x-request-id"])
            assert client.get(paths[-1]).status_code == 200
        for path in paths:
            wait_for(lambda: client.get(path).status_code == 404)


def test_the_result_comes_late_as_it_would_have_come(client) -> None:
    answer = client.post("/tools/add", json={"a": 1, "b": 2}, headers={"prefer": "respond-async"})
    assert answer.status_code == 202
    wait_until_done(client, answer.headers["location"])
    late = client.get(answer.headers["location"] + "/result")
    assert (late.status_code, late.json()) == (200, 3)


def test_what_was_announced_and_then_refused_is_found(start_gateway, tmp_path: Path) -> None:
    go = tmp_path / "go"
    gateway = start_gateway("--workers", "1", "--adapter", "holder.Holder")
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        execute(client, "wait", {"prefer": "respond-async"}, file=str(go))
        body = {"tool": "echo", "queue_timeout_ms": 100}
        headers = {"prefer": "respond-async", "idempotency-key": "announced"}
        answer = client.post("/execute", json=body, headers=headers)
        assert answer.status_code == 202
        call = wait_until_done(client, answer.headers["location"])
        assert (call["end"], call["outcome"]["instance"]) == ("queue_timeout", "/execute")
        late = client.get(answer.headers["location"] + "/result")
        assert (late.status_code, late.json()["code"]) == (503, "queue_timeout")
        go.touch()
        again = client.post("/execute", json={**body, "queue_timeout_ms": 9000}, headers=headers)
        assert again.headers["location"] != answer.headers["location"]  # it did not run: the key was free


def test_a_result_too_large_to_be_kept_leaves_a_problem_and_does_not_run_again(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", "--calls-keep-size", "100k")
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        headers = {"prefer": "respond-async, wait=9", "idempotency-key": "large"}
        first = execute(client, "echo", headers, message="x" * 200_000)
        assert first.status_code == 200  # who waited has it
        call = client.get("/calls/" + first.headers["x-request-id"]).json()
        assert call["outcome"]["code"] == "result_too_large"
        assert call["outcome"]["executed"] == "yes"
        again = execute(client, "echo", headers, message="x" * 200_000)
        assert (again.status_code, again.json()["code"]) == (500, "result_too_large")
        assert again.headers["idempotency-replayed"] == "true"


def test_a_wait_may_stand_in_quotes(client) -> None:
    answer = execute(client, "sleep", {"prefer": 'respond-async; x=y, wait="10"'}, seconds=0.1)
    assert answer.status_code == 200


@pytest.mark.parametrize("http2", [False, True])
def test_an_idempotency_key_is_given_once(gateway, http2: bool) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False, http1=not http2, http2=http2) as client:
        headers = [("idempotency-key", "a"), ("idempotency-key", "a"), ("content-type", "application/json")]
        answer = client.post("/execute", content=b'{"tool":"echo"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "once" in answer.json()["detail"]
