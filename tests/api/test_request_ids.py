"""Request ids that callers choose: nobody's call is looked at, ended or answered in another's place."""

import json
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

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


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file for which calls wait."""
    return tmp_path / "go"


def start(client: httpx.Client, name: str, go: Path) -> threading.Thread:
    """A call that runs until there is that file."""
    body = {"tool": "wait", "args": {"file": str(go)}}
    url, headers = str(client.base_url.join("/execute")), {"x-request-id": name}
    thread = threading.Thread(target=lambda: httpx.post(url, json=body, headers=headers, timeout=60))
    thread.start()
    return thread


def named(client: httpx.Client, name: str) -> List[Dict[str, Any]]:
    return [each for each in listed(client) if each["request_id"] == name]


def wait_for_named(client: httpx.Client, name: str, count: int) -> None:
    wait_for(lambda: len(named(client, name)) == count)


def test_calls_of_one_id_run_and_are_told_apart_by_nobody(client: httpx.Client, go: Path) -> None:
    threads = [start(client, "twins", go) for _ in range(2)]
    wait_for_named(client, "twins", 2)
    for method, path, code in (("GET", "", 409), ("DELETE", "", 409), ("GET", "/result", 404), ("GET", "/events", 404)):
        answer = client.request(method, "/calls/twins" + path)
        assert answer.status_code == code, answer.text
        assert answer.json()["code"] == ("ambiguous_call" if code == 409 else "call_not_found")
    assert len(named(client, "twins")) == 2
    go.touch()
    for thread in threads:
        thread.join()


def test_any_number_of_calls_may_have_one_id(client: httpx.Client, go: Path) -> None:
    threads = [start(client, "crowd", go) for _ in range(40)]
    wait_for_named(client, "crowd", 40)
    assert client.get("/calls/crowd").status_code == 409
    go.touch()
    for _ in range(20):
        assert client.get("/calls/crowd").status_code in (404, 409)
    for thread in threads:
        thread.join()
    assert client.get("/livez").status_code == 200


def test_a_call_and_a_kept_one_of_its_id_are_told_apart_by_nobody(client: httpx.Client, go: Path) -> None:
    body = {"tool": "echo", "args": {"message": "secret"}}
    later = client.post("/execute", json=body, headers={"x-request-id": "shared", "prefer": "respond-async"})
    assert later.headers["location"] == "/calls/shared"
    thread = start(client, "shared", go)
    wait_for_named(client, "shared", 2)
    assert client.delete("/calls/shared").status_code == 409
    assert client.get("/calls/shared/result").json()["result"] == {"message": "secret"}
    go.touch()
    thread.join()
    assert client.get("/calls/shared/result").json()["result"] == {"message": "secret"}


def test_what_is_kept_gets_an_id_of_its_own(client: httpx.Client) -> None:
    headers = {"x-request-id": "kept-id", "prefer": "respond-async"}
    answers = [
        client.post("/execute", json={"tool": "echo", "args": {"message": number}}, headers=headers)
        for number in range(3)
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[0] == "kept-id"
    assert len(set(ids)) == 3
    assert all(each.startswith("kept-id~") for each in ids[1:])
    for number, answer in enumerate(answers):
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        late = client.get(answer.headers["location"] + "/result")
        while late.status_code == 202:
            late = client.get(answer.headers["location"] + "/result")
        assert late.json()["result"] == {"message": number}
        assert late.json()["meta"]["request_id"] == ids[number]


def test_streams_of_one_id_are_read_by_their_own_readers(client: httpx.Client) -> None:
    body = {"tool": "countdown", "args": {"n": 2}, "on_disconnect": "detach"}
    headers = {"x-request-id": "stream-id", "accept": "application/x-ndjson"}
    answers = [client.post("/stream", json={**body, "args": {"n": n}}, headers=headers) for n in (1, 2)]
    assert answers[0].headers["x-request-id"] == "stream-id"
    for n, answer in zip((1, 2), answers):
        name = answer.headers["x-request-id"]
        assert json.loads(answer.text.split("\n")[0])["data"]["request_id"] == name
        again = client.get(f"/calls/{name}/events", headers={**headers, "last-event-id": "0"})
        assert sum('"chunk"' in line for line in again.text.splitlines()) == n


def test_calls_are_listed_by_pages(client: httpx.Client, go: Path) -> None:
    kept = {
        client.post("/execute", json={"tool": "echo"}, headers={"prefer": "respond-async"}).headers["x-request-id"]
        for _ in range(7)
    }
    threads = [start(client, f"page-{number}", go) for number in range(5)]
    for number in range(5):
        wait_for_named(client, f"page-{number}", 1)
    whole = [each["request_id"] for each in listed(client)]
    found: List[str] = []
    query: Dict[str, Any] = {"limit": 2}
    while True:
        page = client.get("/calls", params=query).json()
        assert len(page["calls"]) <= 2
        found += [each["request_id"] for each in page["calls"]]
        assert page["more"] == ("next" in page)
        if not page["more"]:
            break
        query["after"] = page["next"]
    assert found == whole
    assert kept < set(found)
    assert {f"page-{number}" for number in range(5)} < set(found)
    go.touch()
    for thread in threads:
        thread.join()
