"""Registered tools that a client of the gateway runs itself: POST /execute, POST /tools/{name}."""

import concurrent.futures
import json
import socket
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterator, List

import httpx
import pytest
from callback_server import Callback, Client
from served import Gateway, listed, wait_for
from test_openapi import check

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def gateway(callback: Callback, tmp_path_factory: Any) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("callouts") / "snakepit.yaml"
    path.write_text(
        f"callbacks: {{allow: ['127.0.0.1:{callback.port}', 'localhost'], timeout: 1h, pending: 4, "
        "response_limit: 64KiB}\n"
        "tool_calls: {depth: 3}\n"
        "pools: [{name: default, adapter: calling.Agents, workers: 1}]\n"
    )
    made = Gateway("--config", str(path))
    yield made
    made.stop()


def test_execute_runs_a_registered_tool(client: Client) -> None:
    client.register("look_up")
    client.server.answers["/"] = 200, {}, b'{"found": [1, 2]}'
    answer = client.execute(args={"i": 1}, headers={"x-request-id": "mine", "traceparent": TRACE})
    assert answer.status_code == 200, answer.text
    check(answer, "/execute", "post")
    body = answer.json()
    assert body["result"] == {"found": [1, 2]}
    assert body["meta"].pop("run_ms") > 0
    assert body["meta"] == {"request_id": "mine", "callback": True, "attempts": 1, "queue_ms": 0}
    assert answer.headers["server-timing"].startswith("queue;dur=0.000, run;dur=")
    seen = client.server.seen[0]
    assert seen["body"] == {"tool": "look_up", "args": {"i": 1}, "request_id": "mine", "correlation_id": "mine"}
    assert (seen["headers"]["traceparent"], seen["headers"]["x-request-id"]) == (TRACE, "mine")


def test_its_path_runs_it_and_answers_bare(client: Client) -> None:
    client.register("look_up")
    client.server.answers["/"] = 200, {}, b"[1]"
    answer = client.http.post("/tools/look_up", json={"i": 2})
    assert (answer.status_code, answer.content) == (200, b"[1]")
    assert client.server.seen[0]["body"]["args"] == {"i": 2}
    assert client.http.post("/tools/look_up").json() == [1]


def test_bytes_of_a_callback_are_passed_on(client: Client) -> None:
    client.register("look_up")
    client.server.answers["/"] = 200, {"content-type": "image/png"}, b"\x89PNG"
    for answer in (client.execute(), client.http.post("/tools/look_up")):
        assert (answer.headers["content-type"], answer.content) == ("image/png", b"\x89PNG")


def test_a_large_body_arrives_whole(client: Client) -> None:
    client.register("look_up")
    answer = client.execute(args={"text": "x" * 300_000})
    assert answer.status_code == 200, answer.text
    assert client.server.seen[0]["body"]["args"] == {"text": "x" * 300_000}


def test_the_correlation_id_goes_along(client: Client) -> None:
    client.register("look_up")
    client.execute(correlation_id="member")
    client.execute(headers={"x-correlation-id": "usual"})
    client.execute(headers={"x-snakepit-correlation-id": "own"})
    seen = client.server.seen
    assert [each["body"]["correlation_id"] for each in seen] == ["member", "usual", "own"]
    assert [each["headers"]["x-correlation-id"] for each in seen] == ["member", "usual", "own"]


@pytest.mark.parametrize("text", ["\u20ac", "\x7f"])
def test_a_correlation_id_that_is_no_header_stays_in_the_body(client: Client, text: str) -> None:
    client.register("look_up")
    assert client.execute(correlation_id=text).status_code == 200
    seen = client.server.seen[0]
    assert seen["body"]["correlation_id"] == text
    assert "x-correlation-id" not in seen["headers"]


def test_arguments_are_held_against_the_schema(client: Client) -> None:
    client.register("look_up")
    for answer, pointer in ((client.execute(args={"i": "x"}), "/args/i"),
                            (client.http.post("/tools/look_up", json={"i": "x"}), "/i")):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_arguments")
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert client.server.seen == []


