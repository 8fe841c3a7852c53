"""What comes with a request besides its arguments, as tools see it: context.metadata."""

from typing import Any, Iterator

import httpx
import pytest
from test_openapi import check


@pytest.fixture(scope="module")
def client(tmp_path_factory: Any) -> Iterator[httpx.Client]:
    from conftest import Gateway

    path = tmp_path_factory.mktemp("metadata") / "snakepit.yaml"
    path.write_text(
        "metadata: {headers: [x-tenant, accept-language], limit: 1KiB}\n"
        "pools: [{name: default, adapter: telling.Telling, workers: 2}]\n"
    )
    made = Gateway("--config", str(path))
    with httpx.Client(base_url=made.url, trust_env=False, timeout=30) as each:
        yield each
    made.stop()


def test_the_bodys_metadata_arrives(client: httpx.Client) -> None:
    given = {"user": "ada", "nested": {"a": [1, None]}, "é": "\u20ac"}
    answer = client.post("/execute", json={"tool": "metadata", "metadata": given})
    check(answer, "/execute", "post")
    assert answer.json()["result"] == given


def test_headers_that_are_named_arrive(client: httpx.Client) -> None:
    headers = {"x-tenant": 'a"b', "accept-language": "de", "x-other": "no"}
    answer = client.post("/tools/metadata", json={}, headers=headers)
    assert answer.json() == {"x-tenant": 'a"b', "accept-language": "de"}


@pytest.mark.parametrize("text", ['{"x-tenant": "body"}', '{ "x-tenant" : "body" }', '{\n}'])
def test_the_body_goes_before_the_headers(client: httpx.Client, text: str) -> None:
    body = '{"tool": "metadata", "metadata": %s}' % text
    headers = {"content-type": "application/json", "x-tenant": "header"}
    expected = "body" if "body" in text else "header"
    assert client.post("/execute", content=body, headers=headers).json()["result"]["x-tenant"] == expected


def test_without_any_it_is_empty(client: httpx.Client) -> None:
    assert client.post("/execute", json={"tool": "metadata"}).json()["result"] == {}
    assert client.post("/execute", json={"tool": "metadata", "metadata": {}}).json()["result"] == {}


def test_it_goes_along_to_tools_that_are_called(client: httpx.Client) -> None:
    body = {"tool": "metadata_of_another", "metadata": {"user": "ada"}}
    assert client.post("/execute", json=body).json()["result"] == {"user": "ada"}


def test_it_may_come_in_a_query(client: httpx.Client) -> None:
    answer = client.get("/stream", params={"tool": "metadata_stream", "metadata": '{"a": 1}'})
    assert 'data: {"a":1}' in answer.text


@pytest.mark.parametrize("header", [False, True])
def test_too_much_is_refused(client: httpx.Client, header: bool) -> None:
    body = {"tool": "metadata", "metadata": {"a": "x" * (1015 if header else 1100)}}
    answer = client.post("/execute", json=body, headers={"x-tenant": "t"} if header else {})
    check(answer, "/execute", "post")
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "payload_too_large", 1024)


@pytest.mark.parametrize("value", [1, "x", [], None])
def test_it_must_be_an_object(client: httpx.Client, value: Any) -> None:
    answer = client.post("/execute", json={"tool": "metadata", "metadata": value})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/metadata")


def test_a_header_that_is_not_plain_is_left_out(client: httpx.Client) -> None:
    headers = {"x-tenant": "tab\there", "accept-language": "en"}
    assert client.post("/tools/metadata", json={}, headers=headers).json() == {"accept-language": "en"}
