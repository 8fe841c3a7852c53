"""Streams: what calls emit before they end, in every profile."""

import json
import time

import pytest
from standin import wait_until

CHUNK, PROGRESS, LOG = 0, 1, 2
COST = 64  # of credit for each value, beside its bytes
BOTH = pytest.mark.parametrize("tool", ["counts", "counts_in_loop"])
SENDERS = pytest.mark.parametrize("tool", ["sends", "sends_in_loop"])


def result(stream, call_id):
    """The JSON value of its Result; it must be the last that is heard of the call."""
    answer = stream.answer(call_id)
    assert isinstance(answer, stream.pb.Result), answer
    return json.loads(answer.body)


def pauses(stream, call_id, count):
    """Wait until that many values are here, and see that no more come."""
    stream.chunks(call_id, count)
    time.sleep(0.05)
    assert len(stream.chunks(call_id)) == count
    assert call_id not in stream.answers()


@BOTH
@pytest.mark.parametrize("n", [0, 1, 2, 3000])
def test_values_arrive_in_order_and_before_the_result(any_worker, tool, n):
    stream = any_worker.stream
    call = stream.begin(tool, {"n": n})
    assert result(stream, call) == ({"counted": n} if tool == "counts" else None)
    assert stream.emissions(call) == [(CHUNK, i) for i in range(n)]
    assert stream.value("grows", {"x": 1}) == {"x": 1}


@SENDERS
def test_stream_send_emits_and_the_return_value_is_the_result(any_worker, tool):
    stream = any_worker.stream
    call = stream.begin(tool, {"n": 500})
    assert result(stream, call) == {"sent": 500}
    assert stream.chunks(call) == list(range(500))


def test_iterator_that_is_returned_is_a_stream_too(any_worker):
    stream = any_worker.stream
    call = stream.begin("hands_over", {"n": 3})
    assert (result(stream, call), stream.chunks(call)) == (None, [0, 1, 2])


def test_streaming_tool_may_return_without_a_stream(any_worker):
    stream = any_worker.stream
    call = stream.begin("streams_nothing")
    assert (result(stream, call), stream.emissions(call)) == ("whole", [])
    assert stream.value("streams_nothing") == "whole"


def test_values_are_encoded_as_results_are(any_worker):
    stream = any_worker.stream
    call = stream.begin("yields_odd_values")
    result(stream, call)
    data, *rest = stream.chunks(call)
    assert (data["__type__"], rest) == ("bytes", ["NaN", "two\nlines", None])
    assert not any(b"\n" in body for frame in stream.frames for e in frame.emissions for body in e.bodies)


@BOTH
def test_without_credit_values_are_collected_into_a_list(any_worker, tool):
    stream = any_worker.stream
    expected = {"counted": 300} if tool == "counts" else list(range(300))
    assert stream.value(tool, {"n": 300}) == expected
    assert not any(frame.emissions for frame in stream.frames)


def test_without_credit_sent_values_give_way_to_a_return_value(any_worker):
    assert any_worker.stream.value("sends", {"n": 3}) == {"sent": 3}
    assert any_worker.stream.value("sends_from_a_thread", {"n": 3}) == [0, 1, 2]
    assert any_worker.stream.value("hands_over", {"n": 0}) == []


@pytest.mark.parametrize("tool", ["floods", "floods_in_loop"])
def test_endless_stream_is_not_collected_beyond_the_limit(any_worker, tool):
    answer = any_worker.stream.call(tool, {"text": "x" * 1_000_000})
    assert (answer.code, answer.started) == ("result_too_large", True)
    assert any_worker.stream.value("grows") == {}


@pytest.mark.parametrize("tool", ["counts", "counts_in_loop", "sends", "sends_in_loop"])
def test_tool_pauses_without_credit_and_goes_on_with_more(any_worker, tool):
    stream = any_worker.stream
    call = stream.begin(tool, {"n": 20}, credit=COST + 1)
    pauses(stream, call, 1)
    stream.credit(call, COST + 1)
    pauses(stream, call, 2)
    stream.credit(call, 4 * (COST + 1))
    pauses(stream, call, 6)
    stream.credit(call, 1 << 20)
    result(stream, call)
    assert stream.chunks(call) == list(range(20))


