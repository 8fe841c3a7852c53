"""Telemetry on its way to the gateway (snakepit 83, 85)."""

import pytest

from snakepit_bridge import CallContext, current, dispatch, telemetry

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def sender(monkeypatch):
    monkeypatch.setenv("SNAKEPIT_TELEMETRY_BUFFER", "4")
    made = dispatch.Dispatch()
    monkeypatch.setattr(telemetry.gateway, "dispatch", made)
    return made


@pytest.fixture
def frame(pb, sender):
    def fill():
        made = pb.WorkerFrame()
        sender.fill(made)
        return made

    return fill


@pytest.fixture
def call(pb):
    invoke = pb.Invoke(call_id=7, request_id="r", traceparent=TRACE)
    token = current.running.set(CallContext(invoke, 0))
    yield
    current.running.reset(token)


def test_an_event_is_told_with_its_call(frame, call):
    telemetry.emit("e", {"n": 1}, {"a": "b"})
    (event,) = frame().events
    assert (event.name, event.measurements, event.metadata) == ("e", b'{"n":1}', b'{"a":"b"}')
    assert (event.origin.call_id, event.origin.request_id, event.origin.correlation_id) == (7, "r", "r")
    assert (event.origin.trace_id.hex(), event.origin.span_id.hex()) == (TRACE[3:35], TRACE[36:52])


def test_a_span_is_told_once_when_it_has_ended(frame, call):
    with telemetry.span("work", {"a": 1}) as span:
        assert not frame().spans
        span.set_attribute("b", 2)
    told = frame()
    assert (len(told.spans), len(told.events)) == (1, 0)
    assert told.spans[0].attributes == b'{"a":1,"b":2}'
    assert told.spans[0].end_ns >= told.spans[0].start_ns > 0


def test_spans_of_generators_that_interleave_do_not_mix(frame):
    def work(name):
        with telemetry.span(name):
            yield
            with telemetry.span(f"{name}.inner"):
                yield

    first, second = work("a"), work("b")
    for each in (first, second, first, second):
        next(each)
    first.close()
    second.close()
    assert {span.name for span in frame().spans} == {"a", "b", "a.inner", "b.inner"}
    with telemetry.span("after"):
        pass
    assert frame().spans[0].parent_id == b""


def test_a_span_that_another_call_left_open_is_no_parent(pb, frame):
    def work():
        with telemetry.span("left"):
            yield

    left = work()
    for number in (1, 2):
        invoke = pb.Invoke(call_id=number, request_id=str(number))
        token = current.running.set(CallContext(invoke, 0))
        if number == 1:
            next(left)
        with telemetry.span("work"):
            pass
        current.running.reset(token)
    first, second = frame().spans
    assert first.parent_id and not second.parent_id
    assert first.origin.trace_id != second.origin.trace_id


def test_a_function_is_measured_for_the_call_that_runs_it(pb, frame):
    @telemetry.span("work")
    def work():
        return "done"

    token = current.running.set(CallContext(pb.Invoke(call_id=3, request_id="r"), 0))
    assert work() == "done"
    current.running.reset(token)
    assert frame().spans[0].origin.request_id == "r"


def test_what_finds_no_room_is_counted_once(frame):
    for _ in range(6):
        telemetry.emit("e", {})
    first = frame()
    assert (len(first.events), first.telemetry_dropped) == (4, 2)
    telemetry.emit("e", {})
    assert frame().telemetry_dropped == 0


def test_long_texts_are_cut(frame):
    telemetry.emit("n" * 1000, {}, {"text": "x" * 5000})
    with pytest.raises(ValueError), telemetry.span("s" * 1000):
        raise ValueError("m" * 5000)
    told = frame()
    assert (len(told.events[0].name), told.events[0].metadata) == (128, b'{"truncated":true}')
    assert (len(told.spans[0].name), len(told.spans[0].message)) == (128, 1024)


@pytest.mark.parametrize("text", ["", "x", "00-12-34-01", "00-" + "g" * 32 + "-" + "0" * 16 + "-01"])
def test_a_trace_that_is_none_begins_one_of_the_call(pb, frame, text):
    token = current.running.set(CallContext(pb.Invoke(call_id=1, request_id="r", traceparent=text), 0))
    with telemetry.span("a"):
        pass
    with telemetry.span("b"):
        pass
    current.running.reset(token)
    first, second = frame().spans
    assert len(first.origin.trace_id) == 16 and first.origin.trace_id == second.origin.trace_id
    assert first.parent_id == second.parent_id == b""


def test_a_limit_that_is_none_is_the_usual(monkeypatch):
    for text, expected in (("x", dispatch.BUFFERED), ("100000", dispatch.BUFFERED_MAX)):
        monkeypatch.setenv("SNAKEPIT_TELEMETRY_BUFFER", text)
        assert dispatch.Dispatch()._limit == expected