def test_bytes_are_no_arguments_for_it(client: Client) -> None:
    client.register("look_up")
    answer = client.http.post("/tools/look_up", content=b"x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert client.server.seen == []


def test_a_slow_callback_times_out_at_the_least_limit(client: Client) -> None:
    """Every other limit is an hour."""
    client.register("own", "/slow", timeout_ms=200)
    client.register("other", "/slow")
    cases = [("own", {}, "callback_timeout", 0.2), ("own", {"timeout_ms": 3600000}, "callback_timeout", 0.2),
             ("other", {"timeout_ms": 300}, "deadline_exceeded", 0.3),
             ("other", {"run_timeout_ms": 300}, "callback_timeout", 0.3)]  # fmt: skip
    with client.server.holding("/slow"):
        for tool, limits, code, expected in cases:
            expect_timeout(client, expected, tool, code, **limits)


def expect_timeout(client: Client, seconds: float, tool: str, code: str, **limits: Any) -> None:
    """The code says whose limit it was."""
    begun = time.monotonic()
    problem = client.execute(tool, **limits).json()
    assert time.monotonic() - begun > seconds - 0.01, (tool, limits)
    assert (problem["status"], problem["code"], problem["category"]) == (504, code, "timeout")
    assert (problem["executed"], problem["tool"]) == ("maybe", tool)


def test_the_configured_limit_holds_where_nothing_else_is_said(
    callback: Callback, start_gateway: Any, tmp_path: Any
) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(f"callbacks: {{allow: ['127.0.0.1:{callback.port}'], timeout: 1s}}\npools: [{{workers: 1}}]\n")
    client = Client(start_gateway("--config", str(path)).url, callback)
    client.register("look_up", "/slow")
    with callback.holding("/slow"):
        expect_timeout(client, 1, "look_up", "callback_timeout")


def test_a_time_limit_may_come_as_a_header(client: Client) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow"):
        assert client.execute(headers={"request-timeout": "0.2"}).status_code == 504


def test_a_client_that_leaves_ends_it(client: Client) -> None:
    client.register("look_up", "/slow")
    name = 'snakepit_callbacks_total{asker="client",end="cancelled"}'
    before = client.metric(name)
    with client.server.holding("/slow"):
        leave_meanwhile(client)
        wait_for(lambda: client.metric(name) == before + 1)
        assert client.metric("snakepit_callbacks_in_flight") == 0


def leave_meanwhile(client: Client, **headers: str) -> None:
    """Ask for `look_up`, and go when its callback has been asked."""
    body = b'{"tool": "look_up"}'
    fields = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection((client.http.base_url.host, client.http.base_url.port)) as connection:
        connection.sendall(f"POST /execute HTTP/1.1\r\n{head}\r\n".encode() + body)
        wait_for(lambda: client.server.seen != [])


def test_it_is_a_call_that_can_be_seen_and_cancelled(client: Client) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow"), concurrent.futures.ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.execute, headers={"x-request-id": "seen"})
        wait_for(lambda: client.http.get("/calls/seen").status_code == 200)
        check(client.http.get("/calls"), "/calls", "get")
        shown = client.http.get("/calls/seen").json()
        assert (shown["tool"], shown["callback"], shown["state"]) == ("look_up", True, "running")
        assert "seen" in [call["request_id"] for call in listed(client.http)]
        assert client.metric("snakepit_callbacks_in_flight") == 1
        assert client.http.delete("/calls/seen").status_code == 204
        problem = asked.result().json()
        assert (problem["status"], problem["code"]) == (499, "cancelled")
        assert client.http.get("/calls/seen").status_code == 404


def test_a_run_that_ends_is_found_at_every_moment(client: Client) -> None:
    client.register("look_up")
    for _ in range(300):
        location = client.execute(headers={"prefer": "respond-async"}).headers["location"]
        call = client.http.get(location)
        while call.status_code == 200 and call.json()["state"] != "done":
            call = client.http.get(location)
        assert call.status_code == 200, call.text


def test_there_may_be_so_many_at_once(client: Client) -> None:
    client.register("look_up", "/slow")
    with concurrent.futures.ThreadPoolExecutor(4) as threads, client.server.holding("/slow"):
        for _ in range(4):
            threads.submit(client.execute)
        wait_for(lambda: client.metric("snakepit_callbacks_in_flight") == 4)
        answer = client.execute()
        problem = answer.json()
        assert (problem["status"], problem["code"], problem["limit"]) == (503, "callbacks_saturated", 4)
        assert int(answer.headers["retry-after"]) >= 1
    assert client.execute().status_code == 200


@pytest.mark.parametrize("status", [404, 418, 507])
def test_what_a_callback_says_of_an_error_is_the_answer(client: Client, status: int) -> None:
    told = {"title": "No page", "detail": "there is no such page", "code": "no_such_page", "n": 1}
    client.register("look_up")
    client.server.answers["/"] = status, {"content-type": "application/problem+json"}, json.dumps(told).encode()
    answer = client.execute(session_id="one")
    problem = answer.json()
    check(answer, "/execute", "post")
    assert answer.status_code == status
    assert (problem["code"], problem["detail"], problem["details"]) == ("no_such_page", "there is no such page", told)
    assert (problem["tool"], problem["session_id"], problem["executed"]) == ("look_up", "one", "yes")


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [(500, {}, b"<html>", "callback_failed"), (404, {}, b"", "callback_failed"), (200, {}, b"{", "invalid_result"),
     (302, {"location": "/x"}, b"", "callback_redirected"), (200, {}, b'"' + b"x" * 70000 + b'"', "callback_too_large"),
     (400, {}, b'{"code": "No\\",\\"x"}', "callback_failed")],
)  # fmt: skip
def test_other_errors_are_the_callbacks_own(client: Client, status: int, headers: Any, body: bytes, code: str) -> None:
    client.register("look_up")
    client.server.answers["/"] = status, headers, body
    answer = client.execute()
    assert answer.json()["code"] == code
    assert answer.status_code == (400 if status == 400 else 502)
    assert (answer.json()["retryable"], answer.json()["executed"]) == (False, "yes")
    assert [seen["path"] for seen in client.server.seen] == ["/"]