def test_last_value_may_overdraw_the_credit(any_worker):
    stream = any_worker.stream
    call = stream.begin("counts", {"n": 3, "text": "x" * 1000}, credit=1)
    pauses(stream, call, 1)
    stream.credit(call, 1000)  # which pays for the first alone
    pauses(stream, call, 1)
    stream.credit(call, 1 << 20)
    result(stream, call)


def test_long_stream_under_a_small_window_arrives_whole(any_worker):
    stream = any_worker.stream
    for tool in ("counts", "counts_in_loop", "sends_in_loop"):
        call = stream.begin(tool, {"n": 5000}, credit=8000)
        granted = 0
        while call not in stream.answers():
            seen = len(stream.chunks(call))
            if seen > granted:
                stream.credit(call, (seen - granted) * (COST + 4))
                granted = seen
        assert stream.chunks(call) == list(range(5000))


def test_values_that_are_sent_without_waiting_keep_their_order_and_their_credit(any_worker):
    stream = any_worker.stream
    call = stream.begin("sends_without_waiting", {"n": 50}, credit=COST + 1)
    pauses(stream, call, 1)
    stream.credit(call, 1 << 20)
    result(stream, call)
    emitted = stream.emissions(call)
    assert [value for kind, value in emitted if kind == CHUNK] == list(range(50))
    assert [value["done"] for kind, value in emitted if kind == PROGRESS] == list(range(50))


def test_threads_of_a_tool_may_send_and_are_paused(any_worker):
    stream = any_worker.stream
    call = stream.begin("sends_from_a_thread", {"n": 10}, credit=3 * COST)
    pauses(stream, call, 3)
    stream.credit(call, 1 << 20)
    assert result(stream, call) is None
    assert stream.chunks(call) == list(range(10))


def test_thread_that_waits_for_credit_does_not_outlive_a_cancelled_call(any_worker):
    stream = any_worker.stream
    call = stream.begin("sends_from_a_thread", {"n": 10}, credit=1)
    stream.chunks(call, 1)
    stream.cancel(call)
    assert stream.answer(call).started
    assert stream.value("grows") == {}


@BOTH
@pytest.mark.parametrize("arguments, credit", [({"seconds": 0.01}, 1 << 20), ({}, 1)], ids=["running", "pausing"])
def test_cancelled_stream_runs_its_finally_and_ends(any_worker, tmp_path, tool, arguments, credit):
    stream, mark = any_worker.stream, tmp_path / "mark"
    call = stream.begin(tool, {"n": 100_000, "mark": str(mark), **arguments}, credit=credit)
    stream.chunks(call, 1)
    stream.cancel(call)
    answer = stream.answer(call)
    assert (answer.code, answer.started) == ("cancelled", True)
    assert mark.read_text() == "left\n"
    assert stream.value("grows") == {}
    assert any_worker.page.all_running() == set()


@SENDERS
def test_sender_that_waits_for_credit_is_cancelled(any_worker, tmp_path, tool):
    stream, mark = any_worker.stream, tmp_path / "mark"
    call = stream.begin(tool, {"n": 100, "mark": str(mark)}, credit=1)
    pauses(stream, call, 1)
    stream.cancel(call)
    assert stream.answer(call).code == "cancelled"
    assert mark.read_text() == "left\n"


@pytest.mark.parametrize("tool", ["floods", "floods_in_loop", "counts", "sends", "sends_in_loop"])
def test_fast_stream_is_cancelled_at_any_moment(any_worker, tool):
    stream = any_worker.stream
    for wait in range(12):
        call = stream.begin(tool, {} if "floods" in tool else {"n": 10**9}, credit=1 << 23)
        time.sleep(wait * 0.001)
        stream.cancel(call)
        assert stream.answer(call).code == "cancelled"
        stream.frames.clear()
    assert stream.value("grows", {"x": 1}) == {"x": 1}


