"""The requests that the gateway itself sends: many, to servers of every kind. Registered tools have them sent."""

import asyncio
import concurrent.futures
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import httpx
import pytest
from callback_server import Callback, Client
from served import Gateway, wait_for

IN_FLIGHT = "snakepit_callbacks_in_flight"


def write_config(folder: Any, more: str = "") -> List[str]:
    path = folder / "snakepit.yaml"
    path.write_text(
        f"callbacks: {{allow: ['127.0.0.1', 'localhost', '*.slow']{more}}}\n"
        "pools: [{adapter: calling.Agents, workers: 1}]\n"
    )
    return ["--config", str(path)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: Any) -> Iterator[Gateway]:
    made = Gateway(*write_config(tmp_path_factory.mktemp("courier"), ", connections: 500"))
    yield made
    made.stop()


def register_at(client: Client, name: str, url: str) -> None:
    body = {**client.describe(name), "callback": {"url": url}}
    assert client.http.post("/tools", json=body).status_code == 201


def descriptors(gateway: Gateway) -> int:
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


@pytest.fixture
def mute(client: Client) -> Iterator[socket.socket]:
    """The tool `mute`, whose server takes connections and requests, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        register_at(client, "mute", f"http://localhost:{listener.getsockname()[1]}/")
        yield listener


@pytest.fixture
def unreachable(client: Client) -> Iterator[None]:
    """The tool `far`, to whose server no connection comes about: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        register_at(client, "far", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        yield
        for each in waiting:
            each.close()


def serve_once(act: Callable[[socket.socket], None]) -> int:
    """A server for one connection, with which it does that; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener, listener.accept()[0] as connection:
            act(connection)

    threading.Thread(target=run, daemon=True).start()
    return int(listener.getsockname()[1])


def test_two_hundred_are_under_way_at_once(client: Client) -> None:
    """Each is answered when all have been asked."""
    meeting = threading.Barrier(200, timeout=60)
    client.register("look_up", "/meet")
    client.server.answers["/meet"] = lambda: meeting.wait() * 0 or (200, {}, b'"met"')
    answers = asyncio.run(client.execute_all([{"tool": "look_up"}] * 200))
    assert [answer.json()["result"] for answer in answers] == ["met"] * 200


def test_each_gets_its_own_answer(client: Client, gateway: Gateway) -> None:
    client.register("look_up", "/echo")
    client.execute()
    before = descriptors(gateway)
    bodies = [{"tool": "look_up", "args": {"i": i, "text": "x" * random.randrange(100_000)}} for i in range(200)]
    for body, answer in zip(bodies, asyncio.run(client.execute_all(bodies))):
        assert answer.json()["result"] == body["args"]
    assert client.metric(IN_FLIGHT) == 0
    wait_for(lambda: descriptors(gateway) <= before)


def test_servers_that_never_answer_hold_up_nobody(client: Client, mute: socket.socket) -> None:
    client.register("look_up")
    stuck: List[Any] = []
    bodies = [{"tool": "mute", "timeout_ms": 3600000}] * 100
    thread = threading.Thread(target=lambda: stuck.extend(asyncio.run(client.execute_all(bodies))))
    thread.start()
    wait_for(lambda: client.metric(IN_FLIGHT) == 100)
    assert [client.execute().json()["result"] for _ in range(30)] == ["done"] * 30
    assert client.metric(IN_FLIGHT) == 100
    mute.close()
    thread.join()
    problems = [answer.json() for answer in stuck]
    assert {(each["code"], each["executed"]) for each in problems} == {("callback_unreachable", "maybe")}


def test_servers_that_never_answer_are_given_up_in_time(client: Client, mute: socket.socket) -> None:
    answers = asyncio.run(client.execute_all([{"tool": "mute", "timeout_ms": 2000}] * 100))
    problems = [answer.json() for answer in answers]
    assert {(each["code"], each["executed"]) for each in problems} == {("deadline_exceeded", "maybe")}


def test_one_that_waits_for_a_connection_times_out_too(
    start_gateway: Callable[..., Gateway], callback: Callback, tmp_path: Any
) -> None:
    """A host may have half of the connections."""
    client = Client(start_gateway(*write_config(tmp_path, ", connections: 2")).url, callback)
    client.register("look_up", "/slow")
    callback.seen.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as threads, callback.holding("/slow", b'"late"'):
        first = threads.submit(client.execute)
        wait_for(lambda: len(callback.seen) == 1)
        begun = time.monotonic()
        problem = client.execute(timeout_ms=300).json()
        assert time.monotonic() - begun > 0.29
        assert (problem["code"], problem["executed"]) == ("deadline_exceeded", "no")
    assert first.result().json()["result"] == "late"
    assert len(callback.seen) == 1
    assert client.execute().json()["result"] == "late"


def test_it_can_be_cancelled_while_it_connects(client: Client, unreachable: None) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.execute, "far", headers={"x-request-id": "going"})
        wait_for(lambda: client.metric(IN_FLIGHT) == 1)
        time.sleep(0.05)  # it begins to connect
        assert client.http.delete("/calls/going").status_code == 204
        got = asked.result().json()
    assert (got["status"], got["code"], got["executed"]) == (499, "cancelled", "no")


def test_its_time_may_end_while_it_connects(client: Client, unreachable: None) -> None:
    problem = client.execute("far", timeout_ms=300).json()
    assert (problem["status"], problem["code"], problem["executed"]) == (504, "deadline_exceeded", "no")


def test_a_connection_that_does_not_come_about_is_not_waited_for(client: Client, unreachable: None) -> None:
    begun = time.monotonic()
    problem = client.execute("far", timeout_ms=3600000).json()
    assert time.monotonic() - begun > 4.9
    assert (problem["status"], problem["code"], problem["executed"]) == (502, "callback_unreachable", "no")


def test_a_slow_resolver_holds_up_nobody(
    start_gateway: Callable[..., Gateway], callback: Callback, tmp_path: Path
) -> None:
    """Neither while it is asked nor when nobody waits for it any more; what it finds at last is used."""
    library = tmp_path / "slow_resolver.so"
    source = Path(__file__).parent / "slow_resolver.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = {"LD_PRELOAD": str(library), "FOUND": str(tmp_path / "found")}
    client = Client(start_gateway(*write_config(tmp_path), env=environment).url, callback)
    client.register("look_up")
    register_at(client, "named", f"http://name.slow:{callback.port}/")
    found: Dict[str, Any] = {}
    thread = threading.Thread(target=lambda: found.update(client.execute("named").json()))
    thread.start()
    for _ in range(3):
        problem = client.execute("named", timeout_ms=200).json()
        assert (problem["code"], problem["executed"]) == ("deadline_exceeded", "no")
        assert client.execute().json()["result"] == "done"
    assert not found
    (tmp_path / "found").touch()
    thread.join()
    assert found["result"] == "done"


def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    client: Client, gateway: Gateway, mute: socket.socket, unreachable: None
) -> None:
    client.register("look_up", "/echo")
    client.execute()
    before = descriptors(gateway)
    for round in range(20):
        bodies = [{"tool": tool} for tool in ("look_up", "mute", "far", "look_up") * 10]
        asyncio.run(client.execute_all(bodies, timeout=0.002 * (round + 1)))
    wait_for(lambda: client.metric(IN_FLIGHT) == 0)
    wait_for(lambda: descriptors(gateway) <= before)
    assert client.execute(args={"i": 1}).json()["result"] == {"i": 1}


def test_a_large_request_goes_out_at_once(client: Client) -> None:
    """libcurl would ask whether it may, and wait for a second."""
    client.register("look_up")
    assert client.execute(args={"text": "x" * 3_000_000}).status_code == 200
    assert "expect" not in client.server.seen[0]["headers"]


def test_a_connection_that_is_reset_has_perhaps_run_something(client: Client) -> None:

    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n12")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    register_at(client, "resets", f"http://127.0.0.1:{serve_once(reset)}/")
    problem = client.execute("resets", timeout_ms=3600000).json()
    assert (problem["code"], problem["executed"]) == ("callback_unreachable", "maybe")


def test_part_of_a_request_may_have_run_something(client: Client) -> None:
    """The server takes the head of a request that is larger than what the kernel keeps, and dies."""

    def die(connection: socket.socket) -> None:
        connection.recv(4096)

    register_at(client, "dies", f"http://127.0.0.1:{serve_once(die)}/")
    problem = client.execute("dies", args={"text": "x" * 7_000_000}).json()
    assert (problem["code"], problem["executed"]) == ("callback_unreachable", "maybe")


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000, b""])
def test_a_server_that_speaks_no_http_is_not_believed(client: Client, answer: bytes) -> None:

    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    register_at(client, "odd", f"http://127.0.0.1:{serve_once(speak)}/")
    problem = client.execute("odd").json()
    assert (problem["status"], problem["code"], problem["executed"]) == (502, "callback_unreachable", "maybe")


def test_an_answer_that_comes_byte_by_byte_arrives(client: Client) -> None:

    def dribble(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 6\r\n\r\n\"slow\"":
            connection.sendall(bytes([byte]))
            time.sleep(0.002)

    register_at(client, "slow", f"http://127.0.0.1:{serve_once(dribble)}/")
    assert client.execute("slow").json()["result"] == "slow"


def test_a_server_whose_certificate_is_not_trusted_is_not_asked(client: Client, tmp_path: Path) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*made, "-keyout", "key", "-out", "certificate"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    server = Callback()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    register_at(client, "secure", f"https://localhost:{server.port}/")
    problem = client.execute("secure").json()
    server.shutdown()
    assert (problem["status"], problem["code"], problem["executed"]) == (502, "callback_unreachable", "no")
    assert problem["detail"] == "the server's certificate is not trusted"
    assert server.seen == []


def test_the_gateway_leaves_though_many_are_under_way(
    start_gateway: Callable[..., Gateway], callback: Callback, tmp_path: Any
) -> None:
    path = write_config(tmp_path)
    Path(path[1]).write_text(Path(path[1]).read_text() + "drain_timeout: 100ms\n")
    gateway = start_gateway(*path)
    client = Client(gateway.url, callback)
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        register_at(client, "mute", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        answers: List[Any] = []
        thread = threading.Thread(
            target=lambda: answers.extend(asyncio.run(client.execute_all([{"tool": "mute"}] * 50)))
        )
        thread.start()
        wait_for(lambda: client.metric(IN_FLIGHT) == 50)
        gateway.stop()
        thread.join()
    assert all(isinstance(each, httpx.HTTPError) or each.status_code >= 499 for each in answers), json.dumps(
        [repr(each) for each in answers]
    )
