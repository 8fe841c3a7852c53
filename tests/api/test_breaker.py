"""Whose time limits open the circuit breaker, and by which code a tool that hangs is answered."""

import textwrap
from pathlib import Path

import httpx

TOOLS = """
    import time


    def hang() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.005)


    def echo(text: str) -> str:
        return text
"""

POOL = "workers: 1, run_timeout: 1500ms, timeout: 1500ms, breaker: {threshold: 2}"


def hang(client: httpx.Client, **limits: int) -> str:
    answer = client.post("/execute", json={"tool": "hang", **limits})
    return answer.json()["code"]


def test_callers_limits_do_not_open_the_breaker_and_those_of_the_pool_do(start_gateway, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{adapter: hanging, {POOL}}}]\n")
    gateway = start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for _ in range(3):
            assert hang(client, run_timeout_ms=20) == "worker_timeout"
            assert hang(client, timeout_ms=20) == "deadline_exceeded"
        assert client.get("/pools/default").json()["breaker"] == {"state": "closed", "opened": 0}
        assert client.post("/tools/echo", json={"text": "well"}).json() == "well"
        for _ in range(2):
            assert hang(client) in ("worker_timeout", "deadline_exceeded")
        assert client.get("/pools/default").json()["breaker"] == {"state": "open", "opened": 1}
        assert client.post("/tools/echo", json={"text": "well"}).json()["code"] == "circuit_open"


def test_a_tool_that_hangs_on_an_idle_worker_is_a_worker_timeout_with_equal_limits(
    start_gateway, tmp_path: Path
) -> None:
    (tmp_path / "hanging.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(f"pools: [{{adapter: hanging, {POOL}}}]\n")
    gateway = start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        assert hang(client) == "worker_timeout"
