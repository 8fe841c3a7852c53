"""Streams with an Idempotency-Key: a second request joins the running call, or gets what was kept of it."""

import concurrent.futures
import contextlib
import json
import random
import re
import socket
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import httpx
import pytest
from served import listed, wait_for

NDJSON = {"accept": "application/x-ndjson"}
REPLAYED = "idempotency-replayed"


@pytest.fixture(scope="module")
def streams(start_shared_gateway: Callable[..., Any]) -> Any:
    return start_shared_gateway("--workers", "2", "--adapter", "streams.Streams")


@pytest.fixture(params=["1.1", "2"])
def client(streams: Any, request: Any) -> Iterator[httpx.Client]:
    with connect(streams, http1=request.param == "1.1", http2=request.param == "2") as made:
        yield made


def connect(gateway: Any, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, trust_env=False, timeout=30, **options)


def new_key() -> Dict[str, str]:
    return {"idempotency-key": str(uuid.uuid4()), **NDJSON}


def count(**args: Any) -> Dict[str, Any]:
    return {"tool": "count", "args": args}


def lines_of(answer: httpx.Response) -> Iterator[Dict[str, Any]]:
    return (json.loads(line) for line in answer.iter_lines() if line.strip())


def read(client: httpx.Client, body: Any, headers: Any) -> Tuple[httpx.Response, List[Dict[str, Any]]]:
    answer = client.post("/stream", content=json.dumps(body), headers={"content-type": "application/json", **headers})
    assert answer.status_code == 200, answer.text
    return answer, [json.loads(line) for line in answer.text.splitlines()]


@contextlib.contextmanager
def begun(client: httpx.Client, body: Any, headers: Any) -> Iterator[Iterator[Dict[str, Any]]]:
    """A stream of which one event was read, the others are to come."""
    with client.stream("POST", "/stream", json=body, headers=headers) as answer:
        events = lines_of(answer)
        assert next(events)["event"] == "start"
        yield events


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


# --- joining and replaying ---


