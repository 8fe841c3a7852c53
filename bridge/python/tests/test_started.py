"""The started-call page, as a worker writes it."""

import os
import re
from pathlib import Path

import pytest
from standin import Page

KIND_RESULT, KIND_FRAME = 0, 1
SOURCES = Path(__file__).resolve().parents[2]


@pytest.fixture
def page():
    return Page()


@pytest.fixture
def started(page):
    """The page's writer, as a worker of one slot has it."""
    from snakepit_bridge.started import StartedPage

    return StartedPage(os.dup(page.descriptor))


def result(call_id, body=b"1", content_type="", run_us=5):
    return call_id, body, content_type, run_us


def test_gateway_and_worker_mean_the_same_page():
    from snakepit_bridge import started as ours

    theirs = dict(re.findall(r"PAGE_(\w+) = ([\d< ]+)[,\n]", (SOURCES / "page.h").read_text()))
    assert int(theirs["RUNNING_AT"]) == 0
    assert int(theirs["PONG_AT"]) == ours._PONG_AT
    assert int(theirs["INDEX_AT"]) == ours._INDEX_AT
    assert int(theirs["RING_AT"]) == ours._RING_AT
    assert eval(theirs["RING_BYTES"]) == ours.RING_BYTES
    assert eval(theirs["ANSWER_MAX"]) == ours.ANSWER_MAX


def test_result_is_kept_when_its_call_ends(page, started):
    started.start(7)
    assert (page.running(), page.kept()) == (7, {})
    started.end(result(7, b"[1]"))
    assert (page.running(), page.kept()) == (0, {7: (KIND_RESULT, b"[1]", 5)})


def test_result_with_a_content_type_is_kept_as_a_frame(pb, page, started):
    started.end(result(7, b"\x00", "image/png"))
    kind, data, _ = page.kept()[7]
    (kept,) = pb.WorkerFrame.FromString(data).results
    assert (kind, kept.call_id, kept.body, kept.content_type, kept.run_us) == (KIND_FRAME, 7, b"\x00", "image/png", 5)


def test_failure_is_kept_as_a_frame(pb, page, started):
    started.end(pb.Failure(call_id=7, type="ValueError", started=True))
    kind, data, _ = page.kept()[7]
    (kept,) = pb.WorkerFrame.FromString(data).failures
    assert (kind, kept.call_id, kept.type, kept.started) == (KIND_FRAME, 7, "ValueError", True)


def test_long_answer_is_not_kept_and_wants_to_be_sent(page, started):
    from snakepit_bridge.started import ANSWER_MAX

    started.end(result(7, bytes(ANSWER_MAX)))
    assert not started.full
    started.end(result(8, bytes(ANSWER_MAX + 1)))
    started.end(result(9, bytes(ANSWER_MAX + 1), "image/png"))
    assert started.full and page.running() == 0
    assert (page.started(), list(page.kept())) == ([7, 8, 9], [7])


def test_ring_begins_anew_before_an_answer_might_not_fit(page, started):
    from snakepit_bridge.started import ANSWER_MAX

    for call_id in range(1, 15):
        started.end(result(call_id, bytes(ANSWER_MAX)))
        assert not started.full
    started.end(result(15, bytes(ANSWER_MAX)))
    assert started.full
    started.end(result(16, b"new"))
    kept = page.kept()
    assert list(kept) == list(range(2, 17)) and kept[16][1] == b"new"


def test_ring_that_is_filled_to_its_last_byte_begins_anew_too(page, started):
    from snakepit_bridge.started import ANSWER_MAX, RING_BYTES

    for call_id in range(1, 14):
        started.end(result(call_id, bytes(ANSWER_MAX)))
    for call_id in (14, 15):
        started.end(result(call_id, bytes((RING_BYTES - 14 * ANSWER_MAX) // 2)))
    assert not started.full
    started.end(result(16, bytes(ANSWER_MAX)))
    assert started.full
    started.end(result(17, b"new"))
    assert list(page.kept()) == list(range(2, 18))


def test_small_answers_use_a_part_of_the_ring_alone(page, started):
    from snakepit_bridge.started import LARGE

    for call_id in range(1, 14):
        assert not started.full
        started.end(result(call_id, bytes(LARGE - 1)))
    assert started.full
    started.end(result(14, b"new"))
    kept = page.kept()
    assert list(kept) == list(range(2, 15)) and kept[14][1] == b"new"


def test_body_of_64_kib_is_kept_whatever_its_type(pb, page, started):
    started.end(result(7, bytes(64 << 10), "x" * 1024))
    assert not started.full
    (kept,) = pb.WorkerFrame.FromString(page.kept()[7][1]).results
    assert len(kept.body) == 64 << 10


def test_index_remembers_the_last_256(page, started):
    for call_id in range(1, 301):
        started.start(call_id)
        started.end(result(call_id, b"%d" % call_id))
    assert page.started() == list(range(45, 301))
    assert all(page.kept()[call_id][1] == b"%d" % call_id for call_id in range(45, 301))


def test_index_remembers_the_last_1024_where_so_many_can_run(page):
    from snakepit_bridge.started import SLOTS_MAX, SharedPage

    started = SharedPage(os.dup(page.descriptor), SLOTS_MAX)
    for call_id in range(1, 1101):
        started.start(call_id, SLOTS_MAX - 1)
        started.end(result(call_id), SLOTS_MAX - 1)
    assert page.started() == list(range(77, 1101))


def test_what_a_worker_answers_is_what_it_keeps(pb, worker):
    calls = [worker.stream.invocation("grows", {"message": "x" * n}) for n in range(40)]
    calls.append(worker.stream.invocation("teapot"))
    worker.stream.invoke(*calls)
    answers = [worker.stream.answer(call.call_id) for call in calls]
    kept = worker.page.kept()
    for answer in answers[:-1]:
        assert kept[answer.call_id] == (KIND_RESULT, answer.body, answer.run_us)
    assert pb.WorkerFrame.FromString(kept[calls[-1].call_id][1]).failures[0] == answers[-1]


def test_threads_and_tasks_keep_their_answers(crew):
    calls = [crew.stream.invocation("grows", {"message": str(n)}) for n in range(100)]
    crew.stream.invoke(*calls)
    answers = [crew.stream.answer(call.call_id) for call in calls]
    kept = crew.page.kept()
    assert [kept[answer.call_id][1] for answer in answers] == [answer.body for answer in answers]


@pytest.mark.parametrize("size", [30_000, 100_000])
def test_answers_that_the_page_does_not_keep_are_sent_before_the_next_call_starts(worker, size):
    calls = [worker.stream.invocation("large", {"size": size}) for _ in range(40)]
    worker.stream.invoke(*calls, worker.stream.invocation("dies_hard"))
    assert worker.exit_status() == -9
    assert worker.stream.over.wait(20)
    found = worker.stream.answers().keys() | worker.page.kept().keys()
    assert {call.call_id for call in calls} <= found
