"""The main path with the clients that people use: httpx, requests, curl, nghttp, h2 by hand."""

import asyncio
import concurrent.futures
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any, Callable, List

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import requests
from served import wait_for

GPL = Path("/usr/share/common-licenses/GPL-3")


def run(*command: str, stdin: bytes = b"") -> bytes:
    """Standard output of a command that succeeds."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


# --- httpx ---


def test_httpx_executes_and_reads_result_and_meta(gateway) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        answer = client.post("/execute", json={"tool": "add", "args": {"a": 40, "b": 2}})
        assert answer.status_code == 200
        body = answer.json()
        assert body["result"] == 42
        assert set(body["meta"]) == {
            "request_id",
            "worker",
            "pool",
            "attempts",
            "queue_ms",
            "run_ms",
        }
        assert answer.headers["x-request-id"] == body["meta"]["request_id"]


def test_httpx_async_clients_each_get_their_own(gateway) -> None:
    async def main() -> List[Any]:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=60) as client:
            calls = [
                client.post("/execute", json={"tool": "echo", "args": {"me": n}})
                for n in range(200)
            ]
            return [answer.json()["result"] for answer in await asyncio.gather(*calls)]

    assert asyncio.run(main()) == [{"me": n} for n in range(200)]


# --- requests ---


def test_requests_session_keeps_its_connection(gateway) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for number in range(20):
            answer = session.post(gateway.url + "/tools/add", json={"a": number})
            assert answer.status_code == 200
            assert answer.json() == number
        pool = session.get_adapter(gateway.url).poolmanager.connection_from_url(gateway.url)
        assert pool.num_connections == 1


def test_requests_streams_a_body_of_unknown_length(gateway) -> None:
    pieces = [b"one two\n", b"three\n"] * 5000
    answer = requests.post(
        gateway.url + "/tools/text_stats", data=iter(pieces), headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 200
    assert answer.json()["words"] == 15000


def test_requests_sees_a_python_error_as_a_problem(gateway) -> None:
    answer = requests.post(
        gateway.url + "/tools/fail", json={"exception": "LookupError", "message": "gone"}
    )
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["code"] == "python_error"
    assert problem["python"]["type"] == "LookupError"
    assert "gone" in problem["python"]["message"]


def test_threads_with_sessions_of_their_own(gateway) -> None:
    def talk(me: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for number in range(30):
                sent = {"me": me, "number": number, "text": "é" * number}
                answer = session.post(gateway.url + "/execute", json={"tool": "echo", "args": sent})
                assert answer.json()["result"] == sent

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(talk, me) for me in range(16)]:
            done.result()


# --- curl and nghttp ---


@pytest.mark.skipif(not GPL.exists(), reason="no GPL-3 text on this system")
@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_sends_the_readme_request(gateway, protocol: str) -> None:
    url = gateway.url + "/tools/text_stats"
    command = ["curl", "-sS", "--noproxy", "*", protocol, "--data-binary", f"@{GPL}"]
    stats = json.loads(run(*command, "-H", "Content-Type: text/plain", url))
    text = GPL.read_bytes()
    assert stats["lines"] == text.count(b"\n")
    assert 5000 < stats["words"] < 6500


def test_curl_form_default_content_type_is_refused_on_execute(gateway) -> None:
    """`curl -d` without -H says x-www-form-urlencoded: the answer must tell what to do."""
    problem = json.loads(
        run("curl", "-sS", "--noproxy", "*", "-d", '{"tool":"echo"}', gateway.url + "/execute")
    )
    assert problem["code"] == "unsupported_media_type"
    assert "application/json" in problem["detail"]


def test_curl_upgrade_to_h2c_is_answered_as_http_1(gateway) -> None:
    out = run(
        "curl", "-sS", "--noproxy", "*", "--http2", "-w", " %{http_version}", gateway.url + "/livez"
    )
    assert out.endswith(b" 1.1")


def test_nghttp_posts_many_streams_on_one_connection(gateway, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"tool":"echo","args":{"x":[1,2,3]}}')
    out = run(
        "nghttp",
        "-m",
        "50",
        "-d",
        str(body),
        "-H",
        "content-type: application/json",
        gateway.url + "/execute",
    )
    assert out.count(b'"result":{"x":[1,2,3]}') + out.count(b'"result":{"x": [1, 2, 3]}') == 50


def test_nghttp_uploads_a_large_body(gateway, tmp_path: Path) -> None:
    body = tmp_path / "body.txt"
    body.write_bytes(b"word " * 1_000_000)
    out = run(
        "nghttp",
        "-d",
        str(body),
        "-H",
        "content-type: text/plain",
        gateway.url + "/tools/text_stats",
    )
    assert json.loads(out)["words"] == 1_000_000


# --- HTTP/2, frame by frame ---


class Http2:
    """A connection that is driven by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def request(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> int:
        stream = self.http.get_next_available_stream_id()
        headers = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        headers += [("content-type", kind)]
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def events(self) -> List[Any]:
        data = self.socket.recv(65536)
        assert data, "the gateway closed the connection"
        events = self.http.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return events

    def wait_for(self, kind: type, stream: int) -> Any:
        while True:
            for event in self.events():
                if isinstance(event, kind) and event.stream_id == stream:
                    return event


def pool_of(gateway: Any) -> Any:
    return requests.get(gateway.url + "/pools/default").json()


def test_a_reset_stream_in_the_queue_never_runs(start_gateway, tmp_path: Path) -> None:
    """The connection lives on: only the stream is given up."""
    gateway = start_gateway("--workers", "1", "--adapter", "holder.Holder")
    ledger, go = tmp_path / "ledger", tmp_path / "go"

    def ask(tool: str, **args: str) -> int:
        return client.request("POST", "/execute", json.dumps({"tool": tool, "args": args}).encode())

    client = Http2(gateway.port)
    running = ask("wait", file=str(go))
    wait_for(lambda: pool_of(gateway)["inflight"] == 1)
    left = [ask("line", path=str(ledger), word="left") for _ in range(5)]
    wait_for(lambda: pool_of(gateway)["queue"]["depth"] == 5)
    for stream in left:
        client.http.reset_stream(stream)
    client.flush()
    wait_for(lambda: pool_of(gateway)["queue"]["depth"] == 0)
    stayed = ask("line", path=str(ledger), word="stayed")
    go.touch()
    ended = set()
    while not {running, stayed} <= ended:
        ended |= {e.stream_id for e in client.events() if isinstance(e, h2.events.StreamEnded)}
    assert ledger.read_text().split() == ["stayed"]


def test_a_reset_stream_stops_its_running_tool(start_gateway, tmp_path: Path) -> None:
    """RST_STREAM alone: the connection goes on and the same worker takes the next call at once."""
    gateway = start_gateway("--workers", "1", "--adapter", "holder.Holder")
    ledger = tmp_path / "ledger"
    ledger.touch()
    client = Http2(gateway.port)
    args = {"path": str(ledger), "word": "x", "seconds": 600}
    running = client.request(
        "POST", "/execute", json.dumps({"tool": "hold", "args": args}).encode()
    )
    wait_for(lambda: "x begun" in ledger.read_text())
    client.http.reset_stream(running)
    client.flush()
    took = wait_for(lambda: "x finally" in ledger.read_text())
    print(f"stopped {1000 * took:.1f} ms after RST_STREAM")
    after = client.request("POST", "/tools/echo", b"{}")
    client.wait_for(h2.events.StreamEnded, after)
    assert "ended" not in ledger.read_text()
    (worker,) = requests.get(gateway.url + "/workers").json()["workers"]
    assert worker["id"] == "default-1"


def test_a_slow_stream_does_not_block_the_others(gateway) -> None:
    client = Http2(gateway.port)
    slow = client.request("POST", "/execute", b'{"tool":"sleep","args":{"seconds":600}}')
    quick = client.request("POST", "/execute", b'{"tool":"echo","args":{}}')
    client.wait_for(h2.events.StreamEnded, quick)
    client.http.reset_stream(slow)
    client.flush()


def test_a_body_above_the_limit_is_refused_before_it_is_sent(gateway) -> None:
    """By content-length alone; the stream is then reset without an error (RFC 9113, 8.1)."""
    client = Http2(gateway.port)
    stream = client.http.get_next_available_stream_id()
    headers = [
        (":method", "POST"),
        (":path", "/tools/text_stats"),
        (":scheme", "http"),
        (":authority", "localhost"),
    ]
    headers += [("content-type", "image/png"), ("content-length", str((64 << 20) + 1))]
    client.http.send_headers(stream, headers)
    client.flush()
    seen: List[Any] = []
    while not any(isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)) for e in seen):
        seen += client.events()
    (head,) = [dict(e.headers) for e in seen if isinstance(e, h2.events.ResponseReceived)]
    body = b"".join(e.data for e in seen if isinstance(e, h2.events.DataReceived))
    assert head[":status"] == "413"
    assert json.loads(body)["limit"] == 64 << 20
    second = client.request("POST", "/execute", b'{"tool":"echo"}')
    client.wait_for(h2.events.StreamEnded, second)


