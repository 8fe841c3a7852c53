"""The real gateway as fixtures; see served.py."""

from typing import Callable, Dict, Iterator, List, Optional

import pytest
from served import Gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """The demo adapter with two workers, shared by all tests."""
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
