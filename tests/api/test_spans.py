"""A tool that is called within a span is a part of that span: in its trace context, and in the spans it tells of."""

from pathlib import Path
from typing import Any, Dict, Iterator, List

import httpx
import pytest
from callback_server import Callback
from served import Gateway, wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
OWN = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def callback() -> Iterator[Callback]:
    server = Callback()
    yield server
    server.shutdown()


@pytest.fixture(scope="module", params=["process", "thread", "async"])
def gateway(request: Any, callback: Callback, tmp_path_factory: Any) -> Iterator[Gateway]:
    slots = "" if request.param == "process" else ", slots: 4"
    path: Path = tmp_path_factory.mktemp("spans") / "snakepit.yaml"
    path.write_text(
        f"log_level: debug\ncallbacks: {{allow: '127.0.0.1:{callback.port}'}}\npools:\n"
        f"  - {{name: callers, adapter: tracing.Caller, profile: {request.param}{slots}, workers: 1}}\n"
        f"  - {{name: callees, adapter: tracing.Callee, profile: {request.param}{slots}, workers: 1}}\n"
    )
    made = Gateway("--config", str(path))
    yield made
    made.stop()


def run(gateway: Gateway, tool: str, args: Any = None, **headers: str) -> Any:
    given = {"traceparent": OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = httpx.post(
        f"{gateway.url}/execute", json={"tool": tool, "args": args or {}}, trust_env=False, timeout=30,
        headers={name: value for name, value in given.items() if value},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def spans(gateway: Gateway, request_id: str, count: int) -> Dict[str, Any]:
    """Those that the gateway was told of by that call and by what it called, by name."""
    found: List[Any] = []

    def look() -> bool:
        found[:] = [
            line for line in gateway.entries()
            if line["event"] == "telemetry span" and line["request_id"].partition(".")[0] == request_id
        ]  # fmt: skip
        return len(found) >= count

    wait_for(look)
    return {line["name"]: line for line in found}


@pytest.mark.parametrize("tool", ["plain", "coroutine", "carried", "by_name", "made"])
def test_the_called_tool_is_a_part_of_the_span(gateway: Gateway, tool: str) -> None:
    got = run(gateway, tool)
    assert got["callee"] == f"00-{TRACE}-{got['span']}-01"


@pytest.mark.parametrize("tool", ["generator", "async_generator"])
def test_so_it_is_when_a_stream_calls(gateway: Gateway, tool: str) -> None:
    got = run(gateway, tool)[1]
    assert got["callee"] == f"00-{TRACE}-{got['span']}-01"


def test_spans_nest_from_the_callers_caller_to_the_called_tool(gateway: Gateway) -> None:
    got = run(gateway, "plain", x_request_id="nest")
    told = spans(gateway, "nest", 3)
    assert [told[name]["trace_id"] for name in ("outer", "asks", "called")] == [TRACE] * 3
    assert told["outer"]["parent_id"] == PARENT
    assert told["asks"]["parent_id"] == told["outer"]["span_id"]
    assert told["called"]["parent_id"] == told["asks"]["span_id"] == got["span"]
    assert told["called"]["request_id"] == "nest.1"


def test_without_a_trace_that_of_the_span_goes_along(gateway: Gateway) -> None:
    got = run(gateway, "plain", traceparent="", x_request_id="fresh")
    assert got["callee"] == f"00-{got['trace']}-{got['span']}-01"
    told = spans(gateway, "fresh", 3)
    assert told["outer"]["parent_id"] == ""
    assert told["called"]["parent_id"] == got["span"]
    assert {told[name]["trace_id"] for name in ("outer", "asks", "called")} == {got["trace"]}


def test_a_span_that_is_over_is_not_handed_on(gateway: Gateway) -> None:
    assert run(gateway, "after") == OWN


def test_a_trace_that_is_not_recorded_stays_so(gateway: Gateway) -> None:
    got = run(gateway, "plain", traceparent=f"00-{TRACE}-{PARENT}-00")
    assert got["callee"] == f"00-{TRACE}-{got['span']}-00"


def test_spans_of_tasks_do_not_mix(gateway: Gateway) -> None:
    told = run(gateway, "tasks", {"n": 20})
    assert len({each["span"] for each in told}) == 20
    assert [each["callee"] for each in told] == [f"00-{TRACE}-{each['span']}-01" for each in told]


def test_a_callback_is_a_part_of_the_span(gateway: Gateway, callback: Callback) -> None:
    tool = {"name": "remote", "schema": {}, "callback": {"url": f"http://127.0.0.1:{callback.port}/"}}
    httpx.post(f"{gateway.url}/tools", json=tool, trust_env=False).raise_for_status()
    callback.seen.clear()
    got = run(gateway, "plain", {"name": "remote"}, tracestate="a=1")
    headers = callback.seen[0]["headers"]
    assert (headers["traceparent"], headers["tracestate"]) == (f"00-{TRACE}-{got['span']}-01", "a=1")


@pytest.mark.parametrize(
    ("trace_id", "span_id"), [(TRACE, "aa"), ("aa", "aa" * 8), ("aa" * 16, "aa" * 8), (TRACE, "00" * 8)]
)
def test_what_is_no_span_of_the_calls_trace_is_not_handed_on(gateway: Gateway, trace_id: str, span_id: str) -> None:
    assert run(gateway, "forged", {"trace_id": trace_id, "span_id": span_id}) == OWN


@pytest.mark.parametrize("traceparent", ["x", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01"])
def test_a_traceparent_that_is_none_is_not_handed_on(gateway: Gateway, traceparent: str) -> None:
    assert run(gateway, "place", traceparent=traceparent) == ""