def test_stream_that_is_cancelled_before_it_starts_never_runs(any_worker, pb):
    stream = any_worker.stream
    call = stream.invocation("counts", credit=1000)
    stream.send(pb.GatewayFrame(invokes=[call], cancels=[pb.Cancel(call_id=call.call_id)]))
    answer = stream.answer(call.call_id)
    assert (answer.code, stream.emissions(call.call_id)) == ("cancelled", [])


def test_cancelled_generator_may_still_return_something(any_worker):
    stream = any_worker.stream
    call = stream.begin("returns_though_cancelled", credit=1)
    stream.chunks(call, 1)
    stream.cancel(call)
    assert result(stream, call) == "saved"


def test_generator_that_ignores_its_cancellation_is_ended(any_worker, tmp_path):
    stream = any_worker.stream
    call = stream.begin("yields_though_cancelled", {"mark": str(tmp_path / "mark")}, credit=1)
    stream.chunks(call, 1)
    stream.cancel(call)
    assert stream.answer(call).code == "cancelled"
    assert stream.value("grows") == {}


@pytest.mark.parametrize("tool", ["breaks_off", "breaks_off_in_loop"])
@pytest.mark.parametrize("credit", [1 << 20, 0])
def test_exception_in_mid_stream_is_a_failure_after_the_values(any_worker, tool, credit):
    stream = any_worker.stream
    call = stream.begin(tool, {"n": 3}, credit=credit)
    answer = stream.answer(call)
    assert (answer.type, answer.message, answer.started) == ("LookupError", "broken off", True)
    assert stream.chunks(call) == ([0, 1, 2] if credit else [])
    for own in ("generators.py", "feed.py", "runner.py", "strand.py", "tasks.py"):
        assert own not in answer.traceback
    assert "sample.py" in answer.traceback


def test_value_that_cannot_be_encoded_is_a_marker_and_the_stream_goes_on(any_worker):
    stream = any_worker.stream
    call = stream.begin("yields_a_surrogate")
    stream.answer(call)
    assert stream.chunks(call) == [1, {"__ffi_unserializable__": True, "__type__": "builtins.str"}, 2]


def test_arguments_of_a_stream_are_checked(any_worker):
    stream = any_worker.stream
    call = stream.begin("counts", {"stream": 1})
    assert stream.answer(call).code == "invalid_arguments"
    assert stream.answer(stream.begin("sends_without_waiting", {"n": 1, "stream": 1})).code == "invalid_arguments"


def test_progress_and_log_arrive_between_the_values(any_worker):
    stream = any_worker.stream
    call = stream.begin("reports")
    result(stream, call)
    assert stream.emissions(call) == [
        (PROGRESS, {"done": 1, "total": 2, "message": "half"}),
        (CHUNK, "a"),
        (LOG, {"level": "info", "message": "so far good"}),
        (LOG, {"level": "warning", "message": "hot"}),
        (CHUNK, "b"),
        (PROGRESS, {"done": 2}),
    ]


def test_progress_and_log_without_a_stream_do_no_harm(any_worker):
    assert any_worker.stream.value("reports") == ["a", "b"]


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("%s %d", "a"), "%s %d (with arguments that do not fit)"),
        ((Mute(),), "a message that cannot be written"),
        (("%s", Mute()), "%s (with arguments that do not fit)"),
        (("%s of %d", "a", 2), "a of 2"),
    ],
)
def test_what_cannot_be_said_ends_no_call(capsys, given, said):
    from snakepit_bridge import log

    log.Log(None, "r")(*given)
    assert capsys.readouterr().err == f"[r] info: {said}\n"


@BOTH
def test_each_value_leaves_at_once(any_worker, tool):
    stream = any_worker.stream
    call = stream.begin(tool, {"n": 2, "seconds": 600})
    assert stream.chunks(call, 1) == [0]


def test_values_of_a_generator_that_computes_leave_before_it_is_done(any_worker):
    stream = any_worker.stream
    call = stream.begin("computes", {"n": 40, "seconds": 0.005})
    result(stream, call)
    frames = [frame for frame in stream.frames if frame.emissions]
    assert len(frames) >= 30


