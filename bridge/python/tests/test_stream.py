"""Frames, cancellation, liveness and the end, over a real stream."""

import pytest
from standin import wait_until


def slow(stream, seconds, tool="sometimes_slow"):
    return stream.invocation(tool, {"seconds": seconds})


def running(worker, call_id):
    """Wait until the started-call page shows the call."""
    wait_until(lambda: worker.page.running() == call_id)


def test_calls_of_a_frame_are_answered_in_order(worker):
    stream = worker.stream
    calls = [stream.invocation("grows", {"n": n}) for n in range(1000)]
    stream.invoke(*calls)
    stream.answer(calls[-1].call_id)
    ids = [result.call_id for frame in stream.frames for result in frame.results]
    assert ids == [call.call_id for call in calls]


def test_waiting_results_share_a_frame(worker):
    stream = worker.stream
    stream.call("grows")
    calls = [stream.invocation("grows", {"n": n}) for n in range(500)]
    stream.invoke(*calls)
    stream.answer(calls[-1].call_id)
    assert len(stream.frames) < 250


@pytest.mark.parametrize("tool", ["sometimes_slow", "busy"])
def test_surprisingly_slow_tool_does_not_hold_back_finished_results(worker, tool):
    stream = worker.stream
    for _ in range(20):
        stream.call(tool)  # it has a history of being fast
    first, second = stream.invocation("grows"), slow(stream, 1.5, tool)
    stream.invoke(first, second)
    stream.answer(first.call_id)
    assert second.call_id not in stream.answers()
    stream.answer(second.call_id)


def test_usually_slow_tool_does_not_hold_back_finished_results(worker):
    stream = worker.stream
    first, second = stream.invocation("grows"), slow(stream, 0.5)
    stream.invoke(first, second)
    stream.answer(first.call_id)
    assert second.call_id not in stream.answers()


@pytest.mark.parametrize("tool", ["sometimes_slow", "busy"])
def test_ping_is_answered_while_a_tool_runs(worker, tool):
    """snakepit 73"""
    stream = worker.stream
    call = slow(stream, 1.5, tool)
    stream.invoke(call)
    running(worker, call.call_id)
    stream.ping(41)
    stream.ping(42)
    assert stream.state(42).resident_bytes > 1_000_000
    assert call.call_id not in stream.answers()


def test_ping_is_answered_while_a_usually_fast_tool_is_slow(worker):
    stream = worker.stream
    for _ in range(20):
        stream.call("sometimes_slow")
    call = slow(stream, 2.0)
    stream.invoke(call)
    running(worker, call.call_id)
    stream.ping(1)
    stream.state(1)
    assert call.call_id not in stream.answers()


def test_state_counts_finished_calls(worker):
    worker.stream.call("grows")
    worker.stream.call("exits")
    worker.stream.ping(1)
    assert worker.stream.state(1).calls_done == 2


def test_ping_is_answered_while_fast_calls_queue_up(worker):
    stream = worker.stream
    calls = [slow(stream, 0.0005) for _ in range(1500)]
    stream.invoke(*calls)
    stream.ping(1)
    stream.state(1)
    assert calls[-1].call_id not in stream.answers()
    stream.answer(calls[-1].call_id)


def test_waiting_call_is_cancelled_at_once_and_never_run(worker):
    stream = worker.stream
    first, second = slow(stream, 1.0), stream.invocation("grows")
    stream.invoke(first, second)
    running(worker, first.call_id)
    stream.cancel(second.call_id)
    answer = stream.answer(second.call_id)
    assert (answer.type, answer.code, answer.started) == ("Cancelled", "cancelled", False)
    assert first.call_id not in stream.answers()
    stream.answer(first.call_id)
    assert worker.page.started() == [first.call_id]


def test_cancel_that_overtakes_its_invoke_holds(worker):
    stream = worker.stream
    early, late = stream.invocation("grows"), stream.invocation("grows")
    stream.cancel(early.call_id)
    stream.invoke(early, late)
    assert stream.answer(early.call_id).code == "cancelled"
    assert stream.answer(late.call_id).body == b"{}"


