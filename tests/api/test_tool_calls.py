"""Python tools that call tools, over a real gateway with two pools."""

import concurrent.futures
import json
import socket
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import httpx
import pytest
import served

PROFILES = ["process", "thread", "async"]


def configuration(folder: Path, agents: str, models: str, more: str = "") -> str:
    """A file with two pools; `agents` and `models` are further keys of theirs."""
    path = folder / "snakepit.yaml"
    path.write_text(
        f"{more}\npools:\n"
        f"  - {{name: agents, adapter: calling.Agents, {agents}}}\n"
        f"  - {{name: models, adapter: calling.Models, {models}}}\n"
    )
    return str(path)


class Client:
    """Runs tools of one gateway."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def run(self, tool: str, args: Any = None, headers: Any = None, **more: Any) -> httpx.Response:
        return self.http.post("/execute", json={"tool": tool, "args": args or {}, **more}, headers=headers)

    def value(self, tool: str, args: Any = None, **more: Any) -> Any:
        answer = self.run(tool, args, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]


@pytest.fixture(scope="module", params=PROFILES)
def client(request: Any, tmp_path_factory: Any) -> Iterator[Client]:
    slots = "" if request.param == "process" else ", slots: 4"
    pools = [f"profile: {request.param}{slots}, workers: {n}" for n in (2, 1)]
    gateway = served.Gateway("--config", configuration(tmp_path_factory.mktemp("calling"), *pools))
    made = Client(gateway.url)
    made.profile = request.param  # type: ignore[attr-defined]
    yield made
    gateway.stop()


@pytest.fixture
def start(start_gateway: Callable[..., Any], tmp_path: Path) -> Callable[..., Client]:
    """A gateway of its own, of the process profile."""

    def go(agents: str = "workers: 1", models: str = "workers: 1", more: str = "") -> Client:
        return Client(start_gateway("--config", configuration(tmp_path, agents, models, more)).url)

    return go


def wait_for(path: Path, text: str) -> None:
    served.wait_for(lambda: path.exists() and text in path.read_text())


@pytest.mark.parametrize("tool", ["ask", "aask"])
def test_a_tool_calls_a_tool_of_another_pool(client: Client, tool: str) -> None:
    assert client.value(tool, {"name": "add", "arguments": {"a": 2, "b": 3}}) == 5


def test_a_tool_calls_a_tool_of_its_own_pool(client: Client) -> None:
    assert client.value("ask", {"name": "ask", "arguments": {"name": "add", "arguments": {"a": 1}}}) == 1


def test_of_tools_of_one_name_that_of_the_callers_own_pool_is_meant(start: Callable[..., Client]) -> None:
    client = start(models="workers: 2}\n  - {name: others, adapter: calling.Models, workers: 2")
    workers = client.http.get("/workers").json()["workers"]
    pool_of = {worker["pid"]: worker["pool"] for worker in workers}
    for pool in ("models", "others"):
        ran = client.value("back", {"name": "who", "arguments": {}}, pool=pool)
        assert pool_of[ran["pid"]] == pool
    assert pool_of[client.value("pass_on", {"name": "who"})["pid"]] == "models"


def test_a_pool_calls_back(client: Client) -> None:
    inner = {"name": "add", "arguments": {"a": 4}}
    got = client.value("ask", {"name": "back", "arguments": {"name": "ask", "arguments": inner}})
    if client.profile == "process":  # type: ignore[attr-defined]
        assert got["code"] == "tool_call_deadlock"  # "add" is of the pool whose one worker waits
    else:
        assert got == 4


def test_threads_of_a_tool_may_call(client: Client) -> None:
    assert client.value("in_thread") == [2]


def test_many_calls_at_once(client: Client) -> None:
    assert client.value("gather", {"n": 50}) == [1] * 50


@pytest.mark.parametrize("size", [256, 1 << 20])
def test_bytes_arrive_intact(client: Client, size: int) -> None:
    assert client.value("turned", {"size": size}) == ["bytes", True]


def test_what_a_streaming_tool_yields_is_a_list(client: Client) -> None:
    assert client.value("ask", {"name": "count", "arguments": {"n": 3}}) == [0, 1, 2]


def test_session_trace_and_correlation_go_along(client: Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": trace, "x-correlation-id": "corr", "x-request-id": "outer"}
    answer = client.run("ask", {"name": "who"}, headers, session_id="one", timeout_ms=5000)
    got = answer.json()["result"]
    assert got.pop("pid") and 0 < got.pop("left") <= 5
    assert got == {"request_id": "outer.1", "session_id": "one", "correlation_id": "corr", "traceparent": trace}


def test_without_a_correlation_id_it_is_the_request_id(client: Client) -> None:
    got = client.run("ask", {"name": "who"}, {"x-request-id": "outer2"}).json()["result"]
    assert got["correlation_id"] == "outer2"


def test_tools_are_listed(client: Client) -> None:
    names = client.value("names")
    assert {"add", "ask", "turn"} <= set(names)


def test_an_unknown_tool(client: Client) -> None:
    got = client.value("ask", {"name": "nothing"})
    assert (got["class"], got["code"], got["status"]) == ("ToolNotFound", "tool_not_found", 404)


@pytest.mark.parametrize("pool, ran", [("", "agents"), ("agents", "agents"), ("models", "models")])
def test_the_tool_of_the_named_pool_runs_else_that_of_the_callers_own(client: Client, pool: str, ran: str) -> None:
    caller = {"tool": "ask_pool", "args": {"name": "where", "pool": pool}}
    assert client.http.post("/execute", json=caller).json()["result"] == ran


@pytest.mark.parametrize(
    "name, pool, code, message",
    [
        ("where", "nothing", "pool_not_found", "tool 'where': there is no pool named \"nothing\""),
        ("where", "x" * 5000, "pool_not_found", "tool 'where': there is no pool named \"" + "x" * 80 + '"'),
        ("add", "agents", "tool_not_found", "tool 'add': there is no such tool in the pool \"agents\""),
    ],
    ids=["no pool", "a long name", "not there"],
)
def test_what_the_named_pool_has_not_is_not_found(
    client: Client, name: str, pool: str, code: str, message: str
) -> None:  # fmt: skip
    got = client.value("ask_pool", {"name": name, "pool": pool})
    assert (got["class"], got["code"], got["status"], got["message"]) == ("ToolNotFound", code, 404, message)


def test_wrong_arguments_do_not_reach_python(client: Client) -> None:
    got = client.value("ask", {"name": "add", "arguments": {"a": "x"}})
    assert (got["kind"], got["code"], got["status"]) == ("InvalidArguments", "invalid_arguments", 422)
    assert got["details"][0]["pointer"] == "/a"


def test_an_exception(client: Client) -> None:
    got = client.value("ask", {"name": "fail", "arguments": {"how": "value"}})
    assert (got["class"], got["kind"], got["message"]) == ("ToolCallError", "ValueError", "tool 'fail': bad")
    assert (got["code"], got["status"]) == ("python_error", 500)


@pytest.mark.parametrize(
    "how, caught",
    [("json", "ValueError"), ("unicode", "UnicodeDecodeError"), ("own", "KeyError"), ("value", "ValueError")],
)
def test_an_exception_is_caught_by_the_name_of_what_it_derives_from(client: Client, how: str, caught: str) -> None:
    failing = {"name": "fail", "arguments": {"how": how}}
    assert client.value("catch", failing) == caught
    assert client.value("catch", {"name": "pass_on", "arguments": failing}) == caught


def test_a_tool_error_keeps_its_code(client: Client) -> None:
    got = client.value("ask", {"name": "fail", "arguments": {"how": "tool_error"}})
    assert (got["code"], got["status"], got["details"]) == ("teapot", 418, {"spout": 1})


def test_a_crash(client: Client) -> None:
    got = client.value("ask", {"name": "fail", "arguments": {"how": "die"}})
    assert (got["class"], got["code"], got["details"]["crash"]["classification"]) == (
        "ToolCallError", "worker_crash", "killed",
    )  # fmt: skip


def test_a_timeout_of_its_own(client: Client) -> None:
    got = client.value("ask", {"name": "nap", "arguments": {"seconds": 600}, "timeout": 0.2})
    assert (got["class"], got["code"]) == ("ToolCallTimeout", "deadline_exceeded")


def test_an_exception_that_passes_is_a_python_error(client: Client) -> None:
    answer = client.run("pass_on", {"name": "nothing"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "python_error")
    assert problem["python"]["type"] == "ToolNotFound"
    assert problem["details"] == {"tool": "nothing", "code": "tool_not_found", "status": 404, "type": "ToolNotFound"}


def test_who_gives_up_has_it_cancelled(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    assert client.value("give_up", {"path": str(path)}) == "gave up"
    wait_for(path, "cancelled")


def test_the_end_of_a_call_cancels_what_it_waits_for(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    nap = {"name": "nap", "arguments": {"seconds": 600, "path": str(path)}}
    body = json.dumps({"tool": "ask", "args": nap}).encode()
    head = f"POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((client.http.base_url.host, client.http.base_url.port)) as connection:
        connection.sendall(head.encode() + body)
        wait_for(path, "begun")
    wait_for(path, "cancelled")


def test_a_deadline_of_the_first_holds_for_the_second(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    nap = {"name": "nap", "arguments": {"seconds": 600, "path": str(path)}}
    answer = client.run("ask", nap, timeout_ms=2000)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    wait_for(path, "cancelled")


def test_nested_calls_are_listed_and_cancelled_by_their_id(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    nap = {"name": "nap", "arguments": {"seconds": 600, "path": str(path)}}
    with concurrent.futures.ThreadPoolExecutor(1) as helper:
        running = helper.submit(client.run, "ask", nap, {"x-request-id": "outer3"})
        wait_for(path, "begun")
        assert client.http.get("/calls/outer3.1").json()["tool"] == "nap"
        assert client.http.delete("/calls/outer3.1").status_code == 204
        assert running.result().json()["result"]["code"] == "cancelled"


def test_recursion_into_a_pool_of_one_worker_is_refused_at_once(start: Callable[..., Client]) -> None:
    got = start().value("ask", {"name": "ask", "arguments": {"name": "add", "arguments": {"a": 1}}})
    assert (got["class"], got["code"], got["kind"]) == ("ToolCallDeadlock", "tool_call_deadlock", "ToolCallDeadlock")
    assert '"agents"' in got["message"]


def test_recursion_ends_where_the_workers_end(start: Callable[..., Client]) -> None:
    got = start("workers: 3").value("deep", {"n": 10})
    assert got["code"] == "tool_call_deadlock"


def test_a_pool_that_can_grow_is_given_the_time_to(start: Callable[..., Client]) -> None:
    client = start("min_workers: 1, max_workers: 2, target_queue_time: 10ms")
    assert client.value("ask", {"name": "ask", "arguments": {"name": "add", "arguments": {"a": 1}}}) == 1


def test_depth_is_limited(start: Callable[..., Client]) -> None:
    client = start("profile: thread, slots: 20, workers: 1", more="tool_calls: {depth: 3}")
    assert client.value("deep", {"n": 3}) == "bottom"
    got = client.value("deep", {"n": 4})
    assert (got["class"], got["code"]) == ("ToolCallDepthError", "tool_call_depth")


def test_depth_is_eight_by_default(start: Callable[..., Client]) -> None:
    client = start("profile: thread, slots: 20, workers: 1")
    assert client.value("deep", {"n": 8}) == "bottom"
    assert client.value("deep", {"n": 9})["code"] == "tool_call_depth"


def test_helpers_of_an_async_worker_that_wait_are_replaced(start: Callable[..., Client]) -> None:
    client = start("profile: async, slots: 30, workers: 1", more="tool_calls: {depth: 20}")
    assert client.value("deep", {"n": 15}) == "bottom"


def test_what_one_call_may_wait_for_is_limited(start: Callable[..., Client]) -> None:
    client = start(models="profile: async, slots: 20, workers: 1", more="tool_calls: {pending: 5}")
    assert client.value("gather", {"n": 5, "seconds": 0.05}) == ["slept"] * 5
    problem = client.run("gather", {"n": 6, "seconds": 5}).json()
    assert problem["details"]["code"] == "tool_calls_pending"


def test_two_pools_that_call_each_other_do_not_wait_for_ever(start: Callable[..., Client]) -> None:
    client = start("workers: 2", "workers: 2")
    inner = {"name": "add", "arguments": {"a": 4}}
    request: Dict[str, Any] = {"name": "back", "arguments": {"name": "ask", "arguments": inner}}
    with concurrent.futures.ThreadPoolExecutor(8) as helper:
        answers = list(helper.map(lambda _: client.run("ask", request), range(40)))
    results = [answer.json()["result"] for answer in answers]
    assert all(result == 4 or "ToolCallDeadlock" in result["kind"] for result in results)


def test_workers_that_wait_for_another_pool_are_not_taken_for_stuck(start: Callable[..., Client]) -> None:
    client = start("workers: 3", "workers: 1")
    nap = {"name": "nap", "arguments": {"seconds": 0.2}}
    with concurrent.futures.ThreadPoolExecutor(6) as helper:
        results = list(helper.map(lambda _: client.value("ask", nap), range(6)))
    assert results == ["slept"] * 6


def test_nested_calls_go_on_while_the_gateway_drains(start_gateway: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "notes"
    gateway = start_gateway("--config", configuration(tmp_path, "workers: 1", "workers: 1"))
    client = Client(gateway.url)
    with concurrent.futures.ThreadPoolExecutor(1) as helper:
        running = helper.submit(client.value, "ask_late", {"seconds": 0.5, "path": str(path)})
        wait_for(path, "begun")
        gateway.process.terminate()
        assert running.result() == 3


def test_the_name_of_a_tool_is_all_of_it(client: Client) -> None:
    told = client.value("ask", {"name": "add\0evil", "arguments": {"a": 1}})
    assert (told["code"], told["status"]) == ("tool_not_found", 404)
