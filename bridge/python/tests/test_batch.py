"""Batches: several calls of a tool at once, each with its own answer."""

import json

import pytest
from standin import wait_until

from snakepit_bridge import Binary
from snakepit_bridge.batch import Batch
from snakepit_bridge.errors import LoadError
from snakepit_bridge.tools import MAX_BATCH, Tool, tool


class Page:
    """Which calls it shows as running."""

    def __init__(self):
        self.slots = {}

    def start(self, call_id, slot):
        self.slots[slot] = call_id

    def end(self, answer, slot):
        del self.slots[slot]


def made_of(pb, *arguments, **members):
    """A batch of so many calls, of a tool that returns what it was given."""
    item = Tool("t", tool(batch=8)(lambda calls: calls), False)
    item.bind(item.function)
    made = Batch(item, Page(), [9, 8, 7, 6, 5])
    for n, args in enumerate(arguments, 1):
        made.add(pb.Invoke(call_id=n, tool="t", args=json.dumps(args).encode(), **members), n * 10**9)
    return made


@pytest.fixture
def batch(pb):
    made = made_of(pb, {"n": 1}, {"n": 2}, {"n": 3})
    assert made.open(None) == []
    return made


def test_each_call_has_a_place_of_its_own(batch):
    assert batch._page.slots == {5: 1, 6: 2, 7: 3}


def test_places_are_free_again_when_it_has_ended(batch):
    batch.close([1, 2, 3], 7)
    assert batch._page.slots == {} and sorted(batch._places) == [5, 6, 7, 8, 9]


def test_tool_gets_the_arguments_of_all(batch):
    assert batch.call() == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_each_call_gets_its_own_value(batch):
    answers = batch.close(["a", "b", "c"], 7)
    assert [(answer[0], answer[1], answer[3]) for answer in answers] == [(1, b'"a"', 7), (2, b'"b"', 7), (3, b'"c"', 7)]


def test_an_exception_is_that_calls_alone(batch):
    one, two, three = batch.close([1, KeyError("x"), 3], 7)
    assert (one[1], two.type, two.started, three[1]) == (b"1", "KeyError", True, b"3")


def test_what_the_tool_raises_is_everybodys(batch):
    assert [answer.type for answer in batch.close(KeyError("x"), 7)] == ["KeyError"] * 3


def test_a_result_that_cannot_be_encoded_is_its_calls_alone(batch):
    one, two, three = batch.close([1, Binary(b"", ""), 3], 7)
    assert (one[1], two.code, three[1]) == (b"1", "result_not_encodable", b"3")


@pytest.mark.parametrize("result", [[], [1, 2], None, {"a": 1}])
def test_another_number_of_results_fails_all(batch, result):
    answers = batch.close(result, 7)
    assert {(answer.type, "for 3 calls" in answer.message) for answer in answers} == {("TypeError", True)}


def test_call_with_bad_arguments_is_refused_and_the_others_run(pb):
    made = made_of(pb, {"n": 1}, [], {"n": 3})
    (refused,) = made.open(None)
    assert (refused.call_id, refused.code, refused.started) == (2, "invalid_arguments", False)
    assert made.call() == [{"n": 1}, {"n": 3}]
    assert [answer[0] for answer in made.close([1, 3], 7)] == [1, 3]


def test_when_all_are_refused_nothing_is_called(pb):
    made = made_of(pb, [], [])
    assert len(made.open(None)) == 2
    assert not made.is_wanted


def test_a_dropped_call_is_answered_once(batch):
    assert batch.drop(2).code == "cancelled"
    assert batch.drop(2) is None
    assert batch._page.slots == {5: 1, 7: 3}
    assert [answer[0] for answer in batch.close([1, 2, 3], 7)] == [1, 3]


def test_a_call_that_is_dropped_before_the_start_is_not_run(pb):
    made = made_of(pb, {"n": 1}, {"n": 2})
    assert made.drop(1).started is False
    assert made.open(None) == []
    assert made.call() == [{"n": 2}]


def test_when_all_are_dropped_before_the_start_nothing_is_called(pb):
    made = made_of(pb, {"n": 1}, {"n": 2})
    assert [made.drop(call_id).started for call_id in (1, 2)] == [False, False]
    assert made.open(None) == [] and not made.is_wanted


def test_the_last_call_that_is_dropped_is_answered_when_the_tool_has_stopped(batch):
    assert batch.drop(1) and batch.drop(2)
    assert not batch.is_given_up
    assert batch.drop(3) is None
    assert batch.is_given_up and batch.context.cancelled
    (answer,) = batch.close(KeyError("stopped"), 7)
    assert (answer.call_id, answer.code) == (3, "cancelled")