def test_a_small_window_is_respected(start_gateway) -> None:
    """The answer is larger than the client's window, which is opened bit by bit."""
    gateway = start_gateway("--workers", "1", "--adapter", "ledger.Ledger")
    client = Http2(gateway.port)
    stream = client.request("POST", "/tools/block", b'{"size": 1000000}')
    got = bytearray()
    ended = False
    while not ended:
        data = client.socket.recv(65536)
        assert data
        for event in client.http.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                got += event.data
                client.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            ended |= isinstance(event, h2.events.StreamEnded) and event.stream_id == stream
        client.flush()
    assert bytes(got) == (bytes(range(256)) * 4000)[:1_000_000]


def test_a_stop_says_goaway_and_finishes_open_streams(start_gateway) -> None:
    gateway = start_gateway("--workers", "1")
    client = Http2(gateway.port)
    stream = client.request("POST", "/execute", b'{"tool":"sleep","args":{"seconds":1.0}}')
    wait_for(lambda: pool_of(gateway)["inflight"] == 1)
    gateway.process.terminate()
    seen: List[Any] = []
    while not any(isinstance(e, h2.events.StreamEnded) and e.stream_id == stream for e in seen):
        seen += client.events()
    while not any(isinstance(e, h2.events.ConnectionTerminated) for e in seen):
        seen += client.events()
    status = [dict(e.headers)[":status"] for e in seen if isinstance(e, h2.events.ResponseReceived)]
    assert status == ["200"]
    assert gateway.process.wait(60) == 0


