"""POST /tools/{name}: what its query says of the call, with bodies of every kind."""

from typing import Any, Dict, Iterator

import httpx
import pytest
from served import wait_for

SECONDS = 30


@pytest.fixture(scope="module")
def paths(start_shared_gateway, tmp_path_factory) -> Any:
    config = tmp_path_factory.mktemp("paths") / "snakepit.yaml"
    config.write_text(
        "pools:\n"
        "  - {name: first, adapter: tool_paths.Paths, workers: 2, snakebridge_allow: [fractions]}\n"
        "  - {name: second, adapter: tool_paths.Paths, workers: 1}\n"
    )
    return start_shared_gateway("--config", str(config))


@pytest.fixture
def client(paths) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=paths.url, trust_env=False, timeout=SECONDS) as made:
        yield made


def receive(client: httpx.Client, **query: Any) -> Dict[str, Any]:
    answer = client.post("/tools/receive", params=query, content=b"bytes")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_body_of_bytes_joins_the_session_of_the_query(client: httpx.Client) -> None:
    assert receive(client, session_id="binary", correlation_id="c-1") == {
        **receive(client, session_id="binary", correlation_id="c-1"),
        "session": "binary",
        "correlation": "c-1",
    }
    assert client.get("/sessions/binary").json()["calls"] == 2


def test_a_form_joins_the_session_of_the_query(client: httpx.Client) -> None:
    files = {"image": ("a.png", b"png", "image/png")}
    answer = client.post("/tools/form", params={"session_id": "formed"}, files=files, data={"lang": "de"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["session"], answer.json()["lang"]) == ("formed", "de")


def test_references_of_a_session_are_found_again_though_there_are_two_workers(client: httpx.Client) -> None:
    make = {"python_module": "fractions", "call_type": "class", "class": "Fraction", "args": [1, 2]}
    for number in range(10):
        query = {"session_id": f"bridge-{number}", "affinity": "strict_queue"}
        half = client.post("/tools/snakebridge.call", params=query, json=make)
        assert half.status_code == 200, half.text
        get = {"call_type": "get_attr", "instance": half.json(), "attr": "denominator"}
        for _ in range(3):
            answer = client.post("/tools/snakebridge.call", params=query, json=get)
            assert (answer.status_code, answer.text) == (200, "2")


def test_calls_of_one_affinity_key_go_to_one_worker(client: httpx.Client) -> None:
    assert len({receive(client, affinity_key="resnet")["pid"] for _ in range(10)}) == 1


def test_the_query_chooses_the_pool(client: httpx.Client) -> None:
    answers = [client.post("/tools/receive", params={"pool": name}, content=b"x") for name in ("first", "second")]
    assert [each.headers["x-snakepit-worker"].partition("-")[0] for each in answers] == ["first", "second"]
    answer = client.post("/tools/receive", params={"pool": "third"}, content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (404, "pool_not_found")


def test_the_query_limits_the_time(client: httpx.Client) -> None:
    answer = client.post("/tools/nap", params={"timeout_ms": 100}, json={"seconds": 20})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize(
    "query,pointer",
    [
        ("colour=1", "/colour"),
        ("args={}", "/args"),
        ("tool=nap", "/tool"),
        ("session_id=a&session_id=b", "/session_id"),
        ("timeout_ms=soon", "/timeout_ms"),
        ("affinity=loose", "/affinity"),
        ("session_id=" + "x" * 129, "/session_id"),
    ],
)
def test_what_the_query_cannot_say_is_refused(client: httpx.Client, query: str, pointer: str) -> None:
    answer = client.post("/tools/receive?" + query, content=b"x")
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_request"
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_a_session_of_the_query_that_the_gateway_named_must_be_there(client: httpx.Client) -> None:
    answer = client.post("/tools/receive?session_id=s-nothing", content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")


def test_calls_with_an_idempotency_key_differ_by_their_session(client: httpx.Client) -> None:
    key = {"idempotency-key": "tool-paths-1"}
    first = client.post("/tools/receive?session_id=key-a", content=b"x", headers=key)
    assert first.json()["session"] == "key-a"
    other = client.post("/tools/receive?session_id=key-b", content=b"x", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_the_query_says_how_strict_a_session_is(client: httpx.Client) -> None:
    query = {"session_id": "waits", "affinity": "strict_fail_fast"}
    assert client.post("/tools/nap", params=query, json={"seconds": 0}).status_code == 200
    headers = {"prefer": "respond-async"}
    busy = client.post("/tools/nap", params=query, json={"seconds": 600}, headers=headers).headers["location"]
    wait_for(lambda: client.get(busy).json()["state"] != "queued")
    refused = client.post("/tools/nap", params=query, json={"seconds": 0})
    assert (refused.status_code, refused.json()["code"]) == (503, "worker_busy")
    assert client.delete(busy).status_code == 204
