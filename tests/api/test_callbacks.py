"""Tools that callers register, POST /tools, and run themselves: Python calls them by HTTP."""

import json
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
from callback_server import Callback, Client
from served import Gateway, wait_for

SECRET = "s3cret-" + "x" * 20


@pytest.fixture(scope="module", params=["process", "async"])
def gateway(request: Any, callback: Callback, tmp_path_factory: Any) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("callbacks") / "snakepit.yaml"
    slots = "" if request.param == "process" else ", slots: 8"
    path.write_text(
        f"callbacks: {{allow: ['127.0.0.1:{callback.port}', 'localhost', '*.test:81'], timeout: 1h, "
        "response_limit: 64KiB, limit: 20}\n"
        f"pools: [{{name: default, adapter: calling.Agents, profile: {request.param}{slots}, workers: 1}}]\n"
    )
    # A proxy of the environment is not used.
    made = Gateway("--config", str(path), env={"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"})
    yield made
    made.stop()


def test_python_calls_a_registered_tool(client: Client) -> None:
    client.register("look_up")
    client.server.answers["/"] = 200, {}, b'{"found": [1, 2]}'
    assert client.ask("look_up", {"i": 1}) == {"found": [1, 2]}
    seen = client.server.seen[0]
    assert seen["body"] == {"tool": "look_up", "args": {"i": 1}, "request_id": "outer", "correlation_id": "outer"}
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["user-agent"] == "snakepit"
    assert "authorization" not in seen["headers"]


def test_trace_session_and_correlation_go_along(client: Client) -> None:
    client.register("look_up")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"tool": "ask", "args": {"name": "look_up"}, "session_id": "one", "correlation_id": "corr"}
    client.http.post("/execute", json=body, headers={"traceparent": trace})
    seen = client.server.seen[0]
    assert (seen["body"]["session_id"], seen["body"]["correlation_id"]) == ("one", "corr")
    assert seen["headers"]["traceparent"] == trace


def test_the_secret_is_sent_and_shown_to_nobody(client: Client, gateway: Any) -> None:
    client.register("look_up", secret=SECRET)
    client.ask("look_up")
    assert client.server.seen[0]["headers"]["authorization"] == f"Bearer {SECRET}"
    shown = [client.http.get(path).text for path in ("/tools", "/tools/look_up", "/metrics", "/calls")]
    assert not any(SECRET in text for text in shown)
    assert SECRET not in gateway.log()


def test_registered_tools_are_listed(client: Client) -> None:
    client.register("look_up")
    listed = {tool["name"]: tool for tool in client.http.get("/tools").json()["tools"]}
    assert listed["look_up"] == client.http.get("/tools/look_up").json()
    assert listed["look_up"]["callback"] is True
    assert "127.0.0.1" not in json.dumps(listed["look_up"])
    assert "callback" not in listed["ask"]


def test_python_sees_them(client: Client) -> None:
    client.register("add")
    names = client.http.post("/execute", json={"tool": "names"}).json()["result"]
    assert "add" in names


def test_a_tool_that_was_taken_out_is_not_found(client: Client) -> None:
    client.register("look_up")
    assert client.http.delete("/tools/look_up").status_code == 204
    assert client.http.delete("/tools/look_up").status_code == 404
    assert client.http.get("/tools/look_up").status_code == 404
    assert client.ask("look_up")["code"] == "tool_not_found"


def test_a_name_is_taken_once(client: Client) -> None:
    """Snakepit 55."""
    client.register("look_up")
    for name in ("look_up", "ask"):
        answer = client.http.post("/tools", json=client.describe(name))
        assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_tool")


def test_a_batch_is_registered_whole_or_not_at_all(client: Client) -> None:
    """Snakepit 55."""
    batch = [client.describe("one"), client.describe("two")]
    answer = client.http.post("/tools", json={"tools": batch})
    assert (answer.status_code, answer.json()) == (201, {"tools": ["one", "two"]})
    answer = client.http.post("/tools", json={"tools": [client.describe("three"), client.describe("one")]})
    assert answer.status_code == 409
    assert client.http.get("/tools/three").status_code == 404


