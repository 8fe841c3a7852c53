"""Holds openapi/openapi.yaml and the server together, both ways: what is described is served as
described, and what is served is described.

Snakepit 5, 72.
"""

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import httpx
import jsonschema
import pytest
import yaml
from served import wait_for

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "openapi" / "openapi.yaml"
METHODS = {"get", "post", "put", "patch", "delete"}
DOCUMENT: Dict[str, Any] = yaml.safe_load(SOURCE.read_text())
# Every path of design/http-api.md, and a few that servers have by accident.
CANDIDATES = """
/ /stream /sessions /sessions/s /sessions/s/variables /sessions/s/variables/v /tools /tools/echo
/execute /pools /pools/default /pools/default/reload /pools/default/poison /pools/default/x /workers
/workers/default-1 /workers/default-1/recycle /calls /calls/c /calls/c/events
/calls/c/tool_results/1 /livez /readyz /startupz /healthz /health /metrics
/openapi.json /openapi.yaml /docs /docs/ /favicon.ico /debug /static /problems/worker_crash /version
/status""".split()


def resolve(node: Dict[str, Any]) -> Dict[str, Any]:
    """Follow a $ref."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def validate(schema: Dict[str, Any], value: Any) -> None:
    """Against a schema of the document, whose references point into the document."""
    whole = {"components": DOCUMENT["components"], "allOf": [schema]}
    jsonschema.Draft202012Validator(whole).validate(value)


def operations() -> Iterator[Tuple[str, str, Dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def described_path(path: str) -> str:
    """The path of the document that a real path belongs to, or ""."""
    for pattern in sorted(DOCUMENT["paths"], key=lambda each: "{" in each):
        literals = map(re.escape, re.split(r"\{[a-z_]+\}", pattern))
        if re.fullmatch("[^/]+".join(literals), path):
            return pattern
    return ""


def check(answer: httpx.Response, path: str, method: str) -> None:
    """The answer is one of those described: status, headers, content type, schema."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    described = responses.get(str(answer.status_code))
    if not described and answer.json().get("executed") == "yes":
        described = responses.get(f"{answer.status_code // 100}XX")  # the tool has chosen it
    assert described, f"{method} {path}: {answer.status_code} is not described: {answer.text[:500]}"
    response = resolve(described)
    for name, header in response.get("headers", {}).items():
        header = resolve(header)
        if header.get("required"):
            assert name in answer.headers, f"{method} {path} {answer.status_code}: no {name}"
        if name in answer.headers:
            validate(header["schema"], answer.headers[name])
    content = response.get("content", {})
    if answer.status_code == 204:
        assert not answer.content and not content
        return
    got = answer.headers["content-type"]
    matches = [each for each in content if each.split(";")[0] == got.split(";")[0]]
    if not matches and "*/*" in content:
        matches = ["*/*"]
    assert matches, f"{method} {path} {answer.status_code}: {got} is not described"
    if "json" in got:
        validate(content[matches[0]].get("schema", {}), answer.json())


