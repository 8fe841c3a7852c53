"""The real gateway as fixtures; see served.py."""

import os
from typing import Callable, Dict, Iterator, List, Optional

import pytest
from callback_server import Callback, Client
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from served import PATIENCE_SECONDS, Gateway


def pytest_configure() -> None:
    """No proxy leads to what is tested, which is on this machine; and that may be slower than httpx would wait for."""
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        del os.environ[name]
    for phase in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, phase, PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The demo adapter with two workers. No module meets what another has left behind."""
    shared = Gateway("--workers", "2")
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def start_shared_gateway() -> Iterator[Callable[..., Gateway]]:
    """Starts gateways that are stopped after the module's last test."""
    started: List[Gateway] = []

    def start(*args: str, env: Optional[Dict[str, str]] = None) -> Gateway:
        started.append(Gateway(*args, env=env))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Starts gateways that are stopped after the test."""
    started: List[Gateway] = []

    def start(*args: str, env: Optional[Dict[str, str]] = None) -> Gateway:
        started.append(Gateway(*args, env=env))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="module")
def callback() -> Iterator[Callback]:
    """Answers for tools that are registered; the module's gateway has to allow it."""
    server = Callback()
    yield server
    server.shutdown()


@pytest.fixture
def client(gateway: Gateway, callback: Callback) -> Iterator[Client]:
    """Of the module's gateway, which has no registered tools afterwards."""
    made = Client(gateway.url, callback)
    callback.seen.clear()
    callback.answers.clear()
    yield made
    for tool in made.http.get("/tools").json()["tools"]:
        if tool.get("callback"):
            assert made.http.delete(f"/tools/{tool['name']}").status_code == 204