def test_the_same_key_joins_a_running_stream_from_its_first_event(client: httpx.Client, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    body = count(n=20, seconds=0.02, path=str(path))
    with begun(client, body, key) as first:
        assert next(first)["id"] == 2
        answer, second = read(client, body, key)
        assert answer.headers[REPLAYED] == "true"
        assert [event["id"] for event in second] == list(range(1, 23))
        assert [event["id"] for event in first] == list(range(3, 23))
    assert path.read_text() == "begun\nended after 20\n"


def test_the_same_key_replays_a_stream_that_has_ended(client: httpx.Client, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    first, events = read(client, count(n=3, path=str(path)), key)
    assert REPLAYED not in first.headers
    again, same = read(client, count(n=3, path=str(path)), key)
    assert same == events
    assert again.headers[REPLAYED] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"] == same[0]["data"]["request_id"]
    assert path.read_text() == "begun\nended after 3\n"


def test_each_request_has_the_format_that_it_asks_for(client: httpx.Client) -> None:
    key = new_key()
    read(client, count(n=1), key)
    answer = client.post("/stream", json=count(n=1), headers={**key, "accept": "text/event-stream"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert re.findall("event: (.*)", answer.text) == ["start", "chunk", "done"]


def test_the_query_joins_what_a_body_began(client: httpx.Client) -> None:
    key = new_key()
    _, events = read(client, count(n=2), key)
    answer = client.get("/stream", params={"tool": "count", "args": '{"n": 2}'}, headers=key)
    assert answer.status_code == 200, answer.text
    assert [json.loads(line) for line in answer.text.splitlines()] == events
    spaced = client.get("/stream", params={"tool": "count", "args": '{"n":  2}'}, headers=key)
    assert spaced.status_code == 422, "arguments are compared as they were sent"


def test_many_requests_at_once_run_the_tool_once(streams: Any, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    body = count(n=10, seconds=0.02, path=str(path))

    def ask(_: int) -> httpx.Response:
        with connect(streams) as own:
            return own.post("/stream", json=body, headers=key)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(16)))
    assert len({answer.text for answer in answers}) == 1
    assert sum(REPLAYED in answer.headers for answer in answers) == 15
    assert path.read_text() == "begun\nended after 10\n"


def test_a_failure_is_replayed_with_its_status(client: httpx.Client) -> None:
    key = new_key()
    body = {"tool": "fail_at_once", "args": {"message": "on purpose"}}
    first, again = (client.post("/stream", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (500, 500)
    assert again.json()["detail"] == first.json()["detail"] == "on purpose"
    assert again.headers[REPLAYED] == "true"


def test_a_failure_in_mid_stream_is_replayed_as_an_event(client: httpx.Client) -> None:
    key = new_key()
    body = {"tool": "fail_after", "args": {"n": 2}}
    (_, first), (_, again) = (read(client, body, key) for _ in range(2))
    assert [event["event"] for event in again] == ["start", "chunk", "chunk", "error"]
    assert again == first


# --- going on where one was ---


def test_the_rest_comes_after_the_last_event_that_one_had(client: httpx.Client) -> None:
    key = new_key()
    read(client, count(n=3), key)
    _, rest = read(client, count(n=3), {**key, "last-event-id": "3"})
    assert [event["id"] for event in rest] == [4, 5]
    for had in ("5", "999999999999999999"):
        answer = client.post("/stream", json=count(n=3), headers={**key, "last-event-id": had})
        assert (answer.status_code, answer.headers[REPLAYED]) == (204, "true")
    query = {"tool": "count", "args": '{"n": 3}'}
    answer = client.get("/stream", params=query, headers={**key, "last-event-id": "4"})
    assert [json.loads(line)["event"] for line in answer.text.splitlines()] == ["done"]


def test_the_rest_of_what_is_not_there_is_not_run(client: httpx.Client, tmp_path: Path) -> None:
    path, headers = tmp_path / "notes", {**new_key(), "last-event-id": "3"}
    body = count(n=1, path=str(path))
    query = {"tool": "count", "args": json.dumps(body["args"])}
    for answer in (client.post("/stream", json=body, headers=headers),
                   client.get("/stream", params=query, headers=headers)):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (404, "call_not_found")
    assert not path.exists()


def test_with_a_key_the_last_event_must_be_a_number(client: httpx.Client) -> None:
    for had in ("x", "-1", "9" * 19):
        answer = client.post("/stream", json=count(n=1), headers={**new_key(), "last-event-id": had})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


# --- what is another request ---


def test_the_same_key_with_another_request_is_refused(client: httpx.Client) -> None:
    key = new_key()
    read(client, count(n=1), key)
    others: List[Dict[str, Any]] = [
        count(n=2),
        {**count(n=1), "tools": [{"name": "look_up"}]},
        {**count(n=1), "session_id": "another"},
        {"tool": "fail_after", "args": {"n": 1}},
    ]
    for body in others:
        answer = client.post("/stream", json=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch"), body
        assert REPLAYED not in answer.headers
    answer = client.post("/stream", json=count(n=2), headers={**key, "last-event-id": "1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


def test_a_stream_and_an_answer_are_not_the_same(client: httpx.Client) -> None:
    key = new_key()
    assert client.post("/execute", json=count(n=1), headers=key).status_code == 200
    assert client.post("/stream", json=count(n=1), headers=key).json()["code"] == "idempotency_mismatch"
    other = new_key()
    read(client, count(n=1), other)
    assert client.post("/execute", json=count(n=1), headers=other).json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(client: httpx.Client, key: str) -> None:
    query = {"tool": "count", "args": '{"n":1}'}
    for answer in (client.post("/stream", json=count(n=1), headers={"idempotency-key": key}),
                   client.get("/stream", params=query, headers={"idempotency-key": key})):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "1 to 255" in answer.json()["detail"]


def test_a_key_is_given_once(client: httpx.Client) -> None:
    headers = [("idempotency-key", "a"), ("idempotency-key", "a")]
    answer = client.post("/stream", json=count(n=1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "once" in answer.json()["detail"]


def test_a_preference_for_a_late_answer_changes_no_stream(client: httpx.Client) -> None:
    _, events = read(client, count(n=1), {**new_key(), "prefer": "respond-async"})
    assert [event["event"] for event in events] == ["start", "chunk", "done"]


# --- leaving ---


def test_a_stream_with_a_key_goes_on_when_its_reader_leaves(client: httpx.Client, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    body = count(n=30, seconds=0.02, path=str(path))
    with begun(client, body, key):
        pass
    answer, events = read(client, body, key)
    assert answer.headers[REPLAYED] == "true"
    assert [event["id"] for event in events] == list(range(1, 33))
    assert path.read_text() == "begun\nended after 30\n"


def test_with_cancel_a_stream_ends_when_the_last_of_its_readers_leaves(streams: Any, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    body = {**count(n=100000, seconds=0.01, path=str(path)), "on_disconnect": "cancel"}
    with connect(streams) as one, connect(streams) as two, connect(streams) as third:
        with contextlib.ExitStack() as stack:
            joined = stack.enter_context(begun(two, body, key))
            with begun(one, body, key) as first:
                assert next(first)["event"] == "chunk"
            last = max(next(joined)["id"] for _ in range(50))
            assert last == 51 and "ended" not in path.read_text()
        wait_for(lambda: "ended" in path.read_text())
        _, events = read(third, body, key)  # it has run: the key stays taken
        assert events[-1]["event"] == "error"
        assert events[-1]["data"]["code"] == "cancelled"
    assert path.read_text().count("begun") == 1


def test_a_reader_that_stops_holds_up_no_other_and_grows_nothing(streams: Any, tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    body = count(n=600, size=50000, path=str(path))
    content = json.dumps(body).encode()
    name = f"accept: application/x-ndjson\r\nidempotency-key: {key['idempotency-key']}\r\n"
    head = f"POST /stream HTTP/1.0\r\n{name}content-length: {len(content)}\r\n\r\n"  # 1.0: the body is as it is
    with contextlib.ExitStack() as stack:
        stopped = []
        for _ in range(4):
            stopped.append(stack.enter_context(socket.create_connection(("127.0.0.1", streams.port))))
            stopped[-1].sendall(head.encode() + content)
            assert stopped[-1].recv(12).endswith(b" 200")
        before = resident(streams.process.pid)
        with connect(streams) as client, client.stream("POST", "/stream", content=content, headers=key) as answer:
            assert answer.headers[REPLAYED] == "true"
            last = list(lines_of(answer))[-1]
        assert last["event"] == "done"
        assert resident(streams.process.pid) - before < 8 << 20
        for connection in stopped:
            text = b"".join(iter(lambda: connection.recv(1 << 20), b""))
            events = [json.loads(line) for line in text.partition(b"\r\n\r\n")[2].splitlines()]
            lost = sum(event["data"]["to"] - event["data"]["from"] + 1 for event in events if event["event"] == "gap")
            told = [event["id"] for event in events if event["event"] != "gap"]
            assert lost > 0 and told[-1] == lost + len(told) == 602


def read_at_random(port: int, seed: int, contents: List[Tuple[str, bytes]]) -> None:
    """Joins streams, and leaves each after so many bytes."""
    dice = random.Random(seed)
    for _ in range(30):
        key, content = dice.choice(contents)
        resuming = f"last-event-id: {dice.randrange(40)}\r\n" if dice.random() < 0.3 else ""
        head = f"POST /stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: {key}\r\n{resuming}"
        head += f"content-length: {len(content)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(head.encode() + content)
            left = dice.choice([0, 1, 300, 5000, 1_000_000])
            assert left == 0 or connection.recv(12)[9:] in (b"200", b"204", b"404")  # 404: not begun yet
            while left > 0:
                piece = connection.recv(min(left, 65536))
                left = left - len(piece) if piece else 0
            time.sleep(dice.choice([0, 0.01]))


def test_the_head_of_a_stream_leaves_nothing_behind_on_its_connection(streams: Any) -> None:
    """Whatever stands behind it would be taken for the next answer."""
    running, name = {"tool": "count", "args": {"n": 1000000}, "on_disconnect": "detach"}, str(uuid.uuid4())
    with connect(streams) as client, begun(client, running, {"x-request-id": name, **NDJSON}):
        with socket.create_connection(("127.0.0.1", streams.port), timeout=30) as connection:
            connection.sendall(b"HEAD /calls/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % name.encode())
            head, rest = connection.makefile("rb").read().split(b"\r\n\r\n", 1)
    with connect(streams) as client:
        assert client.delete(f"/calls/{name}").status_code == 204
    assert head.startswith(b"HTTP/1.1 200 ") and b"content-type: text/event-stream" in head.lower()
    assert b"transfer-encoding" not in head.lower() and b"content-length" not in head.lower()
    assert rest == b""


def test_readers_that_come_and_go_at_random_leave_every_stream_whole(streams: Any) -> None:
    dice = random.Random(7)
    bodies = {str(uuid.uuid4()): {**count(n=dice.choice([5, 60]), seconds=0.01, size=dice.choice([0, 3000, 40000])),
                                  "on_disconnect": dice.choice(["cancel", "detach"])} for _ in range(8)}  # fmt: skip
    contents = [(key, json.dumps(body).encode()) for key, body in bodies.items()]
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        for done in [threads.submit(read_at_random, streams.port, seed, contents) for seed in range(12)]:
            done.result()
    with connect(streams) as client:
        for key, body in bodies.items():
            _, events = read(client, body, {"idempotency-key": key, **NDJSON})
            ids = [event["id"] for event in events]
            assert ids == sorted(set(ids))
            assert events[-1]["event"] == "done" or events[-1]["data"]["code"] == "cancelled"
        wait_for(lambda: all(call["state"] == "done" for call in listed(client)))


# --- what is kept ---


def test_who_joins_a_stream_reads_no_longer_than_it_wants_to(client: httpx.Client) -> None:
    name, key = str(uuid.uuid4()), new_key()
    with begun(client, count(n=1000000, seconds=0.05), {**key, "x-request-id": name}) as events:
        with pytest.raises(httpx.RemoteProtocolError):
            read(client, count(n=1000000, seconds=0.05), {**key, "request-timeout": "0.2"})
        assert next(events)["event"] == "chunk"
        assert client.delete(f"/calls/{name}").status_code == 204


def test_a_key_outlives_the_session_of_its_stream(client: httpx.Client) -> None:
    body, key = {**count(n=3), "session_id": client.post("/sessions").json()["id"]}, new_key()
    _, first = read(client, body, key)
    assert client.delete(f"/sessions/{body['session_id']}").status_code == 204
    assert read(client, body, key)[1] == first


def test_what_the_ring_does_not_hold_is_told_by_a_gap(client: httpx.Client) -> None:
    key = new_key()
    body = count(n=100, size=5000)
    read(client, body, key)
    _, events = read(client, body, key)
    assert events[0]["event"] == "gap"
    assert events[0]["data"] == {"from": 1, "to": events[0]["id"]}
    assert [event["id"] for event in events[1:]] == list(range(events[0]["id"] + 1, 103))
    assert events[-1]["event"] == "done"


def test_the_end_is_held_though_it_is_larger_than_the_ring(client: httpx.Client) -> None:
    key = new_key()
    body = {"tool": "much", "args": {"size": 500_000}}
    (_, first), (_, again) = (read(client, body, key) for _ in range(2))
    assert [event["event"] for event in again] == ["gap", "done"]
    assert again[-1] == first[-1]


def test_streams_are_kept_for_a_time_and_within_a_size(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    path, config = tmp_path / "notes", tmp_path / "snakepit.yaml"
    config.write_text(
        "calls: {keep_for: 2s, keep_size: 100KiB}\npools: [{workers: 1, adapter: streams.Streams}]\n"
    )
    with connect(start_gateway("--config", str(config))) as client:
        keys = [new_key() for _ in range(4)]
        body = count(n=8, size=5000, path=str(path))
        for key in keys:
            read(client, body, key)
        replayed = [REPLAYED in read(client, body, key)[0].headers for key in reversed(keys)]
        assert replayed[0] and not replayed[-1], "the oldest had to go"
        key = new_key()
        read(client, body, key)
        wait_for(lambda: REPLAYED not in read(client, body, key)[0].headers)


def test_a_stream_too_large_to_be_kept_is_not_run_again(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    path, key = tmp_path / "notes", new_key()
    gateway = start_gateway("--workers", "1", "--adapter", "streams.Streams", "--calls-keep-size", "20k")
    body = count(n=20, size=5000, path=str(path))
    with connect(gateway) as client:
        _, first = read(client, body, key)
        _, again = read(client, body, key)
        assert (again[0]["event"], again[0]["data"]) == ("gap", {"from": 1, "to": first[-1]["id"] - 1})
        assert (again[1]["id"], again[1]["event"]) == (first[-1]["id"], "error")
        assert again[1]["data"]["code"] == "result_too_large"
        _, rest = read(client, body, {**key, "last-event-id": "3"})
        assert [event["event"] for event in rest] == ["gap", "error"]
    assert path.read_text().count("begun") == 1


def test_a_key_is_free_again_when_its_stream_did_not_run(start_gateway: Callable[..., Any]) -> None:
    key = new_key()
    with connect(start_gateway("--workers", "1", "--adapter", "streams.Streams")) as client:
        with begun(client, count(n=1000, seconds=0.01), NDJSON):
            with httpx.Client(base_url=client.base_url, trust_env=False) as other:
                answer = other.post("/stream", json={**count(n=1), "queue_timeout_ms": 100}, headers=key)
                assert (answer.status_code, answer.json()["code"]) == (503, "queue_timeout")
        answer, events = read(client, count(n=1), key)
        assert REPLAYED not in answer.headers
        assert events[-1]["event"] == "done"