@pytest.mark.parametrize(
    "status, wait, body, told",
    [
        (503, "7", b'{"detail": "busy"}', (503, "7", True)),
        (429, "7", b'{"detail": "busy"}', (429, "7", True)),
        (429, "99999999", b'{"detail": "busy"}', (429, "3600", True)),
        (429, "soon", b'{"detail": "busy"}', (429, None, False)),
        (503, "7", b"busy", (502, "7", True)),
        (404, "7", b'{"detail": "gone"}', (404, None, False)),
    ],
)
def test_when_a_callback_wants_to_be_asked_again_is_passed_on(
    client: Client, status: int, wait: str, body: bytes, told: Any
) -> None:
    client.register("look_up")
    client.server.answers["/"] = status, {"retry-after": wait}, body
    answer = client.execute()
    check(answer, "/execute", "post")
    assert (answer.status_code, answer.headers.get("retry-after"), answer.json()["retryable"]) == told


def test_a_callback_that_is_not_there_has_run_nothing(client: Client) -> None:
    client.http.post("/tools", json={**client.describe("look_up"), "callback": {"url": "http://localhost:9/"}})
    problem = client.execute().json()
    assert (problem["status"], problem["code"]) == (502, "callback_unreachable")
    assert (problem["executed"], problem["retryable"]) == ("no", True)