def test_cancel_in_the_frame_of_its_invoke_holds(worker, pb):
    stream = worker.stream
    call = stream.invocation("grows")
    stream.send(pb.GatewayFrame(invokes=[call], cancels=[pb.Cancel(call_id=call.call_id)]))
    assert stream.answer(call.call_id).code == "cancelled"


@pytest.mark.parametrize("tool", ["sometimes_slow", "busy", "swallows_exceptions", "later_until_cancelled"])
def test_running_call_that_is_cancelled_is_interrupted(worker, tool):
    stream = worker.stream
    call = stream.invocation(tool, {"seconds": 30.0} if tool in ("sometimes_slow", "busy") else {})
    stream.invoke(call)
    running(worker, call.call_id)
    stream.cancel(call.call_id)
    answer = stream.answer(call.call_id)
    assert (answer.code, answer.started) == ("cancelled", True)
    assert stream.value("grows") == {}
    assert worker.page.running() == 0


def test_running_call_sees_that_it_is_cancelled(worker):
    stream = worker.stream
    call = stream.invocation("until_cancelled")
    stream.invoke(call)
    running(worker, call.call_id)
    stream.cancel(call.call_id)
    assert stream.answer(call.call_id).body == b"true"


def test_cancel_of_a_finished_call_changes_nothing(worker):
    stream = worker.stream
    stream.call("grows")
    stream.cancel(1)
    assert stream.value("seen")["cancelled"] is False
    assert len(stream.answers()) == 2


def test_calls_sent_while_a_tool_runs_are_run_after_it(worker):
    stream = worker.stream
    first = slow(stream, 0.1)
    stream.invoke(first)
    running(worker, first.call_id)
    later = [stream.invocation("grows", {"n": n}) for n in range(3)]
    for call in later:
        stream.invoke(call)
    assert stream.answer(later[-1].call_id).body == b'{"n":2}'
    assert stream.value("later") == 1


def test_slow_and_fast_calls_in_turn_are_all_answered(worker):
    """The reading changes hands at each slow call."""
    stream = worker.stream
    for n in range(60):
        assert stream.value("sometimes_slow", {"seconds": 0.003 if n % 2 else 0}) is not None


def test_stop_finishes_what_was_invoked(zygotes, gateway, tmp_path):
    cleaned = tmp_path / "cleaned"
    worker = start(zygotes, gateway, CLEANUP_FILE=str(cleaned))
    stream = worker.stream
    calls = [slow(stream, 0.1), stream.invocation("grows")]
    stream.invoke(*calls)
    stream.stop()
    assert worker.exit_status() == 0
    assert set(stream.answers()) == {call.call_id for call in calls}
    assert cleaned.read_text() == "cleaned up\n"


def test_stop_of_an_idle_worker_is_quick(worker):
    worker.stream.value("later")
    worker.stream.stop(grace_ms=600_000)
    assert worker.exit_status() == 0


def test_stop_ends_within_its_grace(worker):
    call = slow(worker.stream, 60)
    worker.stream.invoke(call)
    running(worker, call.call_id)
    worker.stream.stop(grace_ms=100)
    assert worker.exit_status() == 0


def test_end_of_the_stream_ends_the_worker(zygotes, gateway, tmp_path):
    """snakepit 74"""
    cleaned = tmp_path / "cleaned"
    worker = start(zygotes, gateway, CLEANUP_FILE=str(cleaned))
    worker.stream.value("later")
    worker.stream.end()
    assert worker.exit_status() == 0
    assert cleaned.read_text() == "cleaned up\n"


def test_end_of_the_stream_ends_a_busy_worker(worker):
    """snakepit 74"""
    call = slow(worker.stream, 60)
    worker.stream.invoke(call)
    running(worker, call.call_id)
    worker.stream.end()
    assert worker.exit_status() == 0


def test_hanging_cleanup_does_not_keep_the_worker(zygotes, gateway):
    worker = start(zygotes, gateway, CLEANUP_HANGS="1")
    worker.stream.value("later")
    worker.stream.end()
    assert worker.exit_status() == 0


def start(zygotes, gateway, **environment):
    zygote = zygotes(**environment)
    zygote.load("sample.Sample")
    return gateway.fork(zygote)