def test_broken_frames_hurt_only_their_own_connection(gateway) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    frames = [
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",  # DATA of 16 MiB on an idle stream
        b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",  # HEADERS that are no HPACK
        b"\x00\x00\x01\x08\x00\x00\x00\x00\x00\x00",  # WINDOW_UPDATE of a wrong size
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # by nothing
        os.urandom(500),
    ]
    for frame in frames:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as broken:
            broken.sendall(preface + settings + frame)
            broken.settimeout(0.5)
            try:
                while broken.recv(4096):
                    pass
            except (socket.timeout, ConnectionError):
                pass
    assert requests.get(gateway.url + "/readyz").status_code == 200


# --- forms ---


def test_a_form_is_the_arguments_by_name(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    gateway = start_gateway("--adapter", "forms", "--workers", "1")
    image = tmp_path / "image.png"
    image.write_bytes(bytes(range(256)) * 1000)
    expected = {"bytes": 256000, "lang": "de", "n": 5}
    url = gateway.url + "/tools/form"
    curled = run("curl", "-s", "-F", f"image=@{image}", "-F", "lang=de", "-F", "n=5", url)
    assert json.loads(curled) == expected
    data, files = {"lang": "de", "n": "5"}, {"image": image.read_bytes()}
    assert requests.post(url, data=data, files=files, timeout=30).json() == expected
    assert httpx.post(url, data=data, files=files).json() == expected
    refused = httpx.post(url, data={"n": "x"}, files=files)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/n"]
    refused = httpx.post(url, files={**files, "n": ("n.bin", b"\x01")})
    assert (refused.status_code, refused.json()["executed"]) == (422, "no")
    assert refused.json()["errors"] == [{"pointer": "/n", "detail": "expected integer, found a file"}]


def test_numbers_that_python_cannot_read_are_refused(start_gateway: Callable[..., Any]) -> None:
    gateway = start_gateway("--adapter", "forms", "--workers", "1")
    for number, told in (("1e400", "too large"), ("9" * 5000, "4300 digits")):
        body = {"content": f'{{"image": "x", "n": {number}}}', "headers": {"content-type": "application/json"}}
        refused = httpx.post(gateway.url + "/tools/form", **body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments"), refused.text
        assert told in refused.json()["detail"]
    whole = httpx.post(gateway.url + "/tools/form", content='{"image": "x", "n": 1e2}', headers=body["headers"])
    assert whole.text == '{"bytes":1,"lang":"en","n":100}'
