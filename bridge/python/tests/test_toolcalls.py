"""Tools that call tools, in every profile, with replies by the stand-in gateway."""

import json
import time

import pytest
from standin import wait_until


@pytest.fixture(params=["process", "thread", "async"])
def caller(request, _shared, gateway):
    slots = 1 if request.param == "process" else 8
    worker = gateway.fork(_shared("calling.Calling"), profile=request.param, slots=slots)
    yield worker.stream
    worker.kill()


def begin(stream, tool, **arguments):
    """The call's id and its first request."""
    call = stream.invocation(tool, arguments)
    stream.invoke(call)
    return call.call_id, stream.tool_call()


def value(stream, call_id):
    answer = stream.answer(call_id)
    assert isinstance(answer, stream.pb.Result), answer
    return json.loads(answer.body)


@pytest.mark.parametrize("tool", ["ask", "aask"])
def test_a_tool_gets_what_another_returns(caller, tool):
    call_id, request = begin(caller, tool, name="add", arguments={"a": 1, "b": [2]})
    assert (request.call_id, request.tool, json.loads(request.args)) == (call_id, b"add", {"a": 1, "b": [2]})
    assert not request.timeout_ms and not request.idempotent and not request.content_type and not request.pool
    assert not request.trace_id and not request.span_id  # there is no span
    caller.reply(request, {"sum": 3})
    assert value(caller, call_id) == {"sum": 3}


def test_what_cannot_be_sent_is_a_type_error_where_it_is_asked_for(caller):
    call = caller.invocation("ask_with_an_object", {})
    caller.invoke(call)
    assert value(caller, call.call_id) == "a value of type builtins.object cannot be sent to a tool"


def test_bytes_go_and_come_as_bytes(caller):
    call_id, request = begin(caller, "ask_bytes", name="turn")
    assert (request.args, request.content_type) == (b"\0\1", "application/octet-stream")
    caller.reply(request, b"\1\0")
    assert value(caller, call_id) == ["bytes", "0100"]


def test_tagged_values_are_what_they_stand_for(caller):
    call_id, request = begin(caller, "ask_bytes", name="turn")
    caller.reply(request, {"__type__": "bytes", "__schema__": 1, "data": "AQA="})
    assert value(caller, call_id) == ["bytes", "0100"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("tool_not_found", "ToolNotFound"),
        ("tool_call_deadlock", "ToolCallDeadlock"),
        ("tool_call_depth", "ToolCallDepthError"),
        ("worker_timeout", "ToolCallTimeout"),
        ("worker_crash", "ToolCallError"),
    ],
)
def test_a_failure_is_an_exception_of_its_kind(caller, code, name):
    call_id, request = begin(caller, "ask_and_catch", name="fails")
    caller.reply(request, type="ValueError", message="no", code=code, status=418, details=b'{"a":1}')
    told = value(caller, call_id)
    assert told.pop("timeout") == (name == "ToolCallTimeout")
    assert told == {
        "class": name, "message": "tool 'fails': no", "kind": "ValueError", "code": code, "status": 418,
        "details": {"a": 1},
    }  # fmt: skip


def test_an_exception_that_passes_is_the_callers_own_failure(caller):
    call_id, request = begin(caller, "ask", name="fails")
    caller.reply(request, type="KeyError", message="'x'", code="tool_not_found", status=404)
    failure = caller.answer(call_id)
    assert (failure.type, failure.status, failure.code) == ("ToolNotFound", 0, "")
    assert failure.message == "tool 'fails': 'x'"
    assert json.loads(failure.details) == {
        "tool": "fails", "type": "KeyError", "code": "tool_not_found", "status": 404
    }  # fmt: skip
    assert "toolcalls.py" not in failure.traceback.splitlines()[1]


def test_a_result_that_is_no_json_is_an_error(caller):
    call_id, request = begin(caller, "ask_and_catch", name="odd")
    caller.send(caller.pb.GatewayFrame(tool_replies=[caller.pb.ToolReply(id=request.id, body=b"{")]))
    assert value(caller, call_id)["code"] == "invalid_result"


def test_a_thread_of_the_tools_own_may_ask(caller):
    call_id, request = begin(caller, "ask_in_thread", name="add")
    caller.reply(request, 3)
    assert value(caller, call_id) == [3]


def test_coroutines_ask_side_by_side(caller):
    call_id, _ = begin(caller, "ask_many", name="add", n=5)
    requests = [caller.tool_call(n) for n in range(5)]
    assert len({request.id for request in requests}) == 5
    for request in reversed(requests):
        caller.reply(request, json.loads(request.args)["i"])
    assert value(caller, call_id) == [0, 1, 2, 3, 4]


def test_who_stops_waiting_says_so(caller):
    call_id, request = begin(caller, "ask_hastily", name="slow")
    given_up = caller.tool_call(1)
    assert (given_up.id, given_up.call_id, given_up.cancel) == (request.id, call_id, True)
    assert value(caller, call_id) == "gave up"


