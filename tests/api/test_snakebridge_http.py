"""SnakeBridge through the gateway: what `snakebridge_allow` lets callers reach, references, streams."""

import json
from typing import Any, Dict, Iterator, List

import httpx
import pytest

NDJSON = {"accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def bridged(tmp_path_factory) -> Iterator[Any]:
    from served import Gateway

    config = tmp_path_factory.mktemp("bridged") / "snakepit.yaml"
    config.write_text(
        "pools:\n"
        "  - {name: bridged, adapter: streams.Streams, workers: 1, snakebridge_allow: [math, fractions, itertools]}\n"
        "  - {name: default, adapter: snakepit_bridge.demo.Demo, workers: 1}\n"
    )
    shared = Gateway("--config", str(config))
    yield shared
    shared.stop()


@pytest.fixture
def client(bridged: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bridged.url, trust_env=False, timeout=30) as made:
        yield made


def call(client: httpx.Client, module: str = "", function: str = "", *args: Any, **members: Any) -> httpx.Response:
    params: Dict[str, Any] = {"python_module": module, "function": function, "args": list(args), **members}
    return client.post("/tools/snakebridge.call", json={name: value for name, value in params.items() if value})


def chunks(client: httpx.Client, **params: Any) -> List[Any]:
    answer = client.post("/stream", json={"tool": "snakebridge.stream", "args": params}, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    events = [json.loads(line) for line in answer.text.splitlines() if line]
    assert events[-1]["event"] == "done", events[-1]
    return [event["data"] for event in events if event["event"] == "chunk"]


def fraction(client: httpx.Client, *args: int, **members: Any) -> Dict[str, Any]:
    answer = call(client, "fractions", "", *args, call_type="class", **{"class": "Fraction"}, **members)
    assert answer.status_code == 200, answer.text
    assert answer.json()["__type__"] == "ref"
    return answer.json()


def test_a_function_of_an_allowed_module_is_called(client: httpx.Client) -> None:
    answer = call(client, "math", "sqrt", 16)
    assert (answer.status_code, answer.text) == (200, "4.0")


@pytest.mark.parametrize("module", ["os", "subprocess", "mathematics", "builtins"])
def test_other_modules_are_refused(client: httpx.Client, module: str) -> None:
    answer = call(client, module, "system", "true")
    assert (answer.status_code, answer.json()["code"]) == (403, "module_not_allowed")


def test_a_way_to_other_modules_is_refused(client: httpx.Client) -> None:
    answer = call(client, "fractions", "re", call_type="module_attr", attr="re")
    assert (answer.status_code, answer.json()["code"]) == (403, "module_not_allowed")


def test_a_reference_is_good_for_further_calls(client: httpx.Client) -> None:
    half, third = fraction(client, 1, 2, session_id="s1"), fraction(client, 1, 3, session_id="s1")
    private = call(client, "", "", third, call_type="method", instance=half, method="__add__")
    assert (private.status_code, private.json()["code"]) == (403, "module_not_allowed")
    bottom = call(client, call_type="get_attr", instance=half, attr="denominator")
    assert (bottom.status_code, bottom.text) == (200, "2")
    rounded = call(client, call_type="method", instance=third, method="limit_denominator", args=[3], session_id="s1")
    assert rounded.json()["type_name"] == "Fraction"


def in_session(client: httpx.Client, session: str, **params: Any) -> httpx.Response:
    return client.post("/execute", json={"tool": "snakebridge.call", "args": params, "session_id": session})


def test_a_reference_belongs_to_the_calls_session(client: httpx.Client) -> None:
    made = in_session(
        client, "mine", python_module="fractions", call_type="class", **{"class": "Fraction"}, args=[1, 2]
    )
    get = {"call_type": "get_attr", "instance": made.json()["result"], "attr": "denominator"}
    assert in_session(client, "mine", **get).json()["result"] == 2
    other = in_session(client, "theirs", **get)
    assert (other.status_code, other.json()["code"]) == (409, "session_mismatch")


def test_a_released_reference_is_gone(client: httpx.Client) -> None:
    half = fraction(client, 1, 2, session_id="s1")
    answer = client.post("/tools/snakebridge.release_ref", json={"ref": half, "session_id": "s1"})
    assert answer.json() is True
    assert call(client, call_type="get_attr", instance=half, attr="denominator").status_code == 404


def test_what_an_iterator_yields_is_streamed(client: httpx.Client) -> None:
    found = chunks(client, python_module="itertools", function="repeat", args=["x", 3])
    assert found == ["x", "x", "x"]


def test_a_stream_by_reference_is_read_item_by_item(client: httpx.Client) -> None:
    stream = call(client, "itertools", "repeat", 7, 2, session_id="s1").json()
    assert stream["__type__"] == "stream_ref"
    items = [call(client, call_type="stream_next", stream_ref=stream, session_id="s1").json() for _ in range(3)]
    assert items == [7, 7, {"__type__": "stop_iteration"}]


def test_a_pool_that_allows_no_module_has_no_such_tool(start_gateway) -> None:
    gateway = start_gateway()
    answer = httpx.post(gateway.url + "/tools/snakebridge.call", json={"python_module": "math", "function": "sqrt"})
    assert (answer.status_code, answer.json()["code"]) == (404, "tool_not_found")