def test_a_sessions_tool_is_run_for_the_session_alone(client: Client) -> None:
    client.register("look_up", "/mine", session="one")
    client.register("ask", "/ask", session="one")
    assert client.execute(session_id="one").json()["result"] == "done"
    assert client.server.seen[0]["body"]["session_id"] == "one"
    assert client.execute(session_id="two").json()["code"] == "tool_not_found"
    assert client.execute().json()["code"] == "tool_not_found"
    client.execute("ask", session_id="one")
    assert [seen["path"] for seen in client.server.seen] == ["/mine", "/ask"]
    assert client.http.get("/sessions/one").json()["calls"] >= 2
    client.http.delete("/sessions/one")


def test_a_pool_that_is_named_has_no_registered_tools(client: Client) -> None:
    client.register("look_up")
    assert client.execute(pool="default").json()["code"] == "tool_not_found"


def test_it_does_not_stream(client: Client) -> None:
    client.register("look_up")
    answer = client.http.post("/stream", json={"tool": "look_up"})
    assert (answer.status_code, answer.json()["code"]) == (501, "streaming_not_supported")
    assert client.server.seen == []


def test_its_runs_are_counted(client: Client) -> None:
    name = 'snakepit_callbacks_total{asker="client",end="%s"}'
    tools = 'snakepit_callbacks_total{asker="tool",end="result"}'
    before = [client.metric(name % "result"), client.metric(name % "failure"), client.metric(tools)]
    client.register("look_up")
    client.execute()
    client.ask("look_up")
    client.server.answers["/"] = 500, {}, b""
    client.execute()
    after = [client.metric(name % "result"), client.metric(name % "failure"), client.metric(tools)]
    assert [now - then for now, then in zip(after, before)] == [1, 1, 1]


# --- depth ---


def test_callbacks_are_told_how_deep_they_are(client: Client) -> None:
    client.register("look_up")
    client.execute()
    client.ask("look_up")
    assert [seen["headers"]["x-snakepit-depth"] for seen in client.server.seen] == ["1", "1"]


def test_a_circle_through_the_world_outside_ends(client: Client) -> None:

    def again() -> Any:
        depth = client.server.seen[-1]["headers"]["x-snakepit-depth"]
        inner = httpx.post(f"{client.http.base_url}/execute", json={"tool": "ask", "args": {"name": "look_up"}},
                           headers={"x-snakepit-depth": depth}, trust_env=False, timeout=10)  # fmt: skip
        return 200, {}, inner.content

    client.register("look_up", "/again")
    client.server.answers["/again"] = again
    got = client.execute(headers={"x-snakepit-depth": "2"})
    assert got.status_code == 200, got.text
    assert got.json()["result"]["result"]["code"] == "tool_call_depth"
    assert len(client.server.seen) == 1


@pytest.mark.parametrize("tool", ["look_up", "deep"])
def test_what_is_too_deep_is_refused(client: Client, tool: str) -> None:
    client.register("look_up")
    assert client.execute(tool, args={"n": 0}, headers={"x-snakepit-depth": "3"}).status_code == 200
    for path, body in (("/execute", {"tool": tool}), (f"/tools/{tool}", {}), ("/stream", {"tool": tool})):
        answer = client.http.post(path, json=body, headers={"x-snakepit-depth": "4"})
        check(answer, path.replace(tool, "{name}"), "post")
        problem = answer.json()
        assert (problem["status"], problem["code"], problem["limit"]) == (508, "tool_call_depth", 3)


@pytest.mark.parametrize("depth", ["x", "-1", "99999", "1,1"])
def test_a_depth_that_is_none_is_refused(client: Client, depth: str) -> None:
    assert client.execute("names", headers={"x-snakepit-depth": depth}).json()["code"] == "invalid_request"


# --- the end ---