def test_what_of_a_schema_cannot_be_checked_is_said(client: Client) -> None:
    schema = {"type": "object", "properties": {"x": {"unevaluatedItems": False}}}
    tool = {**client.describe("loose"), "schema": schema}
    answer = client.http.post("/tools", json=tool)
    assert answer.status_code == 201, answer.text
    problems = answer.json()["schema_problems"]["loose"]
    assert [each["pointer"] for each in problems] == ["/properties/x/unevaluatedItems"]
    assert client.http.get("/tools/loose").json()["schema_problems"] == problems


def test_the_number_of_tools_is_limited(client: Client) -> None:
    batch = [client.describe(f"t{i}") for i in range(20)]
    assert client.http.post("/tools", json={"tools": batch}).status_code == 201
    answer = client.http.post("/tools", json=client.describe("more"))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["limit"]) == (429, "tool_quota_exceeded", 20)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "-"}, "/name"), ({"name": 1}, "/name"), ({"schema": 1}, "/schema"), ({"callback": None}, "/callback"),
        ({"description": 1}, "/description"), ({"other": 1}, "/other"), ({"callback": {}}, "/callback/url"),
        ({"tools": []}, "/tools"), ({"callback": {"url": 1}}, "/callback/url"),
        ({"callback": {"url": "http://127.0.0.1/", "secret": "a b"}}, "/callback/secret"),
        ({"callback": {"url": "http://127.0.0.1/", "timeout_ms": 0}}, "/callback/timeout_ms"),
        ({"callback": {"url": "http://127.0.0.1/", "more": 0}}, "/callback/more"),
        ({"callback": {"url": "ftp://127.0.0.1/"}}, "/callback/url"),
        ({"callback": {"url": "http://a@127.0.0.1/"}}, "/callback/url"),
        ({"callback": {"url": "nonsense\u0000"}}, "/callback/url"),
        ({"callback": {"url": "http://127.0.0.1/" + "x" * 3000}}, "/callback/url"),
        ({"description": "x" * 5000}, "/description"), ({"session_id": 5}, "/session_id"),
        ({"timeout_ms": 1}, "/timeout_ms"),
        ({"schema": {"$schema": "http://json-schema.org/draft-04/schema#"}}, "/schema"),
    ],
)  # fmt: skip
def test_wrong_descriptions_are_refused(client: Client, change: Dict[str, Any], pointer: str) -> None:
    answer = client.http.post("/tools", json={**client.describe("look_up"), **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_of_several_the_wrong_one_is_pointed_at(client: Client) -> None:
    client.register("taken")
    good, other = client.describe("one"), client.describe("two")
    for change, status, pointer in (
        ({"name": "-"}, 400, "/tools/1/name"),
        ({"name": "one"}, 400, "/tools/1/name"),
        ({"callback": {"url": "http://127.0.0.1/", "timeout_ms": 0}}, 400, "/tools/1/callback/timeout_ms"),
        ({"callback": {"url": "http://elsewhere.example/"}}, 403, "/tools/1/callback/url"),
        ({"name": "taken"}, 409, "/tools/1/name"),
    ):
        answer = client.http.post("/tools", json={"tools": [good, {**other, **change}]})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer), answer.text


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://example.org/", "http://localhost.evil.org/",
     "http://a.test/", "http://test:81/", "http://[::1]/", "http://2130706433/"],
)  # fmt: skip
def test_hosts_that_are_not_allowed_are_refused(client: Client, url: str) -> None:
    answer = client.http.post("/tools", json={**client.describe("look_up"), "callback": {"url": url}})
    assert (answer.status_code, answer.json()["code"]) == (403, "callback_denied")


@pytest.mark.parametrize("url", ["http://localhost:99/", "https://LOCALHOST/x?y", "http://a.b.test:81/"])
def test_hosts_that_are_allowed(client: Client, url: str) -> None:
    answer = client.http.post("/tools", json={**client.describe("look_up"), "callback": {"url": url}})
    assert answer.status_code == 201, answer.text


def test_by_default_nothing_is_allowed(start_gateway: Callable[..., Any], callback: Callback) -> None:
    client = Client(start_gateway("--workers", "1").url, callback)
    answer = client.http.post("/tools", json=client.describe("look_up"))
    assert (answer.status_code, answer.json()["code"]) == (403, "callback_denied")