def test_ping_is_answered_while_a_stream_waits_for_credit(any_worker):
    stream = any_worker.stream
    call = stream.begin("counts", {"n": 5}, credit=1)
    pauses(stream, call, 1)
    stream.ping(1)
    stream.state(1)
    stream.credit(call, 1 << 20)
    result(stream, call)


def test_page_shows_the_ping_whose_answer_has_left(any_worker):
    for sequence in (1, 2, 3):
        any_worker.stream.ping(sequence)
        any_worker.stream.state(sequence)
        wait_until(lambda: any_worker.page.pong() == sequence)


@pytest.mark.parametrize("tool", ["floods", "floods_in_loop"])
def test_ping_is_answered_while_a_fast_stream_runs(any_worker, tool):
    stream = any_worker.stream
    call = stream.begin(tool, credit=200 << 20)
    stream.chunks(call, 1)
    stream.ping(1)
    stream.state(1)
    stream.cancel(call)
    stream.answer(call)


def test_calls_after_a_stream_are_run(any_worker):
    stream = any_worker.stream
    for n in range(30):
        call = stream.begin("counts", {"n": n}, credit=1 << 20)
        later = stream.invocation("grows", {"n": n})
        stream.invoke(later)
        assert result(stream, later.call_id) == {"n": n}
        assert result(stream, call) == {"counted": n}
        assert stream.chunks(call) == list(range(n))


@BOTH
def test_stream_that_waits_holds_no_other_up(crew, tool):
    stream = crew.stream
    waiting = [stream.begin(tool, {"n": 5}, credit=1) for _ in range(4)]
    for call in waiting:
        stream.chunks(call, 1)
    free = [stream.begin(tool, {"n": 2000}) for _ in range(4)]
    for call in free:
        result(stream, call)
        assert stream.chunks(call) == list(range(2000))
    for call in waiting:
        assert call not in stream.answers()
        stream.credit(call, 1 << 20)
        result(stream, call)
        assert stream.chunks(call) == list(range(5))


@pytest.mark.parametrize("tool", ["floods", "floods_in_loop"])
def test_fast_streams_leave_room_for_others(crew, tool):
    stream = crew.stream
    fast = [stream.begin(tool, credit=1 << 20) for _ in range(3)]
    steady = stream.begin("counts_in_loop", {"n": 5, "seconds": 0.01})
    result(stream, steady)
    for call in fast:
        stream.cancel(call)
        stream.answer(call)


def test_stop_in_mid_stream_lets_it_end(any_worker):
    stream = any_worker.stream
    call = stream.begin("counts", {"n": 5}, credit=1)
    pauses(stream, call, 1)
    stream.stop(grace_ms=30_000)
    stream.credit(call, 1 << 20)
    assert any_worker.exit_status() == 0
    assert (result(stream, call), stream.chunks(call)) == ({"counted": 5}, list(range(5)))


def test_stop_ends_a_stream_within_its_grace(any_worker):
    stream = any_worker.stream
    stream.chunks(stream.begin("floods", credit=1), 1)
    stream.stop(grace_ms=100)
    assert any_worker.exit_status() == 0


@pytest.mark.parametrize("tool, credit", [("floods", 1), ("floods_in_loop", 1), ("floods", 1 << 30)])
def test_end_of_the_stream_ends_a_worker_in_mid_stream(any_worker, tool, credit):
    stream = any_worker.stream
    stream.chunks(stream.begin(tool, credit=credit), 1)
    stream.end()
    assert any_worker.exit_status() == 0


def test_a_tool_is_in_its_own_code_again_after_a_value_that_could_not_be_taken(pb):
    from types import SimpleNamespace

    from snakepit_bridge.feed import CHUNK, Feed

    def refuse(feed, kind, body):
        raise BufferError("too much is kept")

    steps = []
    ground = SimpleNamespace(step_out=lambda: steps.append("out") or 7, step_in=steps.append)
    feed = Feed(7, 0, SimpleNamespace(emit=refuse), ground)
    with pytest.raises(BufferError):
        feed._say(CHUNK, b"1")
    assert steps == ["out", 7]