def test_one_that_runs_is_waited_for_when_the_gateway_leaves(
    start_gateway: Callable[..., Any], callback: Callback, tmp_path: Any
) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(
        f"callbacks: {{allow: ['127.0.0.1:{callback.port}']}}\npools: [{{adapter: calling.Agents, workers: 1}}]\n"
    )
    gateway = start_gateway("--config", str(path))
    client = Client(gateway.url, callback)
    client.register("look_up", "/slow")
    with concurrent.futures.ThreadPoolExecutor(1) as threads, callback.holding("/slow", b'"late"'):
        asked = threads.submit(client.execute)
        wait_for(lambda: client.metric("snakepit_callbacks_in_flight") == 1)
        gateway.process.terminate()
        wait_for(lambda: '"draining"' in gateway.log())
    assert asked.result().json()["result"] == "late"


def test_a_callback_that_breaks_off_is_not_asked_again(client: Client) -> None:
    """It keeps its connections; on the second request it dies."""
    asked = []

    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            asked.append(1)
            if len(asked) > 1:
                break
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull")
        connection.close()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        body = client.describe("breaks")
        body["callback"]["url"] = f"http://localhost:{listener.getsockname()[1]}/"
        assert client.http.post("/tools", json=body).status_code == 201
        assert client.execute("breaks").status_code == 200
        failed = client.execute("breaks")
        assert (failed.status_code, failed.json()["executed"]) == (502, "maybe"), failed.text
        assert len(asked) == 2
        listener.shutdown(socket.SHUT_RDWR)


# --- later, and again ---


@pytest.fixture
def key() -> Dict[str, str]:
    return {"idempotency-key": str(uuid.uuid4())}


def paths(client: Client) -> List[str]:
    return [seen["path"] for seen in client.server.seen]


def wait_until_done(client: Client, location: str) -> Dict[str, Any]:
    wait_for(lambda: client.http.get(location).json()["state"] == "done")
    return client.http.get(location).json()


def test_the_same_key_gives_the_same_answer_without_running_again(client: Client, key: Dict[str, str]) -> None:
    client.register("look_up")
    client.server.answers["/"] = 200, {}, b'{"found": 1}'
    first, again = (client.execute(args={"i": 1}, headers=key) for _ in range(2))
    assert first.status_code == 200, first.text
    assert again.json() == first.json()
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    check(again, "/execute", "post")
    assert paths(client) == ["/"]


def test_the_same_key_joins_a_running_callback(client: Client, key: Dict[str, str]) -> None:
    client.register("look_up", "/slow")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        with client.server.holding("/slow"):
            asked = [threads.submit(client.execute, headers=key) for _ in range(8)]
            wait_for(lambda: client.server.seen != [])
            time.sleep(0.3)  # for most of the others to join; who comes later has the same
        answers = [each.result() for each in asked]
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7
    assert paths(client) == ["/slow"]


def test_the_same_key_with_another_request_is_refused(client: Client, key: Dict[str, str]) -> None:
    client.register("look_up")
    client.register("other")
    assert client.execute(headers=key).status_code == 200
    for tool, args in (("look_up", {"i": 1}), ("other", {}), ("names", {})):
        answer = client.execute(tool, args=args, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert paths(client) == ["/"]


def test_with_a_key_it_goes_on_when_its_client_leaves(client: Client, key: Dict[str, str]) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow"):
        leave_meanwhile(client, **key)
        time.sleep(0.2)  # the gateway sees it go
    answer = client.execute(headers=key)
    assert (answer.status_code, answer.json()["result"]) == (200, 1)
    assert answer.headers["idempotency-replayed"] == "true"
    assert paths(client) == ["/slow"]


def test_what_a_callback_says_of_an_error_is_replayed(client: Client, key: Dict[str, str]) -> None:
    told = {"detail": "there is no such page", "code": "no_such_page"}
    client.register("look_up")
    client.server.answers["/"] = 404, {}, json.dumps(told).encode()
    first, again = (client.execute(headers=key) for _ in range(2))
    assert (again.status_code, again.json()["code"], again.json()["details"]) == (404, "no_such_page", told)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["executed"] == first.json()["executed"] == "yes"
    assert paths(client) == ["/"]


def test_a_key_is_free_again_when_nothing_was_run(client: Client, key: Dict[str, str]) -> None:
    client.http.post("/tools", json={**client.describe("look_up"), "callback": {"url": "http://localhost:9/"}})
    assert client.execute(headers=key).json()["executed"] == "no"
    assert client.http.delete("/tools/look_up").status_code == 204
    client.register("look_up")
    answer = client.execute(headers=key)
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)


