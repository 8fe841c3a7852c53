"""Workers that run several calls at once: the profiles ``thread`` and ``async``."""

import json
import random
import time

import pytest
from standin import wait_until


def running(worker, *calls):
    """Wait until the started-call page shows these calls and no others."""
    wait_until(lambda: worker.page.all_running() == {call.call_id for call in calls})


def invoked(worker, count, tool, arguments=None):
    calls = [worker.stream.invocation(tool, arguments, request_id=f"r{n}") for n in range(count)]
    worker.stream.invoke(*calls)
    return calls


def test_slots_are_announced(crew):
    assert crew.stream.hello.slots == 8


def test_slots_beyond_the_page_are_not_announced(_shared, gateway):
    worker = gateway.fork(_shared("sample.Sample"), profile="async", slots=2000)
    assert worker.stream.hello.slots == 1024
    worker.kill()


def test_a_thousand_tasks_run_at_once(_shared, gateway):
    worker = gateway.fork(_shared("sample.Sample"), profile="async", slots=1024)
    running(worker, *invoked(worker, 1000, "sleeps", {"seconds": 60}))
    worker.kill()


@pytest.mark.parametrize("tool", ["sometimes_slow", "sleeps"])
def test_calls_run_side_by_side(crew, tool):
    """snakepit 65"""
    calls = invoked(crew, 8, tool, {"seconds": 1})
    running(crew, *calls)
    for call in calls:
        crew.stream.answer(call.call_id)
    assert crew.page.all_running() == set()
    assert sorted(crew.page.started()) == [call.call_id for call in calls]


def test_each_call_sees_its_own_context(crew):
    calls = invoked(crew, 40, "sleeps", {"seconds": 0.01}) + invoked(crew, 40, "seen")
    for n, call in enumerate(calls):
        value = json.loads(crew.stream.answer(call.call_id).body)
        assert (value if n < 40 else value["request_id"]) == f"r{n % 40}"


def test_calls_beyond_the_slots_wait_for_one(crew):
    calls = invoked(crew, 9, "sleeps", {"seconds": 0.3})
    running(crew, *calls[:8])
    crew.stream.answer(calls[8].call_id)


def test_waiting_call_is_cancelled_and_never_run(crew):
    calls = invoked(crew, 9, "sleeps", {"seconds": 0.3})
    running(crew, *calls[:8])
    crew.stream.cancel(calls[8].call_id)
    assert crew.stream.answer(calls[8].call_id).started is False
    for call in calls[:8]:
        crew.stream.answer(call.call_id)
    assert calls[8].call_id not in crew.page.started()


@pytest.mark.parametrize("tool", ["busy", "later_until_cancelled"])
def test_only_the_cancelled_call_is_interrupted(crew, tool):
    arguments = {"seconds": 30.0} if tool == "busy" else {}
    other = crew.stream.invocation("sometimes_slow", {"seconds": 0.5})
    call = crew.stream.invocation(tool, arguments)
    crew.stream.invoke(other, call)
    running(crew, other, call)
    crew.stream.cancel(call.call_id)
    answer = crew.stream.answer(call.call_id)
    assert (answer.code, answer.started) == ("cancelled", True)
    assert json.loads(crew.stream.answer(other.call_id).body) == 0.5
    assert crew.stream.value("grows", {"n": 1}) == {"n": 1}


def test_cancelled_call_may_answer_all_the_same(crew, tmp_path):
    mark = tmp_path / "mark"
    call = crew.stream.invocation("swallows_cancellation", {"mark": str(mark)})
    crew.stream.invoke(call)
    wait_until(mark.exists)
    crew.stream.cancel(call.call_id)
    assert json.loads(crew.stream.answer(call.call_id).body) is True


def test_cancellations_at_any_moment_hit_their_own_call_alone(crew):
    """Half of the calls are cancelled around the time they end; the others must not feel it."""
    dice = random.Random(1)
    stream = crew.stream
    for _ in range(60):
        seconds = dice.choice([0, 0.0005, 0.002])
        calls = [stream.invocation(dice.choice(["busy", "sleeps", "grows"]), {"seconds": seconds}) for _ in range(8)]
        stream.invoke(*calls)
        time.sleep(dice.random() * 0.002)
        for call in calls[::2]:
            stream.cancel(call.call_id)
        for n, call in enumerate(calls):
            answer = stream.answer(call.call_id)
            if n % 2:
                assert hasattr(answer, "body"), answer
            else:
                assert hasattr(answer, "body") or answer.code == "cancelled", answer
    assert crew.page.all_running() == set()
    assert stream.value("grows", {"n": 1}) == {"n": 1}


def test_ping_is_answered_while_all_slots_compute(crew):
    """snakepit 73"""
    calls = invoked(crew, 8, "busy", {"seconds": 30.0})
    running(crew, *calls)
    crew.stream.ping(5)
    assert crew.stream.state(5).calls_done == 0
    assert not crew.stream.answers()
    for call in calls:
        crew.stream.cancel(call.call_id)
        assert crew.stream.answer(call.call_id).code == "cancelled"


def test_calls_that_cannot_be_run_are_refused(crew):
    assert crew.stream.call("no_such_tool").code == "tool_not_found"
    assert crew.stream.call("context_as_argument", {"y": 1}).code == "invalid_arguments"
    assert crew.stream.value("context_as_argument", {"x": 1}, session_id="s") == [1, "s"]


@pytest.mark.parametrize("tool", ["exits", "fails_later", "unsendable"])
def test_failure_has_a_traceback_of_the_tool_alone(crew, tool):
    answer = crew.stream.call(tool)
    assert answer.started
    for own in ("strand.py", "tasks.py", "threads.py", "asyncio"):
        assert own not in answer.traceback
    assert crew.stream.value("later") == 1


@pytest.mark.parametrize("kind", ["Mute", "Elusive", "Evasive"])
def test_an_exception_that_fails_when_it_is_looked_at_ends_its_call_alone(crew, kind):
    assert crew.stream.call("raises_itself", {"kind": kind}).type == kind
    assert crew.stream.value("later") == 1


def test_stop_finishes_what_was_invoked(zygotes, gateway, tmp_path):
    for profile in ("thread", "async"):
        cleaned = tmp_path / profile
        zygote = zygotes(CLEANUP_FILE=str(cleaned))
        zygote.load("sample.Sample")
        worker = gateway.fork(zygote, profile=profile, slots=2)
        calls = invoked(worker, 5, "sleeps", {"seconds": 0.1}) + invoked(worker, 3, "grows")
        worker.stream.stop(grace_ms=30_000)
        assert worker.exit_status() == 0
        assert set(worker.stream.answers()) == {call.call_id for call in calls}
        assert cleaned.read_text() == "cleaned up\n"


def test_stop_ends_within_its_grace(crew):
    calls = invoked(crew, 2, "sometimes_slow", {"seconds": 60})
    running(crew, *calls)
    crew.stream.stop(grace_ms=100)
    assert crew.exit_status() == 0


def test_end_of_the_stream_ends_a_busy_worker(crew):
    calls = invoked(crew, 2, "sleeps", {"seconds": 60})
    running(crew, *calls)
    crew.stream.end()
    assert crew.exit_status() == 0


def test_many_short_calls_are_all_answered(crew):
    calls = invoked(crew, 600, "grows") + invoked(crew, 200, "sleeps")
    for call in calls:
        assert hasattr(crew.stream.answer(call.call_id), "body")
    crew.stream.ping(1)
    assert crew.stream.state(1).calls_done == 800
