"""Calls that are to be run elsewhere: those that have not started are given back, the others go on."""

import json
import random
import time

import pytest


@pytest.fixture
def busy(any_worker):
    """A worker all of whose slots are taken, for a second; its calls."""
    stream = any_worker.stream
    calls = [stream.invocation("sometimes_slow", {"seconds": 1.0}) for _ in range(stream.hello.slots)]
    stream.invoke(*calls)
    give_up = time.monotonic() + 10
    while any_worker.page.all_running() != {call.call_id for call in calls}:
        assert time.monotonic() < give_up
        time.sleep(0.001)
    return calls


def is_given_back(answer):
    return not hasattr(answer, "body") and not answer.started


def test_a_call_that_waits_is_given_back_at_once_and_never_run(any_worker, busy):
    stream = any_worker.stream
    call = stream.invocation("grows")
    stream.invoke(call)
    stream.recall(call.call_id)
    assert is_given_back(stream.answer(call.call_id))
    assert not any(call.call_id in stream.answers() for call in busy)
    for each in busy:
        stream.answer(each.call_id)
    assert call.call_id not in any_worker.page.started()


def test_a_call_that_runs_goes_on(any_worker, busy):
    stream = any_worker.stream
    stream.recall(*(call.call_id for call in busy))
    for call in busy:
        assert json.loads(stream.answer(call.call_id).body) == 1.0


def test_the_large_result_of_a_recalled_call_is_sent_whole(any_worker):
    stream = any_worker.stream
    call = stream.invocation("large", {"size": 1 << 20})
    stream.invoke(call)
    stream.recall(call.call_id)
    answer = stream.answer(call.call_id)
    assert is_given_back(answer) or len(answer.body) == 1 << 20


def test_a_call_that_has_ended_is_not_heard_of_again(any_worker):
    stream = any_worker.stream
    call = stream.invocation("grows", {"n": 1})
    stream.invoke(call)
    stream.answer(call.call_id)
    stream.recall(call.call_id)
    assert stream.value("grows", {"n": 2}) == {"n": 2}
    assert json.loads(stream.answer(call.call_id).body) == {"n": 1}


def test_a_recall_that_overtakes_its_call_holds(any_worker):
    stream = any_worker.stream
    early, late = stream.invocation("grows"), stream.invocation("grows")
    stream.recall(early.call_id)
    stream.invoke(early, late)
    assert is_given_back(stream.answer(early.call_id))
    assert stream.answer(late.call_id).body == b"{}"


def test_a_call_that_is_recalled_and_cancelled_is_answered_once(any_worker, busy):
    stream = any_worker.stream
    call = stream.invocation("grows")
    stream.invoke(call)
    stream.recall(call.call_id)
    stream.cancel(call.call_id)
    for each in busy:
        stream.answer(each.call_id)
    failures = [failure.call_id for frame in stream.frames for failure in frame.failures]
    assert failures == [call.call_id]


@pytest.mark.parametrize("tool", ["gathered", "gathered_later"])
def test_a_call_of_a_batch_that_has_begun_stays_in_it(any_worker, tool):
    stream = any_worker.stream
    calls = [stream.invocation(f"{tool}_by_another", {"n": n}) for n in range(3)]
    stream.invoke(*calls)
    request = stream.tool_call()
    stream.recall(*(call.call_id for call in calls))
    stream.reply(request, "there")
    assert [json.loads(stream.answer(call.call_id).body) for call in calls] == ["there"] * 3


def test_at_any_moment_a_call_is_either_run_or_given_back(any_worker):
    dice = random.Random(2)
    stream = any_worker.stream
    for _ in range(40):
        seconds = dice.choice([0, 0.0002, 0.001])
        tools = ["busy", "grows", "gathered", "sleeps"]
        calls = [stream.invocation(dice.choice(tools), {"seconds": seconds, "n": 1}) for _ in range(16)]
        stream.invoke(*calls)
        time.sleep(dice.random() * 0.003)
        stream.recall(*(call.call_id for call in calls))
        answers = [stream.answer(call.call_id) for call in calls]
        started = set(any_worker.page.started())
        for call, answer in zip(calls, answers):
            assert is_given_back(answer) == (call.call_id not in started), answer
        stream.frames.clear()
