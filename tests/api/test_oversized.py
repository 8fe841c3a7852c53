"""What is larger than one value may be (64 MiB) is refused before it is sent, and the worker keeps its stream."""

from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
from served import Gateway

TOO_MUCH = 70_000_000


@pytest.fixture(scope="module", params=["process", "thread", "async"])
def gateway(request: Any, tmp_path_factory: Any) -> Iterator[Gateway]:
    path: Path = tmp_path_factory.mktemp("oversized") / "snakepit.yaml"
    path.write_text(
        "pools:\n"
        f"  - {{name: callers, adapter: bulky.Caller, workers: 1, profile: {request.param}}}\n"
        f"  - {{name: callees, adapter: bulky.Callee, workers: 1, profile: {request.param}}}\n"
    )
    gateway = Gateway("--config", str(path))
    yield gateway
    gateway.stop()


def call(gateway: Gateway, tool: str, size: int = TOO_MUCH, **more: Any) -> Any:
    args = {} if tool == "pid" else {"size": size}
    answer = requests.post(f"{gateway.url}/execute", json={"tool": tool, "args": args, **more}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.mark.parametrize(
    ("tool", "name", "code"),
    [
        ("pass_on", "ToolCallError", "payload_too_large"),
        ("apass_on", "ToolCallError", "payload_too_large"),
        ("name", "ToolNotFound", "tool_not_found"),
        ("fetch", "ToolCallError", "result_too_large"),
        ("remember", "VariableError", "variable_too_large"),
        ("recall", "VariableError", "payload_too_large"),
    ],
)
def test_too_much_is_refused_and_the_worker_lives(gateway: Gateway, tool: str, name: str, code: str) -> None:
    before = call(gateway, "pid")
    told = call(gateway, tool, session_id="it")
    assert (told["class"], told["code"], told["pid"]) == (name, code, before)
    assert call(gateway, "pid") == before


def test_sixty_four_mebibytes_are_not_too_much(gateway: Gateway) -> None:
    assert call(gateway, "pass_on", 64 << 20)["class"] == ""
    assert call(gateway, "fetch", 64 << 20)["class"] == ""


def test_what_a_stream_says_beside_its_values_has_a_limit_too(gateway: Gateway) -> None:
    before = call(gateway, "pid")
    body = {"tool": "progress", "args": {"size": TOO_MUCH}}
    text = requests.post(f"{gateway.url}/stream", json=body, timeout=60).text
    assert "result_too_large" in text
    assert call(gateway, "pid") == before


def test_the_gateway_relies_on_nobody(gateway: Gateway) -> None:
    told = call(gateway, "disregard", 66 << 20)
    assert (told["class"], told["code"], told["pid"]) == ("ToolCallError", "payload_too_large", call(gateway, "pid"))