def test_libcurl_is_loaded_only_where_callbacks_are_allowed(
    start_gateway: Callable[..., Any], gateway: Any
) -> None:
    def has_libcurl(found: Any) -> bool:
        return "libcurl" in Path(f"/proc/{found.process.pid}/maps").read_text()

    assert not has_libcurl(start_gateway("--workers", "1"))
    assert has_libcurl(gateway)


def test_a_redirect_is_not_followed(client: Client) -> None:
    client.register("look_up", "/away")
    client.server.answers["/away"] = 302, {"location": "/target"}, b""
    assert client.ask("look_up")["code"] == "callback_redirected"
    assert [seen["path"] for seen in client.server.seen] == ["/away"]


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_an_answer_that_is_too_large_is_refused(client: Client, length: str) -> None:
    client.register("look_up", "/large")
    data = json.dumps("x" * 70000).encode()
    more = {} if length == "known" else {"content-length": "", "connection": "close"}
    client.server.answers["/large"] = 200, more, data
    got = client.ask("look_up")
    assert got["code"] == ("callback_too_large" if length == "known" else got["code"])
    assert got["code"] in ("callback_too_large", "callback_unreachable")


def test_a_slow_callback_times_out(start_gateway: Callable[..., Any], callback: Callback, tmp_path: Any) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(
        f"callbacks: {{allow: ['127.0.0.1:{callback.port}'], timeout: 1s}}\n"
        "pools: [{adapter: calling.Agents, workers: 1}]\n"
    )
    client = Client(start_gateway("--config", str(path)).url, callback)
    client.register("look_up", "/slow")
    begun = time.monotonic()
    with callback.holding("/slow"):
        got = client.ask("look_up")
    assert time.monotonic() - begun > 0.9
    assert (got["class"], got["code"]) == ("ToolCallTimeout", "callback_timeout")


def test_a_tool_may_have_a_limit_of_its_own(client: Client) -> None:
    client.register("look_up", "/slow", timeout_ms=200)
    with client.server.holding("/slow"):
        assert client.ask("look_up")["code"] == "callback_timeout"


def test_who_asks_may_have_less_time_than_the_callback(client: Client) -> None:
    """The code says whose limit it was."""
    client.register("look_up", "/slow", timeout_ms=3600000)
    with client.server.holding("/slow"):
        got = client.http.post("/execute", json={"tool": "ask", "args": {"name": "look_up", "timeout": 0.2}}).json()
    assert (got["result"]["class"], got["result"]["code"]) == ("ToolCallTimeout", "deadline_exceeded")


def test_a_call_that_ends_does_not_wait_for_its_callback(client: Client) -> None:
    client.register("look_up", "/slow")
    body = {"tool": "ask", "args": {"name": "look_up"}, "timeout_ms": 1000}
    with client.server.holding("/slow"):
        answer = client.http.post("/execute", json=body)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    client.server.answers.clear()
    assert client.ask("look_up") == "done"


def test_a_callback_that_is_not_there(client: Client) -> None:
    url = "http://localhost:9/"
    client.http.post("/tools", json={**client.describe("look_up"), "callback": {"url": url, "secret": SECRET}})
    got = client.ask("look_up")
    assert (got["code"], got["status"]) == ("callback_unreachable", 502)
    assert SECRET not in json.dumps(got)


def test_a_problem_becomes_the_error(client: Client) -> None:
    problem = {"type": "/p", "title": "No page", "detail": "there is no such page", "code": "no_such_page", "n": 1}
    client.register("look_up", "/problem")
    client.server.answers["/problem"] = 404, {"content-type": "application/problem+json"}, json.dumps(problem).encode()
    got = client.ask("look_up")
    assert (got["kind"], got["code"], got["status"], got["details"]) == ("ToolError", "no_such_page", 404, problem)
    assert got["message"] == "tool 'look_up': there is no such page"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_another_error_has_its_status(client: Client, body: bytes) -> None:
    client.register("look_up", "/error")
    client.server.answers["/error"] = 500, {}, body
    got = client.ask("look_up")
    assert (got["code"], got["status"], got["message"]) == (
        "callback_failed", 500, "tool 'look_up': the callback answered 500",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [({}, b"", None), ({}, b"[null]", [None]), ({"content-type": "text/plain"}, b"hi", b"hi")],
)
def test_what_a_callback_may_answer(client: Client, headers: Any, body: bytes, expected: Any) -> None:
    client.register("look_up", "/value")
    client.server.answers["/value"] = 200, headers, body
    if isinstance(expected, bytes):
        answer = client.http.post("/execute", json={"tool": "ask", "args": {"name": "look_up"}})
        assert (answer.headers["content-type"], answer.content) == ("application/octet-stream", expected)
    else:
        assert client.ask("look_up") == expected