@pytest.fixture(scope="module")
def client(gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as each:
        yield each


# --- the document itself ---


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for member in node.values():
            yield from references(member)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_references_lead_somewhere_and_nothing_is_unused() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        resolve({"$ref": reference})
    for kind, members in DOCUMENT["components"].items():
        for name in members:
            assert f"#/components/{kind}/{name}" in used, f"{kind}/{name} is not used"


def test_schemas_are_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_operations_have_what_readers_need() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        assert set(operation["tags"]) <= tags, (path, method)


def examples_of(content: Dict[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for example in content.get("examples", {}).values():
        yield example["value"]


def test_examples_fit_their_schemas() -> None:
    count = 0
    for _, _, operation in operations():
        bodies = [operation.get("requestBody", {}), *map(resolve, operation["responses"].values())]
        for body in bodies:
            for content in body.get("content", {}).values():
                for example in examples_of(content):
                    validate(content["schema"], example)
                    count += 1
    assert count > 5


def test_the_conversion_is_the_same_every_time(tmp_path: Path) -> None:
    outputs = []
    for name in ("a", "b"):
        target = tmp_path / name
        subprocess.run(
            [sys.executable, ROOT / "openapi" / "to_json.py", SOURCE, target], check=True
        )
        outputs.append(target.read_bytes())
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0]) == DOCUMENT


# --- described, therefore served ---


def test_what_is_served_is_the_file(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == DOCUMENT


def real_path(path: str, tool: str = "echo", worker: str = "default-1", call: str = "c") -> str:
    """A path of the document with its placeholders filled in."""
    if path.startswith("/tools"):
        return path.replace("{name}", tool)
    ids = {"workers": worker, "sessions": "alice"}
    path = path.replace("{n}", "1")
    return path.replace("{name}", "default").replace("{id}", ids.get(path.split("/")[1], call))


def some_worker(client: httpx.Client) -> str:
    """The id of one that is ready and is not about to be replaced."""
    while True:
        reloads = client.get("/pools/default").json()["reload"]["state"] in ("loading", "replacing")
        for worker in client.get("/workers").json()["workers"]:
            if worker["state"] == "ready" and not worker["retiring"] and not reloads:
                return worker["id"]
        time.sleep(0.01)


@contextlib.contextmanager
def running_call(gateway) -> Iterator[str]:
    """The id of a call that runs for as long as nobody cancels it."""
    call = f"call-{time.monotonic_ns()}"
    body = {"tool": "sleep", "args": {"seconds": 600}}
    thread = threading.Thread(
        target=httpx.post,
        args=(gateway.url + "/execute",),
        kwargs={"json": body, "headers": {"x-request-id": call}, "timeout": 60},
    )
    thread.start()
    wait_for(lambda: httpx.get(f"{gateway.url}/calls/{call}").json().get("state") == "running")
    yield call
    httpx.delete(f"{gateway.url}/calls/{call}")
    thread.join()


def kept_call(client: httpx.Client) -> str:
    """The id of a stream that is done and kept."""
    body = {"tool": "countdown", "on_disconnect": "detach"}
    return client.post("/stream", json=body).headers["x-request-id"]


# What a path needs in its query to be answered well.
QUERIES = {("/stream", "get"): {"tool": "countdown", "args": '{"n":2}'}}


# What needs more than the demo: see test_callers_tools.py and test_callbacks.py.
ELSEWHERE = {("/calls/{id}/tool_results/{n}", "post"), ("/tools", "post"), ("/tools/{name}", "delete")}


@pytest.mark.parametrize("path,method", [(p, m) for p, m, _ in operations() if (p, m) not in ELSEWHERE])
def test_every_operation_answers_as_described(
    gateway, client: httpx.Client, path: str, method: str
) -> None:
    with contextlib.ExitStack() as stack:
        call = stack.enter_context(running_call(gateway)) if path == "/calls/{id}" else ""
        if path in ("/calls/{id}/result", "/calls/{id}/events"):
            call = kept_call(client)
        url = real_path(path, worker=some_worker(client), call=call)
        query = QUERIES.get((path, method))
        client.post("/sessions", json={"id": "alice"})
        if method != "put" and path.endswith("/variables/{name}"):
            client.put(url, json={"value": 1})
        answer = client.request(method, url, params=query, **minimal_body(path, method))
    described = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) == min(described), answer.text
    check(answer, path, method)


def minimal_body(path: str, method: str) -> Dict[str, Any]:
    if "requestBody" not in DOCUMENT["paths"][path][method]:
        return {}
    bodies = {
        "/execute": {"tool": "echo"},
        "/stream": {"tool": "countdown"},
        "/sessions": {"id": "alice"},
        "/sessions/{id}/variables/{name}": {"value": 1},
    }
    return {"json": bodies.get(path, {})}


def test_request_examples_are_answered(client: httpx.Client) -> None:
    for path, method, operation in operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in examples_of(content):
            answer = client.request(method, real_path(path, tool="add"), json=example)
            assert answer.status_code in (200, 201), (path, example, answer.text)
            check(answer, path, method)


def test_header_examples_are_answered(client: httpx.Client) -> None:
    parameters = DOCUMENT["components"]["parameters"].values()
    headers = {
        p["name"]: p["example"] for p in parameters if p["in"] == "header" and "example" in p
    }
    assert set(headers) == {
        "request-timeout", "grpc-timeout", "priority", "prefer", "idempotency-key"
    }
    answer = client.post("/execute", json={"tool": "echo"}, headers=headers)
    assert answer.status_code == 200, answer.text


def test_every_member_of_the_envelope_is_known_and_no_other(client: httpx.Client) -> None:
    values = {"string": "default", "integer": 5, "object": {}, "boolean": True}
    for name, schema in DOCUMENT["components"]["schemas"]["Execute"]["properties"].items():
        schema = resolve(schema)
        body = {"tool": "echo", name: schema.get("enum", [values[schema["type"]]])[0]}
        if name in ("tool", "command"):
            body = {name: "echo"}
        if name.endswith("_ms"):
            body[name] = 5000
        answer = client.post("/execute", json=body)
        assert answer.status_code == 200, (name, answer.text)
    later = [
        "metadata",
        "stream",
        "x",
    ]
    for name in later:
        answer = client.post("/execute", json={"tool": "echo", name: 1})
        assert answer.status_code == 400, name
        assert name in answer.json()["detail"]


FAILURES: List[Tuple[str, str, Dict[str, Any], int]] = [
    ("post", "/execute", {"content": "{"}, 400),
    ("post", "/execute", {"json": {}}, 400),
    ("post", "/execute", {"json": {"tool": "echo", "colour": 1}}, 400),
    ("post", "/execute", {"json": {"tool": "nothing"}}, 404),
    ("post", "/calls/c/tool_results/1", {"json": {"result": 1}}, 404),
    ("post", "/calls/c/tool_results/1", {"json": {}}, 400),
    ("post", "/stream", {"json": {"tool": "countdown", "tools": 1}}, 400),
    ("post", "/tools", {"json": {"name": "x"}}, 400),
    ("post", "/tools", {"json": {"name": "x", "callback": {"url": "http://a/"}}}, 403),
    ("delete", "/tools/nothing", {}, 404),
    ("get", "/tools?session_id=nothing", {}, 404),
    ("post", "/execute", {"json": {"tool": "echo", "pool": "nothing"}}, 404),
    ("post", "/execute", {"content": "x", "headers": {"content-type": "text/plain"}}, 415),
    ("post", "/execute", {"json": {"tool": "add"}}, 422),
    ("post", "/execute", {"json": {"tool": "fail"}}, 500),
    ("post", "/execute", {"json": {"tool": "crash"}}, 502),
    ("post", "/execute", {"json": {"tool": "crash", "args": {"how": "exit", "code": 3}}}, 502),
    (
        "post",
        "/execute",
        {"json": {"tool": "sleep", "args": {"seconds": 9}, "timeout_ms": 100}},
        504,
    ),
    (
        "post",
        "/execute",
        {"json": {"tool": "sleep", "args": {"seconds": 9}, "run_timeout_ms": 100}},
        504,
    ),
    ("post", "/execute", {"json": {"tool": "echo", "priority": 8}}, 400),
    ("post", "/execute", {"json": {"tool": "echo"}, "headers": {"request-timeout": "soon"}}, 400),
    ("post", "/tools/echo", {"json": {}, "headers": {"grpc-timeout": "1"}}, 400),
    ("post", "/tools/sleep", {"json": {"seconds": 9}, "headers": {"grpc-timeout": "100m"}}, 504),
    ("post", "/execute", {"json": {"tool": "echo", "session_id": "s-unknown"}}, 404),
    ("post", "/execute", {"json": {"tool": "echo", "session_id": "-"}}, 400),
    ("post", "/sessions", {"json": {"id": "s-mine"}}, 400),
    ("post", "/sessions", {"json": {"affinity": "loose"}}, 400),
    ("post", "/sessions", {"json": {"pool": "nothing"}}, 404),
    ("post", "/sessions", {"content": "{}", "headers": {"content-type": "text/plain"}}, 415),
    ("post", "/sessions", {"content": b" " * 80000}, 413),
    ("get", "/sessions?limit=0", {}, 400),
    ("get", "/sessions?after=nothing", {}, 400),
    ("get", "/sessions/nothing", {}, 404),
    ("get", "/sessions/alice?x=1", {}, 400),
    ("delete", "/sessions/alice/variables/n?x=1", {}, 400),
    ("post", "/execute?x=1", {"json": {"tool": "echo"}}, 400),
    ("post", "/stream", {"json": {"tool": "count", "args": {"n": 1}}, "headers": {"last-event-id": "x"}}, 400),
    ("get", "/pools?x=1", {}, 400),
    ("get", "/workers?x=1", {}, 400),
    ("get", "/calls/nothing?x=1", {}, 400),
    ("get", "/calls/nothing/events?x=1", {}, 400),
    ("patch", "/sessions/nothing", {"json": {}}, 404),
    ("delete", "/sessions/nothing", {}, 404),
    ("get", "/sessions/nothing/variables", {}, 404),
    ("get", "/sessions/alice/variables?x=1", {}, 400),
    ("get", "/sessions/alice/variables/nothing", {}, 404),
    ("delete", "/sessions/alice/variables/nothing", {}, 404),
    ("delete", "/sessions/alice/variables/n", {"headers": {"if-match": '"9"'}}, 412),
    ("delete", "/sessions/alice/variables/n", {"headers": {"if-match": ""}}, 400),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1}, "headers": {"if-match": ""}}, 400),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1}, "headers": {"if-none-match": ""}}, 400),
    ("put", "/sessions/alice/variables/n",
     {"json": {"value": 1}, "headers": [("if-match", '"1"'), ("if-match", '"2"')]}, 400),
    ("put", "/sessions/alice/variables/n", {"json": {}}, 400),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1, "expected_version": 9}}, 409),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1}, "headers": {"if-match": '"9"'}}, 412),
    ("put", "/sessions/alice/variables/n", {"json": {"value": "x" * (1 << 20)}}, 413),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1, "type": "string"}}, 422),
    ("patch", "/sessions/s-nothing/variables", {"json": {}}, 404),
    ("patch", "/sessions/alice/variables", {"json": {"set": 1}}, 400),
    ("patch", "/sessions/alice/variables", {"content": "{}", "headers": {"content-type": "text/plain"}}, 415),
    ("patch", "/sessions/alice/variables", {"json": {"set": {"n": {"value": 1, "type": "list"}}}}, 422),
    ("patch", "/sessions/alice/variables", {"json": {"set": {f"n{i}": {"value": 1} for i in range(1001)}}}, 429),
    ("get", "/pools/nothing", {}, 404),
    ("patch", "/pools/nothing", {"json": {}}, 404),
    ("patch", "/pools/default", {"json": {"size": 1}}, 400),
    ("patch", "/pools/default", {"json": {"max": 0}}, 422),
    ("patch", "/pools/default", {"json": {"min": "1"}}, 400),
    ("patch", "/pools/default", {"content": "{}", "headers": {"content-type": "text/plain"}}, 415),
    ("patch", "/pools/default", {"content": b" " * 70000}, 413),
    ("post", "/pools/nothing/reload", {}, 404),
    ("post", "/pools/default/reload", {"json": {}}, 413),
    ("get", "/pools/nothing/poison", {}, 404),
    ("delete", "/pools/nothing/poison", {}, 404),
    ("delete", "/pools/default/poison?fingerprint=x", {}, 400),
    ("get", "/workers/nothing", {}, 404),
    ("post", "/workers/nothing/recycle", {}, 404),
    ("get", "/calls/nothing", {}, 404),
    ("delete", "/calls/nothing", {}, 404),
    ("post", "/execute?" + "x" * 9000, {"json": {"tool": "echo"}}, 414),
    ("post", "/tools/echo", {"content": "{", "headers": {"content-type": "application/json"}}, 400),
    ("post", "/tools/echo", {"json": []}, 400),
    ("post", "/tools/nothing", {"json": {}}, 404),
    ("post", "/tools/add", {"json": {}}, 422),
    ("post", "/tools/fail", {"json": {}}, 500),
    ("post", "/tools/crash", {"json": {}}, 502),
    ("get", "/tools/nothing", {}, 404),
    ("post", "/stream", {"json": {"tool": "echo"}}, 501),
    ("get", "/stream?tool=countdown", {"headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("post", "/tools/echo", {"content": "x", "headers": {"sec-fetch-site": "same-site"}}, 403),
    ("post", "/sessions", {"headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("delete", "/sessions/alice", {"headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("put", "/sessions/alice/variables/n", {"json": {"value": 1}, "headers": {"sec-fetch-site": "same-site"}}, 403),
    ("post", "/tools", {"content": "{}", "headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("post", "/execute", {"content": b'{"tool": "echo"}', "headers": {"origin": "http://evil.example"}}, 403),
    ("post", "/tools/echo", {"content": "x", "headers": {"origin": "null"}}, 403),
    ("get", "/stream?tool=countdown", {"headers": {"origin": "https://evil.example"}}, 403),
    ("post", "/tools", {"content": "{}", "headers": {"content-type": "text/plain"}}, 415),
    ("post", "/calls/c/tool_results/1", {"content": "x", "headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("patch", "/pools/default", {"json": {}, "headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("post", "/workers/nothing/recycle", {"headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("delete", "/calls/nothing", {"headers": {"sec-fetch-site": "cross-site"}}, 403),
    ("post", "/execute", {"json": {"tool": "echo"}, "headers": {"content-encoding": "gzip"}}, 415),
    ("post", "/tools/echo", {"content": "x", "headers": {"content-encoding": "br"}}, 415),
    ("post", "/tools/add", {"content": "x", "headers": {"content-type": "image/png"}}, 415),
    ("post", "/pools/default/reload", {"content": "x"}, 413),
    ("post", "/stream", {"json": {"tool": "countdown"}, "headers": {"accept": "image/png"}}, 406),
    ("post", "/stream", {"json": {"tool": "countdown", "on_disconnect": "x"}}, 400),
    ("post", "/execute", {"json": {"tool": "echo", "on_disconnect": "detach"}}, 400),
    ("post", "/execute", {"json": {"tool": "echo", "tools": []}}, 400),
    ("post", "/tools/echo?colour=1", {"json": {}}, 400),
    ("get", "/sessions?limit=1&limit=2", {}, 400),
    ("get", "/sessions?limit=1001", {}, 400),
    ("get", "/calls?limit=0", {}, 400),
    ("get", "/calls?after=x", {}, 400),
    ("get", "/calls?after=1.", {}, 400),
    ("get", "/calls?after=99.1", {}, 400),
    ("get", "/tools?session_id=a&session_id=b", {}, 400),
    ("get", "/sessions/alice/variables?names=a&names=b", {}, 400),
    ("post", "/stream", {"json": {"tool": "countdown", "args": {"n": "x"}}}, 422),
    ("post", "/stream", {"content": "x", "headers": {"content-type": "text/plain"}}, 415),
    ("get", "/stream", {}, 400),
    ("get", "/stream?tool=nothing", {}, 404),
    ("get", "/calls/nothing/result", {}, 404),
    ("get", "/calls/nothing/events", {}, 404),
    ("post", "/execute", {"json": {"tool": "echo"}, "headers": {"idempotency-key": ""}}, 400),
]


@pytest.mark.parametrize("method,path,request_,status", FAILURES, ids=range(len(FAILURES)))
def test_failures_are_as_described(
    client: httpx.Client, method: str, path: str, request_: Dict[str, Any], status: int
) -> None:
    client.post("/sessions", json={"id": "alice"})
    client.post("/tools/sleep", json={"seconds": 0})  # else it may be refused as too slow
    answer = client.request(method, path, **request_)
    assert answer.status_code == status, answer.text
    check(answer, described_path(path.partition("?")[0]), method)
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_wait_too_long_is_as_described(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    with running_call(gateway):
        body = {"tool": "sleep", "args": {"seconds": 0}, "queue_timeout_ms": 100}
        answer = httpx.post(gateway.url + "/execute", json=body)
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "queue_timeout"
    check(answer, "/execute", "post")


def test_a_request_that_kills_is_as_described(start_gateway) -> None:
    gateway = start_gateway("--workers", "2")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for _ in range(3):
            assert client.post("/tools/crash", json={}).status_code == 502
        answer = client.post("/execute", json={"tool": "crash"})
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "poison_request"
        check(answer, "/execute", "post")
        answer = client.get("/pools/default/poison")
        assert [each["kills"] for each in answer.json()["poison"]] == [3]
        check(answer, "/pools/{name}/poison", "get")
        fingerprint = answer.json()["poison"][0]["fingerprint"]
        answer = client.delete("/pools/default/poison", params={"fingerprint": fingerprint})
        assert answer.json() == {"cleared": 1}
        check(answer, "/pools/{name}/poison", "delete")


def test_an_open_circuit_is_as_described(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for code in range(5):
            client.post("/tools/crash", json={"how": "exit", "code": code})
        answer = client.post("/tools/echo", json={})
        assert answer.json()["code"] == "circuit_open"
        check(answer, "/tools/{name}", "post")
        assert client.get("/pools/default").json()["breaker"] == {"state": "open", "opened": 1}


def test_a_cancelled_call_is_as_described(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    answers = []

    def call() -> None:
        body = {"tool": "sleep", "args": {"seconds": 20}}
        headers = {"x-request-id": "mine"}
        answers.append(httpx.post(gateway.url + "/execute", json=body, headers=headers, timeout=30))

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: httpx.get(gateway.url + "/calls/mine").status_code == 200)
    check(httpx.get(gateway.url + "/calls"), "/calls", "get")
    assert httpx.delete(gateway.url + "/calls/mine").status_code == 204
    thread.join()
    assert answers[0].status_code == 499
    check(answers[0], "/execute", "post")


def test_a_late_answer_is_as_described(client: httpx.Client) -> None:
    headers = {"prefer": "respond-async"}
    for path, body in (("/execute", {"tool": "echo", "args": {"message": "x"}}), ("/tools/echo", {"message": "x"})):
        location = client.post(path, json=body, headers=headers).headers["location"] + "/result"
        wait_for(lambda: client.get(location).status_code == 200)
        check(client.get(location), "/calls/{id}/result", "get")


def test_large_headers_and_urls_are_as_described(client: httpx.Client) -> None:
    for path, method, operation in operations():
        url = real_path(path, worker="nothing")
        body = minimal_body(path, method)
        check(client.request(method, url + "?" + "x" * 9000, **body), path, method)
        answer = client.request(
            method, url, **body, headers={f"x-{n}": "p" * 4000 for n in range(9)}
        )
        assert answer.status_code == 431, (path, answer.status_code)
        check(answer, path, method)


# --- served, therefore described ---


def allowed(answer: httpx.Response) -> set:
    methods = {each.strip().lower() for each in answer.headers["allow"].split(",")}
    return methods - {"head", "options"}


@pytest.mark.parametrize("path", CANDIDATES)
def test_every_path_and_method_that_is_served_is_described(client: httpx.Client, path: str) -> None:
    described = described_path(path)
    answer = client.request("BREW", path)
    if answer.status_code == 404:
        assert not described, f"{path} is described but not served"
        return
    assert answer.status_code == 405, answer.text
    assert described, f"{path} is served but not described"
    methods = METHODS & set(DOCUMENT["paths"][described])
    assert allowed(answer) == methods
    assert allowed(client.request("OPTIONS", path)) == methods


def test_every_route_in_the_metrics_is_described(client: httpx.Client) -> None:
    client.get("/nothing/at/all")
    routes = set(re.findall(r'route="(/[^"]*)"', client.get("/metrics").text))
    assert "/execute" in routes
    assert routes <= set(DOCUMENT["paths"]), "served but not described"


@pytest.mark.parametrize("name", ["request-timeout", "grpc-timeout"])
@pytest.mark.parametrize(
    "value",
    ["1", "0", "0.0", "0.000", "0.5", "00.5", "5.", ".5", "86400", "86400.0", "86400.1", "86399.9", "79999", "80000",
     "85999", "86000", "86401", "90000", "99999", "100000", "1e3", "-1", "1 ", "01", "00001", "1S", "0S", "100m",
     "00000001H", "99999999H", "123456789S", "S", "1h", "1n"],
)  # fmt: skip
def test_limits_in_headers_are_taken_as_their_patterns_have_them(client: httpx.Client, name: str, value: str) -> None:
    parameters = DOCUMENT["components"]["parameters"].values()
    pattern = next(each["schema"]["pattern"] for each in parameters if each["name"] == name)
    answer = client.post("/execute", json={"tool": "echo"}, headers={name: value.strip()})
    refused = answer.status_code == 400 and answer.json()["code"] == "invalid_request"
    assert refused != bool(re.search(pattern, value.strip())), answer.text
