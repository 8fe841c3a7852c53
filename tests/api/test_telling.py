"""Events and spans of tools arrive at the gateway: in /metrics, and in the log at level "debug".

Snakepit 61, 83, 85.
"""

import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import httpx
import pytest
from served import Gateway, wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture(scope="module", params=["process", "thread"])
def gateway(request: Any, tmp_path_factory: Any) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("telemetry") / "snakepit.yaml"
    slots = "" if request.param == "process" else ", slots: 4"
    path.write_text(
        f"log_level: debug\npools: [{{adapter: telling.Telling, profile: {request.param}{slots}, workers: 1}}]\n"
    )
    made = Gateway("--config", str(path))
    yield made
    made.stop()


def execute(gateway: Any, tool: str, headers: Any = None, **args: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/execute", json={"tool": tool, "args": args}, headers=headers, trust_env=False)


def entries(gateway: Any, event: str, count: int = 1, **expected: Any) -> List[Dict[str, Any]]:
    """The so many lines of the log with that event and those members."""
    found: List[Dict[str, Any]] = []

    def look() -> bool:
        found[:] = [
            line for line in gateway.entries()
            if line["event"] == event and all(line.get(key) == value for key, value in expected.items())
        ]  # fmt: skip
        return len(found) >= count

    wait_for(look)
    return found


def metric(gateway: Any, name: str) -> float:
    lines = httpx.get(f"{gateway.url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_an_event_is_counted_by_its_name(gateway: Any) -> None:
    name = 'snakepit_telemetry_events_total{pool="default",name="model.loaded"}'
    before = metric(gateway, name)
    execute(gateway, "tell", times=3)
    assert metric(gateway, name) == before + 3


def test_an_event_is_logged_with_its_ids(gateway: Any) -> None:
    headers = {"x-request-id": "event-1", "x-correlation-id": "work-1", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    execute(gateway, "tell", headers, metadata={"model": "m"})
    (entry,) = entries(gateway, "telemetry event", request_id="event-1")
    assert (entry["level"], entry["name"], entry["pool"]) == ("debug", "model.loaded", "default")
    assert (entry["correlation_id"], entry["trace_id"], entry["span_id"]) == ("work-1", TRACE, PARENT)
    assert (json.loads(entry["measurements"]), json.loads(entry["metadata"])) == ({"number": 0}, {"model": "m"})
    assert abs(entry["time_ns"] / 1e9 - time.time()) < 60


def test_a_span_has_its_place_in_the_trace(gateway: Any) -> None:
    execute(gateway, "measure", {"x-request-id": "span-1", "traceparent": f"00-{TRACE}-{PARENT}-01"})
    (outer,) = entries(gateway, "telemetry span", request_id="span-1", name="outer")
    (inner,) = entries(gateway, "telemetry span", request_id="span-1", name="inner")
    (event,) = entries(gateway, "telemetry event", request_id="span-1", name="inside")
    assert [each["trace_id"] for each in (outer, inner, event)] == [TRACE] * 3
    assert (outer["parent_id"], inner["parent_id"]) == (PARENT, outer["span_id"])
    assert event["span_id"] == inner["span_id"] != outer["span_id"]
    assert json.loads(outer["attributes"]) == {"size": 3, "rows": 2}
    assert 0 < inner["duration_ns"] <= outer["duration_ns"] < 5e9
    assert outer["correlation_id"] == "span-1"


def test_spans_of_a_call_without_a_trace_make_one(gateway: Any) -> None:
    execute(gateway, "measure", {"x-request-id": "span-2"})
    spans = entries(gateway, "telemetry span", 2, request_id="span-2")
    assert len({span["trace_id"] for span in spans}) == 1 and len(spans) == 2
    assert [span["parent_id"] for span in spans if span["name"] == "outer"] == [""]


def test_a_span_of_a_coroutine(gateway: Any) -> None:
    assert execute(gateway, "ameasure", {"x-request-id": "span-3"}).json()["result"] == "span-3"
    (span,) = entries(gateway, "telemetry span", request_id="span-3")
    assert (span["name"], span["error"]) == ("async", "")


def test_an_exception_ends_a_span(gateway: Any) -> None:
    failed = 'snakepit_telemetry_spans_total{pool="default",name="inner",end="failure"}'
    seconds = 'snakepit_telemetry_span_seconds_count{pool="default",name="inner"}'
    before = metric(gateway, failed), metric(gateway, seconds)
    assert execute(gateway, "measure", {"x-request-id": "span-4"}, fail=True).status_code == 500
    (span,) = entries(gateway, "telemetry span", request_id="span-4", name="inner")
    assert (span["error"], span["message"]) == ("ValueError", "bad input")
    assert (metric(gateway, failed), metric(gateway, seconds)) == (before[0] + 1, before[1] + 1)


def test_the_correlation_id_is_the_request_id_unless_there_is_one(gateway: Any) -> None:
    assert execute(gateway, "measure", {"x-request-id": "mine"}).json()["result"] == "mine"
    assert execute(gateway, "measure", {"x-snakepit-correlation-id": "sdk"}).json()["result"] == "sdk"


def test_what_cannot_be_told_harms_nothing(gateway: Any) -> None:
    lost = 'snakepit_telemetry_lost_total{reason="malformed"}'
    before = metric(gateway, lost)
    assert execute(gateway, "odd", {"x-request-id": "odd"}).json()["result"] == "told"
    (large,) = entries(gateway, "telemetry event", request_id="odd", name="large")
    assert json.loads(large["metadata"]) == {"truncated": True}
    assert metric(gateway, lost) == before + 1  # an event without a name


def test_what_has_no_room_is_dropped_and_counted(gateway: Any) -> None:
    name = 'snakepit_telemetry_events_total{pool="default",name="flood"}'
    lost = 'snakepit_telemetry_lost_total{reason="dropped"}'
    before = metric(gateway, lost) + metric(gateway, name)
    assert execute(gateway, "tell", name="flood", times=5000).status_code == 200
    assert metric(gateway, lost) + metric(gateway, name) == before + 5000
    assert metric(gateway, lost) > 0


def test_only_so_many_names_are_told_apart(start_gateway: Callable[..., Any]) -> None:
    gateway = start_gateway("--adapter", "telling.Telling", "--workers", "1", "--telemetry-names", "12")
    execute(gateway, "tell_many", count=100)
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    samples = [line for line in text.splitlines() if line.startswith("snakepit_telemetry_events_total{")]
    assert len(samples) == 13
    other = 'snakepit_telemetry_events_total{pool="default",name="other"}'
    assert metric(gateway, other) == 88


def test_above_debug_nothing_is_logged(start_gateway: Callable[..., Any]) -> None:
    gateway = start_gateway("--adapter", "telling.Telling", "--workers", "1")
    execute(gateway, "measure")
    assert metric(gateway, 'snakepit_telemetry_spans_total{pool="default",name="outer",end="result"}') == 1
    assert "telemetry span" not in gateway.log()


@pytest.mark.parametrize("profile", ["process", "thread, slots: 2", "async, slots: 2"])
def test_what_is_told_before_the_first_call_arrives_too(
    start_gateway: Callable[..., Any], tmp_path: Path, profile: str
) -> None:
    path = tmp_path / "snakepit.yaml"
    path.write_text(f"pools: [{{name: default, adapter: telling.Loading, profile: {profile}, workers: 1}}]\n")
    gateway = start_gateway("--config", str(path))
    execute(gateway, "ready")
    assert metric(gateway, 'snakepit_telemetry_events_total{pool="default",name="model.loaded"}') == 1
    assert metric(gateway, 'snakepit_telemetry_spans_total{pool="default",name="load",end="result"}') == 1