def test_an_answer_that_is_not_json(client: Client) -> None:
    client.register("look_up", "/broken")
    client.server.answers["/broken"] = 200, {}, b"{"
    assert client.ask("look_up")["code"] == "invalid_result"


def test_arguments_are_checked_before_anything_is_sent(client: Client) -> None:
    client.register("look_up")
    assert client.ask("look_up", {"i": "x"})["code"] == "invalid_arguments"
    assert client.server.seen == []


def test_many_at_once(client: Client) -> None:
    client.register("add")
    client.server.answers["/"] = lambda: time.sleep(0.02) or (200, {}, b"1")
    body = {"tool": "gather", "args": {"n": 40}}
    assert client.http.post("/execute", json=body).json()["result"] == [1] * 40


# --- sessions ---


def test_a_sessions_tool_is_for_its_calls_alone(client: Client) -> None:
    client.register("look_up", "/mine", session="one")
    assert client.ask("look_up", session_id="one") == "done"
    assert client.ask("look_up", session_id="two")["code"] == "tool_not_found"
    assert client.ask("look_up")["code"] == "tool_not_found"
    assert client.http.get("/tools/look_up").status_code == 404
    shown = client.http.get("/tools/look_up?session_id=one").json()
    assert (shown["session_id"], shown["callback"]) == ("one", True)
    assert client.http.delete("/tools/look_up").status_code == 404
    assert client.http.delete("/tools/look_up?session_id=one").status_code == 204


def test_it_goes_before_others_of_its_name(client: Client) -> None:
    client.register("look_up", "/all")
    client.register("look_up", "/one", session="one")
    client.register("names", "/names", session="one")
    client.ask("look_up", session_id="one")
    client.ask("look_up")
    client.ask("names", session_id="one")
    assert [seen["path"] for seen in client.server.seen] == ["/one", "/all", "/names"]
    client.http.delete("/sessions/one")


def test_it_ends_with_the_session(client: Client) -> None:
    """Snakepit 56."""
    client.http.post("/sessions", json={"id": "short"})
    client.register("look_up", session="short")
    assert client.http.delete("/sessions/short").status_code == 204
    assert client.http.get("/tools?session_id=short").status_code == 404
    client.http.post("/sessions", json={"id": "short"})
    assert client.http.get("/tools/look_up?session_id=short").status_code == 404
    assert client.ask("look_up", session_id="short")["code"] == "tool_not_found"


def test_a_session_that_is_not_there(client: Client) -> None:
    body = {**client.describe("look_up"), "session_id": "s-nothing"}
    assert client.http.post("/tools", json=body).json()["code"] == "session_not_found"
    assert client.http.delete("/tools/x?session_id=nothing").json()["code"] == "session_not_found"
    assert client.http.get("/tools?other=1").status_code == 400


def test_the_gateway_leaves_though_a_callback_hangs(
    start_gateway: Callable[..., Any], callback: Callback, tmp_path: Any
) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(
        f"drain_timeout: 100ms\ncallbacks: {{allow: ['127.0.0.1:{callback.port}']}}\n"
        "pools: [{adapter: calling.Agents, workers: 1}]\n"
    )
    gateway = start_gateway("--config", str(path))
    client = Client(gateway.url, callback)
    client.register("look_up", "/hang")
    body = {"tool": "ask", "args": {"name": "look_up"}}
    thread = threading.Thread(target=lambda: client.http.post("/execute", json=body))
    with callback.holding("/hang"):
        thread.start()
        wait_for(lambda: any(seen["path"] == "/hang" for seen in callback.seen))
        gateway.process.terminate()
        gateway.process.wait(60)  # before it was answered
    thread.join()
