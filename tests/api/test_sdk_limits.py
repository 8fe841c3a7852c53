"""Limits of the Python package come from the gateway's configuration."""

import textwrap
from pathlib import Path
from typing import Any, Iterator

import httpx
import pytest
from served import Gateway

TOOLS = """
    import array

    from snakepit_bridge import BaseAdapter, cache, telemetry, tool


    class Limited(BaseAdapter):
        @tool
        def large(self, size: int) -> str:
            return "x" * size

        @tool
        def large_items(self, size: int):
            yield "x" * size

        @tool
        def sends(self, size: int) -> str:
            return self.context.call_tool("large_items", size=1, more="x" * size)

        @tool
        def numbers(self, count: int) -> dict:
            return {"of": array.array("i", range(count))}

        @tool
        async def babbles(self, stream, count: int):
            for _ in range(count):
                stream.send("x" * 100)

        @tool
        def remembered(self) -> list:
            return [cache.TTL, cache.MAX_BYTES]

        @tool
        def tells(self, count: int) -> int:
            for n in range(count):
                telemetry.emit("a.b", {"n": n})
            return len(telemetry.gateway.dispatch.waiting)
"""

SETTINGS = """
    values: {limit: 100KiB, elements: 10}
    streams: {ahead: 2KiB, window: 1KiB}
    sessions: {variables_cache_ttl: 1500ms, variables_cache_size: 1MiB}
    references: {limit: 2, ttl: 1h}
    telemetry: {buffer: 7}
    pools:
      - {name: default, adapter: limited_tools.Limited, workers: 1, snakebridge_allow: [collections]}
      - {name: other, adapter: limited_tools.Limited, workers: 1, env: {SNAKEPIT_VALUES_LIMIT: "300000"}}
"""


@pytest.fixture(scope="module")
def http(tmp_path_factory: Any) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("limited")
    (folder / "limited_tools.py").write_text(textwrap.dedent(TOOLS))
    (folder / "snakepit.yaml").write_text(textwrap.dedent(SETTINGS))
    gateway = Gateway("--config", str(folder / "snakepit.yaml"), env={"PYTHONPATH": str(folder)})
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        yield client
    gateway.stop()


def run(http: httpx.Client, tool: str, **args: Any) -> httpx.Response:
    return http.post(f"/tools/{tool}", json=args, params={"pool": "default", "session_id": "s"})


@pytest.mark.parametrize("tool", ["large", "large_items"])
def test_a_value_above_the_limit_is_an_error_of_the_tool(http: httpx.Client, tool: str) -> None:
    answer = run(http, tool, size=100 << 10)
    assert (answer.status_code, answer.json()["code"]) == (500, "result_too_large")
    assert "102400 is the limit" in answer.json()["detail"]
    assert run(http, tool, size=(100 << 10) - 10).status_code == 200


def test_arguments_above_the_limit_are_not_sent(http: httpx.Client) -> None:
    told = run(http, "sends", size=100 << 10).json()
    assert (told["python"]["type"], "102400 is the limit" in told["detail"]) == ("ToolCallError", True)


def test_a_pool_may_have_a_limit_of_its_own(http: httpx.Client) -> None:
    answer = http.post("/tools/large?pool=other", json={"size": 250_000})
    assert answer.status_code == 200
    assert "300000 is the limit" in http.post("/tools/large?pool=other", json={"size": 300_000}).json()["detail"]


def test_an_array_above_the_limit_becomes_a_marker(http: httpx.Client) -> None:
    assert run(http, "numbers", count=10).json() == {"of": list(range(10))}
    assert "__ffi_unserializable__" in run(http, "numbers", count=11).json()["of"]


def test_a_coroutine_that_does_not_await_its_reader_ends_at_the_limit(http: httpx.Client) -> None:
    with http.stream("POST", "/stream", json={"tool": "babbles", "args": {"count": 50}, "pool": "default"}) as stream:
        text = "".join(stream.iter_text())
    assert "BufferError" in text


def test_references_above_the_limit_are_let_go(http: httpx.Client) -> None:
    def call(**body: Any) -> httpx.Response:
        return run(http, "snakebridge.call", **body)

    made = [call(python_module="collections", call_type="class", function="Counter", args=[]) for _ in range(3)]
    gone = call(call_type="method", instance=made[0].json(), method="total", args=[])
    assert gone.json()["code"] == "ref_not_found"
    assert call(call_type="method", instance=made[2].json(), method="total", args=[]).json() == 0


def test_the_cache_of_variables_has_the_limits_of_the_configuration(http: httpx.Client) -> None:
    assert run(http, "remembered").json() == [1.5, 1 << 20]


def test_telemetry_that_waits_is_limited(http: httpx.Client) -> None:
    assert run(http, "tells", count=20).json() == 7
