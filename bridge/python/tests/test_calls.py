"""Calls over the stream: arguments, results, failures."""

import json

import pytest


def failure(worker, tool, arguments=None, **members):
    answer = worker.stream.call(tool, arguments, **members)
    assert type(answer).__name__ == "Failure", answer
    return answer


def test_result_is_json_by_default(worker):
    result = worker.stream.call("grows", {"message": "hello"})
    assert (result.body, result.content_type) == (b'{"message":"hello"}', "")


def test_run_time_is_measured(worker):
    assert worker.stream.call("sometimes_slow", {"seconds": 0.02}).run_us >= 20_000


def test_tool_may_fork(worker):
    assert worker.stream.value("forks") == 7
    assert worker.stream.value("later") == 1


def test_tools_run_in_the_main_thread(worker):
    """snakepit 65"""
    assert worker.stream.value("threads") is True


def test_async_tool_is_awaited(worker):
    assert worker.stream.value("later", {"x": 5}) == 5


def test_async_failure_has_a_traceback_of_the_tool_alone(worker):
    answer = failure(worker, "fails_later")
    assert (answer.type, answer.message) == ("LookupError", "later")
    assert "sample.py" in answer.traceback
    assert "asyncio" not in answer.traceback and "runner.py" not in answer.traceback


def test_context_tells_about_the_call(worker):
    seen = worker.stream.value(
        "seen", request_id="r", session_id="s", correlation_id="c", timeout_ms=5000, traceparent="t", tracestate="u"
    )
    assert 0 < seen.pop("time_left") <= 5
    assert seen == {
        "request_id": "r",
        "session_id": "s",
        "correlation_id": "c",
        "cancelled": False,
        "traceparent": "t",
        "tracestate": "u",
    }  # fmt: skip


def test_call_without_a_limit_has_no_deadline(worker):
    assert worker.stream.value("seen")["time_left"] is None


def test_context_is_given_as_an_argument(worker):
    assert worker.stream.value("context_as_argument", {"x": 1}, session_id="s") == [1, "s"]


def test_body_of_another_content_type_is_given_as_bytes(worker):
    assert worker.stream.value("takes_bytes", b"\xff\x00", content_type="image/png") == ["bytes", 2]


def test_binary_result_has_its_content_type(worker):
    result = worker.stream.call("picture")
    assert (result.body, result.content_type) == (b"<svg/>", "image/svg+xml")


def test_bytes_are_an_octet_stream(worker):
    result = worker.stream.call("raw")
    assert (result.body, result.content_type) == (b"\x00\x01", "application/octet-stream")


def test_large_values_travel(worker):
    assert len(worker.stream.call("large", {"size": 20_000_000}).body) == 20_000_000
    assert worker.stream.value("takes_bytes", bytes(20_000_000), content_type="x/y") == ["bytes", 20_000_000]


def test_too_large_result_is_a_failure(worker):
    assert failure(worker, "large", {"size": (64 << 20) + 1}).code == "result_too_large"
    assert worker.stream.value("later") == 1


def test_infinity_is_a_string(worker):
    assert worker.stream.value("infinite") == [1, "Infinity"]


def test_unencodable_result_is_a_failure(worker):
    answer = failure(worker, "unsendable")
    assert (answer.type, answer.code, answer.started) == ("ValueError", "result_not_encodable", True)
    assert worker.stream.value("later") == 1


def test_a_string_that_cannot_be_written_does_not_spoil_the_rest(worker):
    value = worker.stream.value("surrogate")
    assert value == {"bad": {"__ffi_unserializable__": True, "__type__": "builtins.str"}, "good": 1}


@pytest.mark.parametrize("kind", ["Mute", "Elusive", "Evasive"])
def test_an_exception_that_fails_when_it_is_looked_at_ends_its_call_alone(worker, kind):
    answer = failure(worker, "raises_itself", {"kind": kind})
    assert (answer.type, answer.code, answer.started) == (kind, "", True)
    assert worker.stream.value("later") == 1


def test_an_exception_tells_which_of_pythons_own_it_derives_from(worker):
    context = json.loads(failure(worker, "raises_itself", {"kind": "WrongKey"}).context)
    assert (context["error_type"], context["builtin"]) == ("KeyError", "KeyError")


def test_unknown_tool_is_not_found(worker):
    answer = failure(worker, "no_such_tool")
    assert (answer.code, answer.status, answer.started) == ("tool_not_found", 404, False)


def test_invalid_arguments_are_not_run(worker):
    answer = failure(worker, "context_as_argument", {"y": 1})
    assert (answer.type, answer.code, answer.status, answer.started) == ("TypeError", "invalid_arguments", 422, False)
    assert worker.page.started() == []


def test_streaming_tools_are_announced_as_such(worker):
    streaming = {item.name for item in worker.stream.hello.tools if item.streaming}
    assert {"counts", "counts_in_loop", "sends", "sends_in_loop", "hands_over"} <= streaming
    assert "grows" not in streaming


def test_tool_error_chooses_the_answer(worker):
    answer = failure(worker, "teapot", session_id="s")
    assert (answer.status, answer.code, answer.message) == (418, "teapot", "short and stout")
    assert json.loads(answer.details) == {"handle": 1}
    assert json.loads(answer.context) == {"tool_name": "teapot", "session_id": "s"}


@pytest.mark.parametrize("tool, kind", [("exits", "SystemExit"), ("interrupts", "KeyboardInterrupt")])
def test_exit_of_a_tool_is_a_failure_of_its_call(worker, tool, kind):
    answer = failure(worker, tool)
    assert (answer.type, answer.started) == (kind, True)
    assert worker.stream.value("me")["pid"] == worker.pid


def test_started_page_shows_the_running_call(worker):
    invocation = worker.stream.invocation("sometimes_slow", {"seconds": 0.5})
    worker.stream.invoke(invocation)
    worker.stream.ping(1)
    worker.stream.state(1)
    assert (worker.page.started(), worker.page.running()) == ([invocation.call_id], invocation.call_id)
    worker.stream.answer(invocation.call_id)
    assert (worker.page.started(), worker.page.running()) == ([invocation.call_id], 0)


def test_started_page_remembers_the_last_256(worker):
    calls = [worker.stream.invocation("grows") for _ in range(300)]
    worker.stream.invoke(*calls)
    worker.stream.answer(calls[-1].call_id)
    assert worker.page.started() == [call.call_id for call in calls[-256:]]


@pytest.mark.parametrize("how, status", [("segfault", -11), ("abort", -6), ("kill", -9), ("exit", 3)])
def test_demo_crashes_as_told_and_leaves_its_call_on_the_page(demo_worker, how, status):
    invocation = demo_worker.stream.invocation("crash", {"how": how, "code": 3})
    demo_worker.stream.invoke(invocation)
    assert demo_worker.exit_status() == status
    assert demo_worker.page.running() == invocation.call_id