def test_limits_and_wishes_are_passed_on(caller):
    call_id, request = begin(caller, "ask_with_options", name="slow")
    assert (request.timeout_ms, request.idempotent, request.pool) == (1500, True, b"other")
    caller.reply(request)
    assert value(caller, call_id) is None


def test_tools_are_listed_once_a_call(caller):
    call_id, request = begin(caller, "names")
    assert request.tool == b"$tools"
    caller.reply(request, [{"name": "b"}, {"name": "a"}])
    assert value(caller, call_id) == [["a", "b"], ["a", "b"]]


def test_a_cancelled_call_stops_to_wait(caller):
    call_id, _ = begin(caller, "wait_for", name="never")
    caller.cancel(call_id)
    assert caller.answer(call_id).code == "cancelled"
    assert caller.value("was_cancelled") == "never"


def test_a_reply_that_comes_too_late_does_no_harm(caller):
    call_id, request = begin(caller, "wait_for", name="never")
    caller.cancel(call_id)
    caller.answer(call_id)
    caller.reply(request, 1)
    assert caller.value("was_cancelled") == "never"


def test_the_calls_that_wait_are_cancelled_while_one_asks(caller):
    call_id, request = begin(caller, "ask", name="slow")
    waiting = caller.invocation("was_cancelled", {})
    caller.invoke(waiting)
    caller.ping(7)
    assert caller.state(7)
    caller.cancel(waiting.call_id)
    caller.reply(request, 1)
    assert value(caller, call_id) == 1


def test_snakepits_way_to_call(caller):
    call_id, request = begin(caller, "elixir", name="add")
    assert json.loads(request.args) == {"a": 1, "b": "x"}
    caller.reply(request, 3)
    assert value(caller, call_id) == 3


def test_snakepits_way_to_miss_a_tool(caller):
    call_id, request = begin(caller, "elixir", name="none")
    caller.reply(request, message="there is none", code="tool_not_found")
    failure = caller.answer(call_id)
    assert (failure.type, failure.message.startswith("Elixir tool 'none' not found")) == ("ValueError", True)


def test_what_was_emitted_before_leaves_before(caller):
    call_id = caller.begin("chatty", {"name": "add"})
    request = caller.tool_call()
    assert caller.chunks(call_id) == [1]
    caller.reply(request, 2)
    assert caller.chunks(call_id, 2) == [1, 2]


@pytest.mark.parametrize("tool", ["ask", "aask", "ask_in_thread"])
def test_a_round_trip_does_not_wait_for_somebody_to_read(caller, tool):
    """Or none would ever be as quick; on a busy machine not every one is."""

    def is_quick():
        begun = time.monotonic()
        call_id, request = begin(caller, tool, name="add")
        caller.reply(request, 1)
        value(caller, call_id)
        caller.frames.clear()
        return time.monotonic() - begun < 0.05

    wait_until(is_quick)


def test_snakepits_way_to_fail_keeps_what_is_known(caller):
    call_id, request = begin(caller, "elixir", name="broken")
    caller.reply(request, type="KeyError", message="'k'", code="python_error", status=500)
    failure = caller.answer(call_id)
    assert (failure.type, failure.message) == ("RuntimeError", "Failed to call Elixir tool: tool 'broken': 'k'")
    assert json.loads(failure.details)["type"] == "KeyError"


def test_snakepits_list_of_tools_in_a_coroutine(caller):
    call_id, request = begin(caller, "elixir_names")
    caller.reply(request, [{"name": "add", "description": "", "parameters": {}}])
    assert value(caller, call_id) == ["add"]


def test_a_forked_child_cannot_ask_and_its_parent_still_can(caller):
    call = caller.invocation("ask_in_child", session_id="s")
    caller.invoke(call)
    assert value(caller, call.call_id) == ["RuntimeError('this process cannot reach the gateway')"] * 2
    call_id, request = begin(caller, "ask", name="add")
    caller.reply(request, 3)
    assert value(caller, call_id) == 3


@pytest.mark.parametrize("way", ["variable", "timeout", "name"])
def test_a_call_can_be_cancelled_after_an_error_of_what_it_asked_for(caller, tmp_path, way):
    mark = tmp_path / "mark"
    call = caller.invocation("fails_and_spins", {"way": way, "mark": str(mark)})
    caller.invoke(call)
    wait_until(mark.exists)
    caller.cancel(call.call_id)
    assert caller.answer(call.call_id).code == "cancelled"


def test_a_request_that_cannot_be_made_is_not_waited_for(pb):
    from snakepit_bridge import requests
    from striking import Ground

    ground = Ground(0)
    ground.requests, ground.wait_for_reply = requests.Requests(None), None
    with pytest.raises(ValueError):
        ground.requests.caller(1, ground).call("add", {}, timeout_ms=1 << 80)
    assert not ground.requests._waiting
