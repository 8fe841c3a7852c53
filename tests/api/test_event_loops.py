"""What coroutines of tools wait for beside the gateway: their loop may be the one that reads the gateway's stream."""

from pathlib import Path
from typing import Any, Callable, Iterator

import httpx
import pytest
from served import Gateway

POOLS = """\
pools:
  - {{name: waiting, adapter: waiting.Waiting, workers: 1, profile: {profile}}}
  - {{name: called, adapter: waiting.Called, workers: 1, profile: thread, slots: 16}}
"""


class Client:
    def __init__(self, url: str, profile: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)
        self.profile = profile

    def value(self, tool: str, **args: Any) -> Any:
        answer = self.http.post("/execute", json={"tool": tool, "args": args, "timeout_ms": 30000})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]


@pytest.fixture(scope="module", params=["process", "thread", "async"])
def client(request: Any, start_shared_gateway: Callable[..., Gateway], tmp_path_factory: Any) -> Iterator[Client]:
    config: Path = tmp_path_factory.mktemp("waiting") / "snakepit.yaml"
    config.write_text(POOLS.format(profile=request.param + (", slots: 2" if request.param != "process" else "")))
    yield Client(start_shared_gateway("--config", str(config)).url, request.param)


def skip_unless_in_main_thread(client: Client) -> None:
    if client.profile == "thread":
        pytest.skip("Python has signals handled in the main thread alone, where no tool of this profile runs")


@pytest.mark.parametrize("other", ["thread", "timer", "socket", "process"])
def test_a_loop_that_waits_for_the_gateway_sees_what_else_happens(client: Client, other: str) -> None:
    assert client.value(f"for_{other}") == ["other"]
    assert client.value("plain") == "nap"


def test_a_loop_that_waits_for_the_gateway_handles_signals(client: Client) -> None:
    skip_unless_in_main_thread(client)
    assert client.value("for_signal") == ["other"]
    assert client.value("plain") == "nap"


def test_a_loop_is_woken_by_threads_while_replies_come(client: Client) -> None:
    rung, done = client.value("for_rings", n=300)
    assert rung == done > 0


def test_a_loop_that_waits_for_a_thread_alone_is_woken_by_it(client: Client) -> None:
    assert client.value("for_nobody") == "handed over"


def test_a_coroutine_that_waits_for_nothing_is_cancelled(client: Client) -> None:
    for _ in range(3):
        answer = client.http.post("/execute", json={"tool": "for_ever", "timeout_ms": 300})
        assert answer.status_code == 504
    assert client.value("plain") == "nap"


def test_a_forked_child_reads_nothing_in_its_workers_place(client: Client) -> None:
    if client.profile != "process":
        pytest.skip("a fork of several threads")
    client.value("plain")
    assert client.value("in_child") == [0, 0]
    assert client.value("plain") == "nap"


def test_what_a_signals_handler_raises_ends_the_wait_and_not_the_worker(client: Client) -> None:
    if client.profile != "process":
        skip_unless_in_main_thread(client)
        pytest.skip("synchronous tools of this profile run in other threads")
    workers = client.http.get("/workers").json()["workers"]
    for _ in range(3):
        assert client.value("for_alarm") == "the tool's own alarm"
        assert client.value("plain") == "nap"
    assert {each["pid"] for each in client.http.get("/workers").json()["workers"]} == {each["pid"] for each in workers}


def test_a_loop_of_another_maker_waits_as_it_always_does(
    start_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    config = tmp_path / "snakepit.yaml"
    config.write_text(POOLS.format(profile="process").replace("waiting.Waiting", "other_loop.Waiting"))
    client = Client(start_gateway("--config", str(config)).url, "process")
    assert client.value("kind") == "OtherLoop"
    assert client.value("plain") == "nap"
    assert client.value("for_thread") == ["other"]