def test_it_may_answer_later(client: Client) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow", b"[1]"):
        answer = client.execute(headers={"prefer": "respond-async"})
        location = answer.headers["location"]
        assert (answer.status_code, client.http.get(location).json()["state"]) == (202, "running")
        assert client.http.get(f"{location}/result").status_code == 202
    call = wait_until_done(client, location)
    check(client.http.get(location), "/calls/{id}", "get")
    assert (call["tool"], call["callback"], call["end"], call["outcome"]["result"]) == ("look_up", True, "result", [1])
    assert client.http.get(f"{location}/result").json() == call["outcome"]
    check(client.http.get("/calls"), "/calls", "get")
    assert call["request_id"] in [each["request_id"] for each in listed(client.http)]
    assert client.http.get(f"{location}/events").json()["code"] == "call_not_found"
    assert client.http.delete(location).status_code == 204
    assert client.http.get(location).status_code == 404


def test_what_answers_later_can_be_cancelled(client: Client) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow"):
        location = client.execute(headers={"prefer": "respond-async"}).headers["location"]
        wait_for(lambda: client.server.seen != [])
        assert client.http.delete(location).status_code == 204
        call = wait_until_done(client, location)
        assert (call["end"], call["outcome"]["code"]) == ("cancelled", "cancelled")


def test_what_finds_no_room_later_says_so(client: Client) -> None:
    client.register("look_up", "/slow")
    with client.server.holding("/slow"):
        for _ in range(4):
            assert client.execute(headers={"prefer": "respond-async"}).status_code == 202
        answer = client.execute(headers={"prefer": "respond-async, wait=5"})
        assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (503, "callbacks_saturated", 4)
    wait_for(lambda: client.metric("snakepit_callbacks_in_flight") == 0)


def test_an_answer_too_large_to_be_kept_leaves_a_problem(callback: Callback, start_gateway: Any, tmp_path: Any) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(f"callbacks: {{allow: ['127.0.0.1:{callback.port}']}}\ncalls: {{keep_size: 20KiB}}\n"
                    "pools: [{workers: 1}]\n")  # fmt: skip
    client = Client(start_gateway("--config", str(path)).url, callback)
    callback.seen.clear()
    client.register("look_up", "/large")
    callback.answers["/large"] = 200, {}, b'"' + b"x" * 40000 + b'"'
    headers = {"idempotency-key": "large"}
    assert client.execute(headers=headers).status_code == 200
    again = client.execute(headers=headers)
    assert (again.status_code, again.json()["code"], again.json()["tool"]) == (500, "result_too_large", "look_up")
    assert paths(client) == ["/large"]


def test_a_shutdown_ends_them_all(callback: Callback, start_gateway: Any, tmp_path: Any) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(f"callbacks: {{allow: ['127.0.0.1:{callback.port}']}}\ndrain_timeout: 200ms\n"
                    "pools: [{workers: 1}]\n")  # fmt: skip
    gateway = start_gateway("--config", str(path))
    client = Client(gateway.url, callback)
    client.register("look_up", "/slow")
    callback.seen.clear()
    with callback.holding("/slow"):
        assert client.execute(headers={"prefer": "respond-async"}).status_code == 202
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(client.execute)
            wait_for(lambda: len(client.server.seen) == 2)
            gateway.process.terminate()
            problem = waiting.result().json()
        assert (problem["status"], problem["code"], problem["executed"]) == (503, "shutting_down", "maybe")
        assert (problem["category"], problem["retryable"]) == ("pool", False)
        assert gateway.process.wait(60) == 0  # before they were answered
