"""Events and spans (snakepit 83, 85)."""

import json
import threading

import pytest

from snakepit_bridge import CallContext, current, logging_config, telemetry


@pytest.fixture
def events():
    kept = telemetry.Buffer(4)
    telemetry.set_backend(kept)
    yield kept
    telemetry.set_backend(telemetry.gateway)


@pytest.fixture
def call(pb):
    token = current.running.set(CallContext(pb.Invoke(call_id=7, session_id="s", correlation_id="c"), 0))
    yield
    current.running.reset(token)


def test_span_tells_of_its_start_and_stop(events):
    """snakepit 83"""
    with telemetry.span("work", {"tool": "t"}, "id"):
        pass
    start, stop = events.take()
    assert (start.name, stop.name) == ("work.start", "work.stop")
    assert stop.measurements["duration"] >= 0
    assert (stop.metadata, stop.correlation_id) == ({"tool": "t"}, "id")


def test_span_tells_of_an_exception_and_raises_it(events):
    """snakepit 83"""
    with pytest.raises(KeyError), telemetry.span("work"):
        raise KeyError("x")
    _, failed = events.take()
    assert failed.name == "work.exception"
    assert (failed.metadata["error_type"], failed.metadata["error_message"]) == ("KeyError", "'x'")


def test_events_wait_in_order_and_drops_are_counted(events):
    """snakepit 85"""
    for number in range(6):
        telemetry.emit("e", {"number": number})
    assert [event.measurements["number"] for event in events.take()] == [2, 3, 4, 5]
    assert events.dropped == 2


def test_events_of_other_threads_are_kept(events):
    """snakepit 85"""
    thread = threading.Thread(target=lambda: telemetry.emit("from.thread", {}))
    thread.start()
    thread.join()
    assert [event.name for event in events.take()] == ["from.thread"]


def test_event_belongs_to_its_call(events, call):
    """snakepit 61"""
    telemetry.emit("e", {})
    (event,) = events.take()
    assert (event.call_id, event.correlation_id) == (7, "c")


def test_correlation_id_can_be_set_for_a_while(call):
    """snakepit 61"""
    token = telemetry.set_correlation_id("other")
    assert telemetry.outgoing_metadata([("a", "b")]) == [("a", "b"), ("x-snakepit-correlation-id", "other")]
    telemetry.reset_correlation_id(token)
    assert telemetry.get_correlation_id() == "c"


def test_outgoing_id_is_made_when_there_is_none():
    """snakepit 61"""
    (header,) = telemetry.outgoing_metadata()
    assert len(header[1]) == 32 and telemetry.get_correlation_id("none") == "none"


def test_without_a_backend_nothing_is_sent():
    telemetry.set_backend(None)
    try:
        telemetry.emit("e", {})
        assert not telemetry.is_enabled()
    finally:
        telemetry.set_backend(telemetry.gateway)


def test_stderr_backend_writes_a_line(capsys):
    telemetry.StderrBackend().emit("e", {"a": 1}, {"b": "c"}, "id")
    line = capsys.readouterr().err
    assert line.startswith("TELEMETRY:")
    assert json.loads(line[10:])["measurements"] == {"a": 1}


def test_log_records_get_the_correlation_id(call):
    """snakepit 61"""
    import logging

    record = logging.LogRecord("n", 20, "f", 1, "m", (), None)
    logging_config.CorrelationFilter().filter(record)
    assert record.correlation_id == "c"


@pytest.mark.parametrize(
    "name, logger",
    [("x", "snakepit.x"), ("snakepit_bridge.a.b", "snakepit.bridge.a.b"), ("snakepit.y", "snakepit.y")],
)
def test_loggers_are_below_snakepit(name, logger):
    assert logging_config.get_logger(name).name == logger
