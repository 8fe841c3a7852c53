"""Streams with the clients that people use: httpx, requests, aiohttp, sseclient, curl, nghttp, h2 by hand."""

import asyncio
import concurrent.futures
import json
import random
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest
import requests
from served import Gateway, listed, wait_for

NDJSON = {"accept": "application/x-ndjson"}
HEAD = [(":scheme", "http"), (":authority", "localhost"), ("content-type", "application/json")]


@pytest.fixture(scope="module")
def streams() -> Iterator[Any]:
    shared = Gateway("--workers", "4", "--adapter", "streams.Streams")
    yield shared
    shared.stop()


class InStep:
    """A call whose tool yields a value only when the reader says that it has the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: List[str] = []
        self.body = {"tool": "in_step", "args": {"n": 4, "folder": str(folder)}}

    def take(self, kind: str) -> None:
        """An event has come."""
        self._kinds.append(kind)
        (self._folder / str(self._kinds.count("chunk"))).touch()

    def take_line(self, line: Any) -> None:
        """Of NDJSON."""
        if line.strip():
            self.take(json.loads(line)["event"])

    def take_all(self, lines: Iterable[Any]) -> None:
        """Events of NDJSON lines, each of which comes before the tool has yielded the next."""
        for line in lines:
            self.take_line(line)
        self.assert_whole()

    def assert_whole(self) -> None:
        assert self._kinds == ["start"] + ["chunk"] * 4 + ["done"]


@pytest.fixture
def in_step(tmp_path: Path) -> InStep:
    return InStep(tmp_path)


# --- clients of NDJSON ---


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_httpx_reads_lines_as_they_come(streams: Any, in_step: InStep, version: str) -> None:
    options: Dict[str, Any] = {"http1": version == "1.1", "http2": version == "2"}
    with httpx.Client(base_url=streams.url, trust_env=False, **options) as client:
        with client.stream("POST", "/stream", json=in_step.body, headers=NDJSON) as answer:
            assert answer.http_version == "HTTP/" + version
            in_step.take_all(answer.iter_lines())


def test_httpx_async_clients_read_many_streams_at_once(streams: Any) -> None:
    async def read(client: httpx.AsyncClient, n: int) -> List[Any]:
        body = {"tool": "count", "args": {"n": n, "seconds": 0.01}}
        async with client.stream("POST", "/stream", json=body, headers=NDJSON) as answer:
            events = [json.loads(line) async for line in answer.aiter_lines()]
        return [event["data"] for event in events if event["event"] == "chunk"]

    async def main() -> List[Any]:
        async with httpx.AsyncClient(base_url=streams.url, trust_env=False, timeout=60) as client:
            return await asyncio.gather(*(read(client, n) for n in range(40)))

    assert asyncio.run(main()) == [list(range(n)) for n in range(40)]


def test_requests_reads_lines_as_they_come(streams: Any, in_step: InStep) -> None:
    with requests.Session() as session:
        session.trust_env = False
        with session.post(streams.url + "/stream", json=in_step.body, headers=NDJSON, stream=True) as answer:
            in_step.take_all(answer.iter_lines(chunk_size=1))


def test_aiohttp_reads_lines_as_they_come(streams: Any, in_step: InStep) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="python3-aiohttp is not installed")

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(streams.url + "/stream", json=in_step.body, headers=NDJSON) as answer:
                async for line in answer.content:
                    in_step.take_line(line)

    asyncio.run(main())
    in_step.assert_whole()


@pytest.mark.parametrize("option", ["--http1.1", "--http1.0", "--http2-prior-knowledge"])
def test_curl_without_buffer_prints_lines_as_they_come(streams: Any, in_step: InStep, option: str) -> None:
    command = ["curl", "-sN", option, streams.url + "/stream", "-H", "accept: application/x-ndjson",
               "-H", "content-type: application/json", "-d", json.dumps(in_step.body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout
        in_step.take_all(curl.stdout)
        assert curl.wait(60) == 0


def test_nghttp_prints_lines_as_they_come(streams: Any, in_step: InStep, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text(json.dumps(in_step.body))
    command = ["stdbuf", "-o0", "nghttp", "-d", str(body), "-H", "accept: application/x-ndjson",
               "-H", "content-type: application/json", streams.url + "/stream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as nghttp:
        assert nghttp.stdout
        in_step.take_all(nghttp.stdout)
        assert nghttp.wait(60) == 0


# --- clients of Server-Sent Events ---


def test_sseclient_py_reads_events_as_they_come(streams: Any, in_step: InStep) -> None:
    sseclient = pytest.importorskip("sseclient", reason="sseclient-py is not installed")
    if not hasattr(sseclient.SSEClient, "events"):
        pytest.skip("the older module sseclient is installed instead of sseclient-py")
    ids = []
    with requests.post(streams.url + "/stream", json=in_step.body, stream=True) as answer:
        for event in sseclient.SSEClient(answer.iter_content(None)).events():
            ids.append(event.id)
            in_step.take(event.event)
    in_step.assert_whole()
    assert ids == ["1", "2", "3", "4", "5", "6"]


def test_curl_reads_events_as_they_come_by_query(streams: Any, in_step: InStep) -> None:
    query = ["--data-urlencode", "tool=in_step", "--data-urlencode", "args=" + json.dumps(in_step.body["args"])]
    with subprocess.Popen(["curl", "-sNG", streams.url + "/stream", *query], stdout=subprocess.PIPE) as curl:
        assert curl.stdout
        for line in curl.stdout:
            if line.startswith(b"event: "):
                in_step.take(line[7:].decode().strip())
    in_step.assert_whole()


# --- coming back ---


def detached(client: httpx.Client, **args: Any) -> str:
    """The id of a stream whose reader has left after the first event."""
    body = {"tool": "count", "args": args, "on_disconnect": "detach"}
    with client.stream("POST", "/stream", json=body, headers=NDJSON) as answer:
        next(answer.iter_lines())
        return answer.headers["x-request-id"]


def wait_until_done(client: httpx.Client, call: str) -> None:
    wait_for(lambda: client.get(f"/calls/{call}").json()["state"] == "done")


@pytest.fixture
def client(streams: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=streams.url, trust_env=False, timeout=30) as made:
        yield made


def test_who_has_had_the_last_event_is_told_to_stop(client: httpx.Client) -> None:
    call = detached(client, n=3)
    wait_until_done(client, call)
    for had in ("5", "6", "999999999999999999"):
        assert client.get(f"/calls/{call}/events", headers={"last-event-id": had}).status_code == 204
    rest = client.get(f"/calls/{call}/events", headers={"last-event-id": "4", **NDJSON})
    assert [json.loads(line)["event"] for line in rest.text.splitlines()] == ["done"]


def test_a_kept_stream_can_be_read_again(client: httpx.Client) -> None:
    call = detached(client, n=3)
    wait_until_done(client, call)
    texts = {client.get(f"/calls/{call}/events", headers=NDJSON).text for _ in range(3)}
    assert len(texts) == 1
    assert len(texts.pop().splitlines()) == 5


def test_odd_numbers_of_the_last_event_are_refused(client: httpx.Client) -> None:
    call = detached(client, n=1)
    wait_until_done(client, call)
    for had in ("-1", "+1", "1.0", "0x1", "1 2", "9" * 19, "9" * 4000, "\u0661".encode()):
        answer = client.get(f"/calls/{call}/events", headers={"last-event-id": had})
        assert answer.status_code == 400, had
        assert answer.json()["code"] == "invalid_request"


def test_head_of_events_takes_them_from_nobody(client: httpx.Client) -> None:
    body = {"tool": "count", "args": {"n": 100, "seconds": 0.02}}
    with client.stream("POST", "/stream", json=body, headers=NDJSON) as answer:
        lines = answer.iter_lines()
        next(lines)
        with httpx.Client(base_url=client.base_url, trust_env=False) as other:
            head = other.head(f"/calls/{answer.headers['x-request-id']}/events")
            assert head.status_code == 200
            assert head.headers["content-type"] == "text/event-stream"
        assert json.loads(list(lines)[-1])["event"] == "done"


@pytest.mark.parametrize("leaving", ["detach", "cancel"])
def test_each_of_many_readers_has_the_stream(streams: Any, client: httpx.Client, leaving: str) -> None:
    body = {"tool": "count", "args": {"n": 40, "seconds": 0.02}, "on_disconnect": leaving}

    def attach(call: str) -> List[Dict[str, Any]]:
        answer = requests.get(f"{streams.url}/calls/{call}/events", headers=NDJSON, timeout=30)
        return [json.loads(line) for line in answer.text.splitlines()]

    with client.stream("POST", "/stream", json=body, headers=NDJSON) as answer:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            others = list(threads.map(attach, [answer.headers["x-request-id"]] * 8))
        first = [json.loads(line) for line in answer.iter_lines()]
    assert [event["id"] for event in first] == list(range(1, 43))
    for events in others:
        lacking = events[0]["id"] if events[0]["event"] == "gap" else 0  # nothing is held for nobody
        assert lacking == 0 or leaving == "cancel"
        assert [event["id"] for event in events if event["event"] != "gap"] == list(range(lacking + 1, 43))


@pytest.mark.parametrize("call", ["%00", "%FF%FE", "a%2Fb", "..", "%2e%2e", "x" * 4000, "%F0%9F%90%8D", "*", "'", "%"])
def test_odd_ids_name_no_stream(client: httpx.Client, call: str) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        head = f"GET /calls/{call}/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer[:200]


def leave_at_random(port: int, seed: int, count: int) -> None:
    """Starts streams, and leaves each after so many bytes, with or without a reset."""
    dice = random.Random(seed)
    for _ in range(count):
        body = json.dumps({"tool": "count", "args": {"n": dice.randrange(300), "size": dice.choice([0, 10, 20000])},
                           "on_disconnect": dice.choice(["cancel", "cancel", "detach"])}).encode()
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(b"POST /stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                               b"content-length: %d\r\n\r\n" % len(body) + body)
            left = dice.choice([0, 1, 50, 300, 1000, 100_000, 10_000_000])
            while left > 0:
                got = connection.recv(min(65536, left))
                left = left - len(got) if got else 0
            if dice.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_readers_may_leave_at_any_moment(streams: Any, client: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(leave_at_random, [streams.port] * 8, range(8), [120] * 8))
    wait_for(lambda: all(call["state"] == "done" for call in listed(client)))
    assert client.post("/execute", json={"tool": "plain"}).json()["result"] == 1


# --- flow control by hand ---


class Narrow:
    """An HTTP/2 connection whose streams may receive so many bytes, until more is allowed."""

    def __init__(self, port: int, window: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http.initiate_connection()
        self.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.data = b""
        self.ended = False
        self.flush()
        self.read_for(0.2)

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def start(self, body: Any) -> None:
        self.http.send_headers(1, [(":method", "POST"), (":path", "/stream"), *HEAD])
        self.http.send_data(1, json.dumps(body).encode(), end_stream=True)
        self.flush()

    def allow(self, count: int) -> None:
        self.http.increment_flow_control_window(count, 1)
        self.flush()

    def read_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.ended and (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(65536)
            except socket.timeout:
                return
            assert received, "the connection was closed"
            for event in self.http.receive_data(received):
                if isinstance(event, h2.events.DataReceived):
                    self.data += event.data
                self.ended |= isinstance(event, h2.events.StreamEnded)
            self.flush()

    def read_until(self, holds: Callable[[], bool], allowing: int = 0) -> None:
        """`allowing`: so much more each time that nothing has come."""

        def look() -> bool:
            if allowing:
                self.allow(allowing)
            self.read_for(0.003)
            return holds()

        wait_for(look)


def test_a_reader_with_room_for_a_byte_at_a_time_gets_every_byte(streams: Any) -> None:
    narrow = Narrow(streams.port, 1)
    narrow.start({"tool": "count", "args": {"n": 2}})
    narrow.read_until(lambda: narrow.ended, allowing=1)
    narrow.socket.close()
    assert narrow.data.count(b"\n\n") == 4 and narrow.data.endswith(b"\n\n")


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_comment_fits_into_what_room_there_is(
    start_gateway: Callable[..., Any], tmp_path: Path, room: int
) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text("streams: {keepalive: 1s}\npools: [{workers: 1, adapter: streams.Streams}]\n")
    gateway = start_gateway("--config", str(config))
    silent = {"tool": "in_step", "args": {"n": 2, "folder": str(tmp_path)}}  # until there is the file "1"
    narrow = Narrow(gateway.port, 0)
    narrow.start(silent)
    narrow.allow(1000)
    narrow.read_until(lambda: narrow.data.endswith(b"data: 0\n\n"))
    said = len(narrow.data)
    narrow.socket.close()
    narrow = Narrow(gateway.port, said + room)
    narrow.start(silent)
    narrow.read_until(lambda: len(narrow.data) == said + room)
    assert narrow.data[said:] == (b":\n\n" if room == 3 else b"\n" * room)
    (tmp_path / "1").touch()
    narrow.allow(1000)
    narrow.read_until(lambda: narrow.ended)
    assert b"event: done" in narrow.data
    narrow.socket.close()
