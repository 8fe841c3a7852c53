"""Requests for hosts that are not ours, as from a page whose name a forged answer of DNS leads here (rebinding)."""

import json
import socket
import subprocess
from typing import Any, Callable, List

import pytest

PROTOCOLS = ["--http1.1", "--http2-prior-knowledge"]
EVERYWHERE = ["--insecure", "--listen", "0.0.0.0:0"]


def ask(gateway: Any, protocol: str, host: str, path: str = "/livez", *more: str) -> Any:
    """The status, and the problem's code."""
    command = ["curl", "-sS", "--noproxy", "*", protocol, "-H", f"Host: {host}", "-w", "\n%{http_code}", *more]
    text = subprocess.run([*command, gateway.url + path], capture_output=True, text=True, check=True).stdout
    body, _, status = text.rpartition("\n")
    return int(status), json.loads(body).get("code", "") if status[0] == "4" else ""


REFUSED = (421, "misdirected_request")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_on_loopback_other_names_are_refused_for_all_that_there_is(gateway: Any, protocol: str) -> None:
    body = ["-H", "content-type: application/json", "-d", '{"tool": "echo"}']
    assert ask(gateway, protocol, "evil.example:8080") == REFUSED
    assert ask(gateway, protocol, "evil.example", "/metrics") == REFUSED
    assert ask(gateway, protocol, "evil.example", "/nowhere") == REFUSED
    assert ask(gateway, protocol, "evil.example", "/execute", *body) == REFUSED
    assert ask(gateway, protocol, "localhost", "/execute", *body) == (200, "")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:99", "app.localhost:8080", "[::1]:8080", "192.0.2.1"])
def test_localhost_and_addresses_are_nobodys_names(gateway: Any, protocol: str, host: str) -> None:
    assert ask(gateway, protocol, host) == (200, "")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_problem_names_the_setting(gateway: Any, protocol: str) -> None:
    command = ["curl", "-sS", "--noproxy", "*", protocol, "-H", "Host: evil.example", gateway.url + "/livez"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["detail"] == "this gateway does not answer for the host evil.example: http.hosts does not have it"
    assert (told["category"], told["executed"]) == ("auth", "no")


def test_a_request_of_http_1_0_without_a_host_is_answered(gateway: Any) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(1000)


@pytest.mark.parametrize(
    "more,host,status",
    [
        (["--http-hosts", "ours.example,*.ours.example"], "api.ours.example:8080", 200),
        (["--http-hosts", "ours.example"], "evil.example", 421),
        (["--http-hosts", "*"], "evil.example", 200),
        (EVERYWHERE, "any.example", 200),
        ([*EVERYWHERE, "--http-hosts", "ours.example"], "evil.example", 421),
        ([*EVERYWHERE, "--http-hosts", "ours.example"], "10.1.2.3:8080", 200),  # as probes of Kubernetes do
    ],
)
def test_a_list_says_what_else_there_is(
    start_gateway: Callable[..., Any], more: List[str], host: str, status: int
) -> None:
    gateway = start_gateway("--workers", "1", *more)
    for protocol in PROTOCOLS:
        assert ask(gateway, protocol, host)[0] == status
