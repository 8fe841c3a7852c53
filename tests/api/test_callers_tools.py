"""Tools that the caller of a stream brings: asked for by events, answered by POST /calls/{id}/tool_results/{n}."""

import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import httpx
import pytest
from served import Gateway, wait_for

TOOLS = [
    {"name": "look_up", "description": "Ask the caller.",
     "schema": {"type": "object", "properties": {"i": {"type": "integer"}}}},
    {"name": "add"},
]  # fmt: skip


@pytest.fixture(scope="module", params=["process", "thread", "async"])
def url(request: Any, tmp_path_factory: Any) -> Iterator[str]:
    path = tmp_path_factory.mktemp("callers") / "snakepit.yaml"
    profile = f"profile: {request.param}" + ("" if request.param == "process" else ", slots: 4")
    path.write_text(
        "streams: {window: 64KiB}\npools:\n"
        f"  - {{name: agents, adapter: calling.Agents, {profile}, workers: 1}}\n"
        f"  - {{name: models, adapter: calling.Models, {profile}, workers: 1}}\n"
    )
    gateway = Gateway("--config", str(path))
    yield gateway.url
    gateway.stop()


class Talk:
    """A stream whose questions `answer` is given, with their number; what it returns is sent back unless None."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self.id = ""
        self.asked: List[Dict[str, Any]] = []
        self.replies: List[httpx.Response] = []

    def reply(self, number: Any, body: Any) -> httpx.Response:
        return self.http.post(f"/calls/{self.id}/tool_results/{number}", json=body)

    def run(self, tool: str, args: Any, answer: Callable[[Any], Any], **more: Any) -> List[Any]:
        """The chunks."""
        body = {"tool": tool, "args": args, "tools": TOOLS, **more}
        chunks: List[Any] = []
        headers = {"accept": "application/x-ndjson"}
        with self.http.stream("POST", "/stream", json=body, headers=headers) as stream:
            assert stream.status_code == 200, stream.read()
            for line in stream.iter_lines():
                event = json.loads(line)
                if event["event"] == "start":
                    self.id = event["data"]["request_id"]
                elif event["event"] == "tool_call":
                    self.asked.append(event["data"])
                    result = answer(event["data"])
                    if result is not None:
                        self.replies.append(self.reply(event["data"]["id"], result))
                elif event["event"] == "chunk":
                    chunks.append(event["data"])
                self.last = event
        return chunks


@pytest.fixture
def talk(url: str) -> Talk:
    return Talk(url)


def found(_: Any) -> Any:
    return {"result": {"found": True}}


def test_the_caller_is_asked_and_answers(talk: Talk) -> None:
    chunks = talk.run("converse", {"name": "look_up", "arguments": {"i": 7}}, found)
    assert chunks == ["before", {"found": True}, "after"]
    assert talk.asked == [{"id": 1, "name": "look_up", "args": {"i": 7}}]
    assert talk.replies[0].status_code == 204
    assert talk.last["event"] == "done"


def test_what_of_a_schema_cannot_be_checked_is_said_at_the_start(url: str) -> None:
    tools = [{"name": "loose", "schema": {"type": "object", "if": {}}}, {"name": "add"}]
    body = {"tool": "converse_names", "args": {}, "tools": tools}
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        text = client.post("/stream", json=body, headers={"accept": "application/x-ndjson"}).text
    start = json.loads(text.split("\n")[0])["data"]
    assert [each["pointer"] for each in start["schema_problems"].pop("loose")] == ["/if"]
    assert start["schema_problems"] == {}


def test_a_schema_of_which_nothing_can_be_checked_is_refused(url: str) -> None:
    tools = [{"name": "old", "schema": {"$schema": "http://json-schema.org/draft-04/schema#"}}]
    answer = httpx.post(url + "/stream", json={"tool": "converse_names", "args": {}, "tools": tools})
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/tools/0/schema"


def test_questions_are_numbered(talk: Talk) -> None:
    chunks = talk.run("converse", {"name": "look_up", "times": 3}, lambda asked: {"result": asked["id"]})
    assert chunks == ["before", 1, 2, 3, "after"]


def test_several_at_once(talk: Talk) -> None:
    chunks = talk.run("aconverse", {"name": "look_up", "n": 20}, lambda asked: {"result": asked["args"]["i"]})
    assert chunks == [list(range(20))]


def test_the_callers_tool_goes_before_one_of_that_name(talk: Talk) -> None:
    chunks = talk.run("converse", {"name": "add", "arguments": {"a": 1}}, lambda _: {"result": "mine"})
    assert chunks[1] == "mine"


def test_other_tools_are_found_as_ever(talk: Talk) -> None:
    assert talk.run("converse", {"name": "count", "arguments": {"n": 2}}, found)[1] == [0, 1]
    assert talk.asked == []


def test_a_tool_that_is_called_may_ask_the_caller_too(talk: Talk) -> None:
    assert talk.run("converse_deeper", {"name": "look_up"}, found) == [{"found": True}]


def test_the_callers_tools_are_listed(talk: Talk) -> None:
    listed = talk.run("converse_names", {}, found)[0]
    assert listed["look_up"] == "Ask the caller."
    assert listed["add"] == ""
    assert "count" in listed


def test_an_error_of_the_callers(talk: Talk) -> None:
    error = {"type": "KeyError", "message": "\u00fc\n", "code": "no_such_page", "status": 404, "details": [1]}
    told = talk.run("converse", {"name": "look_up"}, lambda _: {"error": error})[1]
    assert (told["class"], told["kind"], told["code"], told["status"], told["details"]) == (
        "ToolCallError", "KeyError", "no_such_page", 404, [1],
    )  # fmt: skip
    assert told["message"] == "tool 'look_up': \u00fc\n"


def test_arguments_are_checked_before_the_caller_is_asked(talk: Talk) -> None:
    told = talk.run("converse", {"name": "look_up", "arguments": {"i": "x"}}, found)[1]
    assert told["code"] == "invalid_arguments"
    assert talk.asked == []


def test_bytes_may_be_the_answer(talk: Talk) -> None:
    def answer(asked: Any) -> None:
        path = f"/calls/{talk.id}/tool_results/{asked['id']}"
        headers = {"content-type": "image/png"}
        assert talk.http.post(path, content=b"\x00\xff", headers=headers).status_code == 204

    chunks = talk.run("converse", {"name": "look_up"}, answer)
    assert chunks[1]["__type__"] == "bytes"


@pytest.mark.parametrize(
    "body",
    [[], {}, {"result": 1, "error": {"message": "x"}}, {"error": {}}, {"error": "x"}, {"error": {"message": 1}},
     {"error": {"message": "x", "status": 1000}}, {"more": 1}],
)  # fmt: skip
def test_a_wrong_answer_is_refused_and_may_be_given_again(talk: Talk, body: Any) -> None:
    refused: List[httpx.Response] = []

    def answer(asked: Any) -> Any:
        refused.append(talk.reply(asked["id"], body))
        return {"result": 1}

    assert talk.run("converse", {"name": "look_up"}, answer)[1] == 1
    assert (refused[0].status_code, refused[0].json()["code"]) == (400, "invalid_request")


def test_a_question_is_answered_once(talk: Talk) -> None:
    again: List[httpx.Response] = []

    def answer(asked: Any) -> None:
        assert talk.reply(asked["id"], {"result": 1}).status_code == 204
        again.append(talk.reply(asked["id"], {"result": 2}))

    assert talk.run("converse", {"name": "look_up"}, answer)[1] == 1
    assert (again[0].status_code, again[0].json()["code"]) == (404, "tool_call_not_found")


@pytest.mark.parametrize("number", ["0", "2", "x", "99999999999999999999", "-1"])
def test_an_answer_to_no_question_is_not_found(talk: Talk, number: str) -> None:
    refused: List[int] = []

    def answer(asked: Any) -> Any:
        refused.append(talk.reply(number, {"result": 1}).status_code)
        return {"result": 1}

    talk.run("converse", {"name": "look_up"}, answer)
    assert refused == [404]


def test_an_answer_for_no_stream_is_not_found(talk: Talk) -> None:
    talk.id = "nothing"
    assert talk.reply(1, {"result": 1}).status_code == 404


def test_a_caller_that_does_not_answer_in_time(talk: Talk) -> None:
    told = talk.run("converse_hastily", {"name": "look_up"}, lambda _: None)[0]
    assert (told["class"], told["code"]) == ("ToolCallTimeout", "deadline_exceeded")
    assert talk.reply(1, {"result": 1}).status_code == 404


def test_a_caller_that_leaves_ends_the_call(talk: Talk) -> None:
    body = {"tool": "converse", "args": {"name": "look_up"}, "tools": TOOLS}
    request_id = "leaves-" + str(time.monotonic_ns())
    with talk.http.stream("POST", "/stream", json=body, headers={"x-request-id": request_id}) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: tool_call"):
                break
    wait_for(lambda: talk.http.get(f"/calls/{request_id}").status_code == 404)
    assert talk.run("converse", {"name": "look_up"}, found)[1] == {"found": True}


def test_a_reader_that_is_far_behind_is_not_asked_more(talk: Talk, tmp_path: Path) -> None:
    """What is asked costs no credit, so that it is bounded otherwise."""
    path = tmp_path / "notes"
    args = {"name": "look_up", "size": 60000, "n": 150, "path": str(path)}
    body = {"tool": "converse_at_length", "args": args, "tools": TOOLS}
    with talk.http.stream("POST", "/stream", json=body, headers={"accept": "application/x-ndjson"}) as stream:
        wait_for(path.exists)
        events = [json.loads(line) for line in stream.iter_lines()]
    codes = [event["data"] for event in events if event["event"] == "chunk"][0]
    assert set(codes) == {"deadline_exceeded", "payload_too_large"}


def test_arguments_larger_than_the_window_are_refused(talk: Talk) -> None:
    chunks = talk.run("converse_at_length", {"name": "look_up", "size": 70000, "n": 1}, found)
    assert chunks == [["payload_too_large"]]


def wrong(tools: Any, pointer: Optional[str]) -> Any:
    return pytest.param(tools, pointer, id=str(pointer))


@pytest.mark.parametrize(
    ("tools", "pointer"),
    [
        wrong({}, "/tools"),
        wrong([1], "/tools/0"),
        wrong([{"name": "a"}, {"name": "a"}], "/tools/1/name"),
        wrong([{"name": "-"}], "/tools/0/name"),
        wrong([{}], "/tools/0/name"),
        wrong([{"name": "a", "schema": 1}], "/tools/0/schema"),
        wrong([{"name": "a", "other": 1}], "/tools/0/other"),
        wrong([{"name": "a", "description": "x" * 5000}], "/tools/0/description"),
        wrong([{"name": f"a{i}"} for i in range(65)], "/tools/64"),
    ],
)
def test_tools_that_are_described_wrongly(talk: Talk, tools: Any, pointer: str) -> None:
    answer = talk.http.post("/stream", json={"tool": "converse", "args": {"name": "x"}, "tools": tools})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_only_a_stream_can_ask(talk: Talk) -> None:
    answer = talk.http.post("/execute", json={"tool": "ask", "args": {"name": "x"}, "tools": TOOLS})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_question_can_be_answered_after_coming_back(talk: Talk, tmp_path: Path) -> None:
    body = {"tool": "converse", "args": {"name": "look_up"}, "tools": TOOLS, "on_disconnect": "detach"}
    talk.id = "back-" + str(time.monotonic_ns())
    with talk.http.stream("POST", "/stream", json=body, headers={"x-request-id": talk.id}) as stream:
        next(stream.iter_lines())
    with talk.http.stream("GET", f"/calls/{talk.id}/events", headers={"accept": "application/x-ndjson"}) as stream:
        kinds = []
        for line in stream.iter_lines():
            event = json.loads(line)
            kinds.append(event["event"])
            if event["event"] == "tool_call":
                talk.reply(event["data"]["id"], {"result": 1})
    assert kinds == ["start", "chunk", "tool_call", "chunk", "chunk", "done"]
