"""POST and GET /stream, GET /calls/{id}/events, with httpx and by hand.

Snakepit 18, 58, 62 to 64.
"""

import json
import socket
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import httpx
import pytest
import served

NDJSON = {"accept": "application/x-ndjson"}
Event = Tuple[int, str, Any]


@pytest.fixture(scope="module")
def streams(start_shared_gateway: Callable[..., Any]) -> Any:
    return start_shared_gateway("--workers", "2", "--adapter", "streams.Streams")


@pytest.fixture(params=["1.1", "2"])
def client(streams: Any, request: Any) -> Iterator[httpx.Client]:
    options: Dict[str, Any] = {"http1": request.param == "1.1", "http2": request.param == "2"}
    with httpx.Client(base_url=streams.url, trust_env=False, timeout=30, **options) as made:
        yield made


def envelope(tool: str, args: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    return {"tool": tool, "args": args, **more}


def sse(lines: Iterator[str]) -> Iterator[Event]:
    """Events of a text/event-stream."""
    found: Dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if not line:
            if found:
                yield int(found["id"]), found["event"], json.loads(found["data"])
            found = {}
            continue
        name, _, value = line.partition(": ")
        assert name not in found
        found[name] = value


def read(client: httpx.Client, body: Dict[str, Any], **headers: str) -> List[Event]:
    with client.stream("POST", "/stream", json=body, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream"
        return list(sse(stripped(answer)))


def stripped(answer: httpx.Response) -> Iterator[str]:
    """Lines without their ends, which some versions of httpx leave on."""
    return (line.rstrip("\n") for line in answer.iter_lines())


def chunks(events: List[Event]) -> List[Any]:
    return [data for _, kind, data in events if kind == "chunk"]


def wait_for(path: Path, text: str) -> None:
    served.wait_for(lambda: path.exists() and text in path.read_text())


def test_a_stream_has_a_start_its_chunks_and_a_done(client: httpx.Client) -> None:
    events = read(client, envelope("count", {"n": 5}))
    assert [number for number, _, _ in events] == list(range(1, 8))
    assert [kind for _, kind, _ in events] == ["start"] + ["chunk"] * 5 + ["done"]
    assert chunks(events) == [0, 1, 2, 3, 4]
    assert events[0][2]["tool"] == "count"
    assert events[0][2]["worker"].startswith("default-")
    assert events[-1][2]["result"] == "counted"
    assert events[-1][2]["meta"]["request_id"] == events[0][2]["request_id"]


def test_lines_of_json_are_the_same_events(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("count", {"n": 3}), headers=NDJSON)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(line["id"], line["event"]) for line in lines] == [
        (1, "start"), (2, "chunk"), (3, "chunk"), (4, "chunk"), (5, "done"),
    ]
    assert [line["data"] for line in lines[1:4]] == [0, 1, 2]


def test_get_streams_by_its_query(client: httpx.Client) -> None:
    query = {"tool": "count", "args": '{"n": 2}', "timeout_ms": "5000"}
    with client.stream("GET", "/stream", params=query) as answer:
        assert chunks(list(sse(stripped(answer)))) == [0, 1]


def test_get_with_a_bad_query_is_refused(client: httpx.Client) -> None:
    for rest in ("args=%7B", "args=%ZZ", "no=1", "timeout_ms=x", "tool=twice"):
        query = "tool=count&" + rest
        answer = client.get("/stream?" + query)
        assert answer.status_code == 400, query
        assert answer.json()["code"] in ("invalid_json", "invalid_request")


def test_an_event_source_that_reconnects_is_told_to_stop(client: httpx.Client) -> None:
    query = {"tool": "count", "args": '{"n": 2}'}
    assert client.get("/stream", params=query, headers={"last-event-id": "4"}).status_code == 204


def test_head_does_not_run_the_tool(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    query = {"tool": "count", "args": json.dumps({"n": 2, "path": str(path)})}
    assert client.head("/stream", params=query).status_code == 405
    time.sleep(0.2)
    assert not path.exists()


def test_chunks_come_as_they_are_yielded(client: httpx.Client, tmp_path: Path) -> None:
    """The tool waits for its reader before each."""
    with client.stream("POST", "/stream", json=envelope("in_step", {"n": 4, "folder": str(tmp_path)})) as answer:
        for number, kind, data in sse(stripped(answer)):
            if kind == "chunk":
                (tmp_path / str(data + 1)).touch()
    assert (number, kind) == (6, "done")


def test_an_exception_in_mid_stream_is_an_error_event(client: httpx.Client) -> None:
    events = read(client, envelope("fail_after", {"n": 2}))
    assert chunks(events) == [0, 1]
    _, kind, problem = events[-1]
    assert kind == "error"
    assert problem["code"] == "python_error"
    assert problem["status"] == 500
    assert problem["python"]["type"] == "ValueError"
    assert problem["executed"] == "yes"
    assert problem["instance"] == "/stream"


def test_nobody_may_keep_or_compress_a_stream(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("count", {"n": 1}))
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"


def test_what_fails_before_it_said_anything_has_its_status(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("fail_at_once", {"message": "no"}))
    assert answer.status_code == 500
    assert answer.json()["code"] == "python_error"
    assert client.post("/stream", json=envelope("count", {})).status_code == 422
    assert client.post("/stream", json=envelope("unknown", {})).json()["code"] == "tool_not_found"


def test_a_tool_that_does_not_stream_is_501(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("plain", {}))
    assert answer.status_code == 501
    assert answer.json()["code"] == "streaming_not_supported"


def test_bytes_at_the_end_are_tagged(client: httpx.Client) -> None:
    tagged = {"__type__": "bytes", "__schema__": 1, "data": "AP8="}
    assert read(client, envelope("end_with_bytes", {}))[-1][2]["result"] == tagged
    events = read(client, envelope("end_with_bytes", {"content_type": "image/png"}))
    assert events[-1][2]["result"] == {**tagged, "content_type": "image/png"}
    call = envelope("end_with_bytes", {})
    location = client.post("/execute", json=call, headers={"prefer": "respond-async"}).headers["location"]
    done = client.get(location + "/result")
    while done.status_code == 202:
        done = client.get(location + "/result")
    assert done.content == b"\x00\xff"
    assert client.get(location).json()["outcome"]["result"] == tagged


def test_a_stream_of_nothing_is_done(client: httpx.Client) -> None:
    events = read(client, envelope("nothing", {}))
    assert [kind for _, kind, _ in events] == ["start", "done"]


def test_execute_collects_what_a_tool_yields(client: httpx.Client) -> None:
    assert client.post("/execute", json=envelope("count", {"n": 3})).json()["result"] == "counted"
    assert client.post("/execute", json=envelope("report", {})).json()["result"][1] == [1, 2.5, None, "ü"]


def test_progress_and_log_keep_their_place_among_the_chunks(client: httpx.Client) -> None:
    events = read(client, envelope("report", {}))
    assert [kind for _, kind, _ in events] == ["start", "chunk", "progress", "log", "chunk", "done"]
    assert events[1][2] == {"a": "line\nbreak"}
    assert events[2][2] == {"done": 1, "total": 2, "message": "half"}
    assert events[3][2]["message"] == "a note"


def test_a_worker_that_dies_in_mid_stream_is_an_error_event(client: httpx.Client) -> None:
    events = read(client, envelope("die_after", {"n": 2}))
    assert chunks(events) == [0, 1]
    assert events[-1][1] == "error"
    assert events[-1][2]["code"] == "worker_crash"


def test_a_reader_that_leaves_closes_the_generator(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    body = envelope("count", {"n": 100000, "seconds": 0.01, "path": str(path)})
    with client.stream("POST", "/stream", json=body) as answer:
        for _, kind, _ in sse(stripped(answer)):
            if kind == "chunk":
                break
    client.close()  # this version of httpx does not reset a stream of HTTP/2 that is left
    wait_for(path, "ended")
    assert "ended after 100000" not in path.read_text()


def test_an_unwanted_format_is_refused(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("count", {"n": 1}), headers={"accept": "image/png"})
    assert answer.status_code == 406


def test_a_detached_stream_goes_on_and_can_be_resumed(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    body = envelope("count", {"n": 30, "seconds": 0.02, "path": str(path)}, on_disconnect="detach")
    with client.stream("POST", "/stream", json=body) as answer:
        call = answer.headers["x-request-id"]
        for number, _, _ in sse(stripped(answer)):
            if number == 5:
                break
    wait_for(path, "ended after 30")
    with client.stream("GET", f"/calls/{call}/events", headers={"last-event-id": "5"}) as answer:
        events = list(sse(stripped(answer)))
    assert [number for number, _, _ in events] == list(range(6, 33))
    assert chunks(events) == list(range(4, 30))
    assert events[-1][1] == "done"


def test_a_detached_stream_says_what_is_not_held_any_more(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    body = envelope("count", {"n": 200, "size": 10000, "path": str(path)}, on_disconnect="detach")
    with client.stream("POST", "/stream", json=body) as answer:
        call = answer.headers["x-request-id"]
        next(sse(stripped(answer)))
    wait_for(path, "ended after 200")
    with client.stream("GET", f"/calls/{call}/events", headers={"last-event-id": "1"}) as answer:
        events = list(sse(stripped(answer)))
    number, kind, gap = events[0]
    assert kind == "gap"
    assert gap == {"from": 2, "to": number}
    assert events[1][0] == number + 1
    assert events[-1][1] == "done"


def test_events_of_an_unknown_call_are_404(client: httpx.Client) -> None:
    assert client.get("/calls/nobody/events").json()["code"] == "call_not_found"


def test_a_last_event_id_that_is_no_number_is_refused(client: httpx.Client) -> None:
    body = envelope("count", {"n": 1}, on_disconnect="detach")
    with client.stream("POST", "/stream", json=body) as answer:
        call = answer.headers["x-request-id"]
        list(answer.iter_lines())
    assert client.get(f"/calls/{call}/events", headers={"last-event-id": "x"}).status_code == 400


def test_a_running_stream_can_be_cancelled(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    body = envelope("count", {"n": 100000, "seconds": 0.01, "path": str(path)})
    with client.stream("POST", "/stream", json=body) as answer:
        events = sse(stripped(answer))
        assert next(events)[1] == "start"
        with httpx.Client(base_url=client.base_url, trust_env=False) as other:
            assert other.delete(f"/calls/{answer.headers['x-request-id']}").status_code == 204
        last = list(events)[-1]
    assert last[1] == "error"
    assert last[2]["code"] == "cancelled"
    wait_for(path, "ended")


@pytest.fixture(scope="module")
def pools(start_shared_gateway: Callable[..., Any], tmp_path_factory: Any) -> Iterator[httpx.Client]:
    """Two pools of the same tools."""
    path = tmp_path_factory.mktemp("pools") / "snakepit.yaml"
    path.write_text(
        "pools:\n"
        "  - {name: one, adapter: streams.Streams, workers: 1}\n"
        "  - {name: two, adapter: streams.Streams, workers: 2}\n"
    )
    gateway = start_shared_gateway("--config", str(path))
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as made:
        yield made


def where(client: httpx.Client, **more: Any) -> Dict[str, Any]:
    """The meta of a stream."""
    return read(client, envelope("count", {"n": 1}, **more))[-1][2]["meta"]


@pytest.mark.parametrize("pool", ["one", "two"])
def test_a_stream_goes_to_the_pool_that_is_named(pools: httpx.Client, pool: str) -> None:
    """Snakepit 18."""
    assert where(pools, pool=pool)["pool"] == pool
    get = pools.get("/stream", params={"tool": "count", "args": '{"n":1}', "pool": pool}, headers=NDJSON)
    assert json.loads(get.text.splitlines()[0])["data"]["pool"] == pool


def test_a_stream_goes_to_the_worker_of_its_session(pools: httpx.Client, tmp_path: Path) -> None:
    """Snakepit 18."""
    strict = {"pool": "two", "session_id": "streaming", "affinity": "strict_fail_fast"}
    worker = where(pools, **strict)["worker"]
    assert [where(pools, **strict)["worker"] for _ in range(4)] == [worker] * 4
    path = tmp_path / "notes"
    busy = envelope("count", {"n": 100000, "seconds": 0.01, "path": str(path)}, **strict)
    with pools.stream("POST", "/stream", json=busy) as answer:
        events = sse(stripped(answer))
        assert next(events)[1] == "start"
        refused = pools.post("/stream", json=envelope("count", {"n": 1}, **strict))
        assert refused.json()["code"] == "worker_busy"
        assert where(pools, pool="two")["worker"] != worker
    wait_for(path, "ended")


def test_a_reader_that_leaves_ends_nothing_while_another_reads(streams: Any) -> None:
    with httpx.Client(base_url=streams.url, trust_env=False, timeout=30) as first:
        with first.stream("POST", "/stream", json=envelope("count", {"n": 60, "seconds": 0.02})) as answer:
            call = answer.headers["x-request-id"]
            mine = sse(stripped(answer))  # which closes the answer when it goes
            next(mine)
            with httpx.Client(base_url=streams.url, trust_env=False, timeout=30) as second:
                with second.stream("GET", f"/calls/{call}/events", headers={"last-event-id": "1"}) as other:
                    events = sse(stripped(other))
                    next(events)
                    first.close()
                    assert list(events)[-1][1] == "done"


def test_a_result_that_is_too_large_for_a_stream_is_an_error(client: httpx.Client) -> None:
    events = read(client, envelope("much", {"size": 2 << 20}))
    assert events[-1][1] == "error"
    assert events[-1][2]["code"] == "result_too_large"
    assert read(client, envelope("much", {"size": 1000}))[-1][1] == "done"


def test_on_disconnect_must_be_one_of_two_words(client: httpx.Client) -> None:
    answer = client.post("/stream", json=envelope("count", {"n": 1}, on_disconnect="maybe"))
    assert answer.status_code == 400


def resident(pid: int) -> int:
    """Bytes that the process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_reader_that_stops_stops_the_tool_and_grows_nothing(streams: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    args = {"n": 20000, "size": 50000, "path": str(path)}
    body = json.dumps(envelope("count", args)).encode()
    before = resident(streams.process.pid)
    with socket.create_connection(("127.0.0.1", streams.port)) as connection:
        head = f"POST /stream HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(2)
        assert resident(streams.process.pid) - before < 8 << 20
        assert "ended" not in path.read_text()
    wait_for(path, "ended")
    assert "after 20000" not in path.read_text()


def read_until(lines: Iterator[str], text: str) -> None:
    assert any(line == text for line in lines), f"{text!r} did not come"


def test_a_silent_tool_has_started_after_a_while(client: httpx.Client, tmp_path: Path) -> None:
    begun = time.monotonic()
    with client.stream("POST", "/stream", json=envelope("late", {"file": str(tmp_path / "go")})) as answer:
        assert answer.status_code == 200
        lines = stripped(answer)
        read_until(lines, "event: start")
        assert time.monotonic() - begun > 0.9
        (tmp_path / "go").touch()
        read_until(lines, "event: chunk")


def configured(start_gateway: Callable[..., Any], tmp_path: Path, settings: str) -> httpx.Client:
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"{settings}\npools: [{{workers: 1, adapter: streams.Streams}}]\n")
    return httpx.Client(base_url=start_gateway("--config", str(config)).url, trust_env=False, timeout=60)


def test_a_stream_that_would_be_lost_says_where_it_is_without_that_while(
    start_gateway: Callable[..., Any], tmp_path: Path
) -> None:
    call = envelope("late", {"file": str(tmp_path / "go")}, on_disconnect="detach")
    with configured(start_gateway, tmp_path, "streams: {head_after: 1h}") as client:
        with client.stream("POST", "/stream", json=call) as answer:
            lines = stripped(answer)
            read_until(lines, "event: start")
            (tmp_path / "go").touch()
            read_until(lines, "event: chunk")


def test_while_a_call_waits_for_a_worker_there_are_comments_and_then_its_start(
    start_gateway: Callable[..., Any], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with configured(start_gateway, tmp_path, KEEPALIVE) as client:
        with client.stream("POST", "/stream", json=envelope("count", {"n": 100000, "seconds": 0.01})) as first:
            occupying = stripped(first)
            read_until(occupying, "event: chunk")
            with client.stream("POST", "/stream", json=envelope("late", {"file": str(go)})) as second:
                lines = stripped(second)
                before = [next(lines) for _ in range(4)]
                first.close()
                read_until(lines, "event: start")
                read_until(lines, ":")
                go.touch()
                read_until(lines, "event: chunk")
    assert before == [":", ""] * 2


KEEPALIVE = "streams: {keepalive: 500ms}"


def test_silence_is_broken_by_comments(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    with configured(start_gateway, tmp_path, KEEPALIVE) as client:
        with client.stream("POST", "/stream", json=envelope("quiet", {"seconds": 3})) as answer:
            lines = list(stripped(answer))
    assert 1 <= lines.count(":") <= 6
    assert chunks(list(sse(iter(lines)))) == [1, 2]


def test_silence_among_lines_of_json_is_broken_by_empty_lines(
    start_gateway: Callable[..., Any], tmp_path: Path
) -> None:
    with configured(start_gateway, tmp_path, KEEPALIVE) as client:
        lines = client.post("/stream", json=envelope("quiet", {"seconds": 3}), headers=NDJSON).text.split("\n")
    assert lines.pop() == ""
    assert 1 <= lines.count("") <= 6
    events = [json.loads(line) for line in lines if line]
    assert [each["data"] for each in events if each["event"] == "chunk"] == [1, 2]


def test_a_stream_that_is_idle_for_too_long_ends(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text("pools: [{workers: 1, adapter: streams.Streams, stream_idle_timeout: 500ms}]\n")
    gateway = start_gateway("--config", str(config))
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        events = read(client, envelope("quiet", {"seconds": 20}))
    assert events[-1][1] == "error"
    assert events[-1][2]["code"] == "stream_idle_timeout"


def test_a_caller_limits_the_silence_of_its_stream(client: httpx.Client) -> None:
    events = read(client, envelope("quiet", {"seconds": 20}, idle_timeout_ms=300))
    assert chunks(events) == [1]
    assert events[-1][2]["code"] == "stream_idle_timeout"


SHY = """
import time
from snakepit_bridge import tool

@tool(idle_timeout=0.3)
def shy(seconds: float):
    yield 1
    time.sleep(seconds)
    yield 2
"""


def test_a_tool_limits_the_silence_of_its_streams(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "shy.py").write_text(SHY)
    gateway = start_gateway("--adapter", "shy", "--workers", "1", env={"PYTHONPATH": str(tmp_path)})
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        for seconds, code in ((0.05, None), (20, "stream_idle_timeout")):
            events = read(client, envelope("shy", {"seconds": seconds}, idle_timeout_ms=10000))
            assert events[-1][2].get("code") == code


def test_shutdown_tells_streams_before_it_ends_them(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text("drain_timeout: 300ms\npools: [{workers: 1, adapter: streams.Streams}]\n")
    gateway = start_gateway("--config", str(config))
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        body = envelope("count", {"n": 100000, "seconds": 0.01})
        with client.stream("POST", "/stream", json=body) as answer:
            events = sse(stripped(answer))
            assert next(events)[1] == "start"
            gateway.process.terminate()
            last = list(events)[-1]
    assert last[1] == "error"
    assert last[2]["code"] == "shutting_down"