def test_a_call_of_another_batch_is_not_dropped(batch):
    assert batch.drop(4) is None
    assert not batch.is_given_up


def test_context_has_the_deadline_that_comes_first_of_those_that_are_wanted(pb):
    made = made_of(pb, {}, {}, {}, timeout_ms=5000)
    made.open(None)
    assert made.context.deadline == 6.0
    made.drop(1)
    assert made.context.deadline == 7.0


def test_context_without_limits_has_no_deadline(batch):
    assert batch.context.deadline is None


def test_context_speaks_for_the_first_call_that_is_wanted(batch):
    assert batch.context.call_id == 1
    batch.drop(1)
    assert batch.context.call_id == 2


@pytest.mark.parametrize("given, size", [(True, 32), (False, 0), (5, 5), (1000, MAX_BATCH)])
def test_size_of_a_batch(given, size):
    def run(calls):
        return calls

    item = run if given is False else tool(batch=given)(run)
    assert Tool("run", item, False).batch_size == size


def test_a_batch_tool_cannot_stream():
    @tool(batch=True)
    def run(calls):
        yield calls

    with pytest.raises(LoadError, match="cannot stream"):
        Tool("run", run, False)


# A worker of several slots.


def together(worker, tool, count, **members):
    """So many calls in one frame, of which each knows its number."""
    calls = [worker.stream.invocation(tool, {"n": n}, **members) for n in range(count)]
    worker.stream.invoke(*calls)
    return calls


def values(worker, calls):
    return [json.loads(worker.stream.answer(call.call_id).body) for call in calls]


def shown(worker, calls):
    """Wait until the started-call page shows these calls and no others."""
    wait_until(lambda: worker.page.all_running() == {call.call_id for call in calls})


TOOLS = ["gathered", "gathered_later"]


@pytest.mark.parametrize("tool", TOOLS)
def test_calls_that_come_together_are_run_together(crew, tool):
    assert values(crew, together(crew, tool, 6)) == [[n, 6] for n in range(6)]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_batch_is_no_larger_than_the_tool_says(crew, tool):
    assert [size for _, size in values(crew, together(crew, tool, 20))] == [8] * 16 + [4] * 4


@pytest.mark.parametrize("tool", TOOLS)
def test_calls_of_two_sessions_are_not_run_together(crew, tool):
    calls = [crew.stream.invocation(tool, {"n": n}, session_id="ab"[n % 2]) for n in range(6)]
    crew.stream.invoke(*calls)
    assert [size for _, size in values(crew, calls)] == [3] * 6


@pytest.mark.parametrize("tool", TOOLS)
def test_page_shows_every_call_of_a_batch(crew, tool, tmp_path):
    calls = together(crew, f"{tool}_slowly", 5)
    shown(crew, calls)
    crew.stream.cancel(calls[3].call_id)
    answer = crew.stream.answer(calls[3].call_id)
    assert (answer.code, answer.started) == ("cancelled", True)
    shown(crew, calls[:3] + calls[4:])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_batch_takes_one_slot(crew, tool):
    calls = together(crew, f"{tool}_slowly", 8)
    shown(crew, calls)
    assert crew.stream.value("grows", {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_batch_that_nobody_waits_for_is_interrupted(crew, tool):
    calls = together(crew, f"{tool}_slowly", 3)
    shown(crew, calls)
    for call in calls:
        crew.stream.cancel(call.call_id)
    for call in calls:
        assert crew.stream.answer(call.call_id).code == "cancelled"
    shown(crew, [])
    assert values(crew, together(crew, tool, 2)) == [[0, 2], [1, 2]]


def test_calls_of_batches_are_counted(crew):
    values(crew, together(crew, "gathered", 6))
    crew.stream.ping(1)
    assert crew.stream.state(1).calls_done == 6


def test_worker_says_which_calls_take_one_slot(crew):
    calls = together(crew, "gathered", 3)
    values(crew, calls)
    told = [list(batch.call_ids) for frame in crew.stream.frames for batch in frame.batches]
    assert told == [[call.call_id for call in calls]]


def test_worker_says_nothing_of_a_call_that_is_alone(crew):
    crew.stream.value("gathered", {"n": 1})
    assert not any(frame.batches for frame in crew.stream.frames)


@pytest.mark.parametrize("tool", TOOLS)
def test_what_was_asked_for_a_call_that_leaves_its_batch_is_an_error_and_the_batch_goes_on(crew, tool):
    calls = together(crew, f"{tool}_by_another", 3)
    request = crew.stream.tool_call()
    assert request.call_id == calls[0].call_id
    crew.stream.cancel(calls[0].call_id)
    assert crew.stream.answer(calls[0].call_id).code == "cancelled"
    assert values(crew, calls[1:]) == [f"cancelled, {calls[1].call_id}"] * 2
