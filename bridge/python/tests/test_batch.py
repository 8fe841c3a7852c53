"""Batches: several calls of a tool at once, each with its own answer."""

import pytest

from snakepit_bridge.batch import Batch
from snakepit_bridge.tools import MAX_BATCH, Tool, tool


class Page:
    """Which calls it shows as running."""

    def __init__(self):
        self.slots = {}

    def start(self, call_id, slot):
        self.slots[slot] = call_id

    def end(self, answer, slot):
        del self.slots[slot]


@pytest.fixture
def invokes(pb):
    return [pb.Invoke(call_id=n, tool="t") for n in (1, 2, 3)]


@pytest.fixture
def batch(invokes):
    made = Batch(Page())
    made.open(invokes)
    return made


def test_each_call_has_a_slot_of_its_own(batch):
    assert batch._page.slots == {0: 1, 1: 2, 2: 3}


def test_each_call_gets_its_own_value(batch, invokes):
    answers = batch.close(invokes, ["a", "b", "c"], 7)
    assert [(answer[0], answer[1], answer[3]) for answer in answers] == [(1, b'"a"', 7), (2, b'"b"', 7), (3, b'"c"', 7)]
    assert batch._page.slots == {}


def test_an_exception_is_that_calls_alone(batch, invokes):
    one, two, three = batch.close(invokes, [1, KeyError("x"), 3], 7)
    assert (one[1], two.type, two.started, three[1]) == (b"1", "KeyError", True, b"3")


def test_a_dropped_call_is_answered_once(batch, invokes):
    assert batch.drop(2).code == "cancelled"
    assert batch.drop(2) is None
    assert batch._page.slots == {0: 1, 2: 3}
    assert [answer[0] for answer in batch.close(invokes, [1, 2, 3], 7)] == [1, 3]


def test_when_all_are_dropped_nobody_wants_it(batch, invokes):
    assert batch.is_wanted
    for call_id in (1, 2, 3):
        batch.drop(call_id)
    assert not batch.is_wanted
    assert batch.close(invokes, [1, 2, 3], 7) == []


def test_a_call_of_another_batch_is_not_dropped(batch):
    assert batch.drop(4) is None


@pytest.mark.parametrize("given, size", [(True, 32), (False, 0), (5, 5), (1000, MAX_BATCH)])
def test_size_of_a_batch(given, size):
    def run(calls):
        return calls

    item = run if given is False else tool(batch=given)(run)
    assert Tool("run", item, False).batch_size == size
