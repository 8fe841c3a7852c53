"""What answers that refuse say about themselves, whoever refuses."""

from pathlib import Path
from typing import Any, Callable, Iterator

import httpx
import pytest

TOOLS = """
from snakepit_bridge import ToolError, tool

@tool
def refuse(status: int) -> None:
    raise ToolError("no", status=status)
"""


@pytest.fixture
def client(gateway: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as made:
        yield made


def test_the_path_is_said_however_long_it_is(client: httpx.Client) -> None:
    path = "/nowhere/" + "x" * 6000
    assert client.get(path).json()["instance"] == path


@pytest.mark.parametrize(
    ("status", "title"), [(418, "Client Error"), (404, "Not Found"), (499, "Client Closed Request")]
)
def test_a_status_without_a_phrase_has_the_title_of_its_class(
    start_gateway: Callable[..., Any], tmp_path: Path, status: int, title: str
) -> None:
    (tmp_path / "refusing.py").write_text(TOOLS)
    gateway = start_gateway("--workers", "1", "--adapter", "refusing", env={"PYTHONPATH": str(tmp_path)})
    answer = httpx.post(f"{gateway.url}/tools/refuse", json={"status": status}, trust_env=False)
    assert (answer.status_code, answer.json()["title"]) == (status, title)


def test_a_quota_that_is_used_up_is_in_headers_too(start_gateway: Callable[..., Any]) -> None:
    gateway = start_gateway("--workers", "1", env={"SNAKEPIT_SESSIONS_LIMIT": "1"})
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        assert client.post("/sessions", json={"ttl_ms": 60000}).status_code == 201
        answer = client.post("/sessions", json={})
    assert answer.status_code == 429
    assert answer.headers["ratelimit-policy"] == '"session_quota_exceeded";q=1'
    assert answer.headers["ratelimit"] == f'"session_quota_exceeded";r=0;t={answer.headers["retry-after"]}'


def test_who_sends_all_of_a_body_that_is_too_large_gets_to_read_the_answer(start_gateway: Callable[..., Any]) -> None:
    gateway = start_gateway("--workers", "1", env={"SNAKEPIT_HTTP_BODY_LIMIT": "24MiB"})
    answer = httpx.post(gateway.url + "/tools/echo", content=b"x" * (32 << 20), headers={"content-type": "a/b"})
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "payload_too_large", 24 << 20)


def test_what_runs_a_tool_has_no_head(client: httpx.Client) -> None:
    for method in ("OPTIONS", "HEAD", "PUT"):
        answer = client.request(method, "/stream?tool=add")
        assert answer.status_code == (204 if method == "OPTIONS" else 405)
        assert answer.headers["allow"] == "POST, GET, OPTIONS"


@pytest.mark.parametrize("path", ["/calls", "/sessions"])
@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_the_length_of_a_page_has_one_range(client: httpx.Client, path: str, limit: str) -> None:
    problem = client.get(path, params={"limit": limit}).json()
    assert problem["detail"] == '"limit" must be a whole number from 1 to 1000'


@pytest.mark.parametrize("name", [".", ".."])
def test_an_id_that_is_no_segment_of_a_path_is_not_taken(client: httpx.Client, name: str) -> None:
    headers = {"x-request-id": name, "prefer": "respond-async"}
    answer = client.post("/execute", json={"tool": "add", "args": {"a": 1, "b": 2}}, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["x-request-id"] != name
    assert client.get(answer.headers["location"]).status_code == 200


def test_a_patch_is_not_taken_for_a_merge(client: httpx.Client) -> None:
    path = client.post("/sessions", json={"metadata": {"a": 1, "b": 2}}).headers["location"]
    headers = {"content-type": "application/merge-patch+json; charset=utf-8"}
    answer = client.patch(path, content=b'{"metadata": {"a": null}}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert client.get(path).json()["metadata"] == {"a": 1, "b": 2}


def test_an_empty_last_event_id_is_none(client: httpx.Client) -> None:
    headers = {"last-event-id": "", "accept": "application/x-ndjson"}
    assert client.get("/stream?tool=countdown&n=1", headers=headers).status_code != 204
