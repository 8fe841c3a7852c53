"""Session variables over HTTP, against the real gateway."""

from typing import Any, Dict, Iterator

import httpx
import pytest


@pytest.fixture
def client(gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as each:
        yield each


@pytest.fixture
def path(client: httpx.Client) -> str:
    """Of the variables of a session of its own."""
    return str(client.post("/sessions").headers["location"]) + "/variables"


def problem(answer: httpx.Response, status: int, code: str) -> Dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    return dict(answer.json())


def put(client: httpx.Client, path: str, value: Any, **more: Any) -> httpx.Response:
    return client.put(path, json={"value": value, **more})


def test_a_variable_is_written_read_and_deleted(client: httpx.Client, path: str) -> None:
    written = put(client, f"{path}/x", 1)
    assert written.status_code == 200, written.text
    assert written.json() == {"name": "x", "value": 1, "type": "integer", "version": 1}
    assert written.headers["etag"] == '"1"'
    assert put(client, f"{path}/x", 2).json()["version"] == 2
    read = client.get(f"{path}/x")
    assert (read.json()["value"], read.headers["etag"]) == (2, '"2"')
    assert client.delete(f"{path}/x").status_code == 204
    assert problem(client.get(f"{path}/x"), 404, "variable_not_found")["variable"] == "x"
    problem(client.delete(f"{path}/x"), 404, "variable_not_found")


def test_no_version_comes_twice_though_a_variable_is_deleted(client: httpx.Client, path: str) -> None:
    for _ in range(3):
        put(client, f"{path}/x", 1)
    client.delete(f"{path}/x")
    assert put(client, f"{path}/x", 1).json()["version"] == 4


def test_a_type_holds_until_another_is_given(client: httpx.Client, path: str) -> None:
    put(client, f"{path}/x", 1, type="float", constraints={"min": 0})
    assert put(client, f"{path}/x", 3).text.find('"value":3.0') > 0
    told = problem(put(client, f"{path}/x", "three"), 422, "invalid_variable")
    assert told["errors"] == [{"pointer": "/value", "detail": "must be a float"}]
    problem(put(client, f"{path}/x", -1), 422, "invalid_variable")
    assert client.get(f"{path}/x").json()["constraints"] == {"min": 0}
    assert "constraints" not in put(client, f"{path}/x", "three", type="string").json()


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({"value": 1.5, "type": "integer"}, "/value"),
        ({"value": 1, "type": "number"}, "/type"),
        ({"value": "x", "type": "choice"}, "/constraints"),
        ({"value": "x", "type": "string", "constraints": {"pattern": "("}}, "/constraints/pattern"),
        ({"value": "x", "type": "string", "constraints": {"min": 1}}, "/constraints/min"),
        ({"value": "x", "type": "string", "constraints": {'a/"~': 1}}, '/constraints/a~1"~0'),
        ({"value": 1, "type": "float", "constraints": {"min": 2, "max": 1}}, "/constraints/max"),
    ],
)
def test_what_cannot_be_is_refused(client: httpx.Client, path: str, body: Dict[str, Any], pointer: str) -> None:
    """Snakepit 76."""
    told = problem(client.put(f"{path}/x", json=body), 422, "invalid_variable")
    assert told["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({}, "/value"),
        ({"value": 1, "x": 1}, "/x"),
        ({"value": 1, "expected_version": -1}, "/expected_version"),
        ({"value": 1, "expected_version": "1"}, "/expected_version"),
        ({"value": 1, "constraints": []}, "/constraints"),
    ],
)
def test_a_malformed_write_is_refused(client: httpx.Client, path: str, body: Dict[str, Any], pointer: str) -> None:
    told = problem(client.put(f"{path}/x", json=body), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == pointer


def test_a_number_that_no_float_can_hold_is_refused(client: httpx.Client, path: str) -> None:
    body = b'{"value": 1e400, "type": "float"}'
    answer = client.put(f"{path}/x", content=body, headers={"content-type": "application/json"})
    told = problem(answer, 422, "invalid_variable")
    assert told["errors"] == [{"pointer": "/value", "detail": "must be a float: no double is so large"}]


def test_a_body_that_is_no_json_is_refused(client: httpx.Client, path: str) -> None:
    problem(client.put(f"{path}/x", content=b"{"), 400, "invalid_json")
    text = {"content-type": "text/plain"}
    problem(client.put(f"{path}/x", content=b"{}", headers=text), 415, "unsupported_media_type")


@pytest.mark.parametrize("name", ["-x", "a b", "x" * 129, "%C3%BC", "a%2Fb"])
def test_a_name_that_cannot_be_is_refused(client: httpx.Client, path: str, name: str) -> None:
    told = problem(client.put(f"{path}/{name}", json={"value": 1}), 422, "invalid_variable")
    assert told["errors"][0]["pointer"] == "/name"


def test_an_unknown_session_has_no_variables(client: httpx.Client) -> None:
    for answer in (
        client.get("/sessions/none/variables"),
        client.get("/sessions/none/variables/x"),
        client.put("/sessions/s-none/variables/x", json={"value": 1}),
        client.delete("/sessions/none/variables/x"),
        client.patch("/sessions/s-none/variables", json={}),
    ):
        problem(answer, 404, "session_not_found")


def test_variables_end_with_their_session(client: httpx.Client) -> None:
    client.post("/sessions", json={"id": "with-variables"})
    put(client, "/sessions/with-variables/variables/x", 1)
    client.delete("/sessions/with-variables")
    client.post("/sessions", json={"id": "with-variables"})
    assert client.get("/sessions/with-variables/variables").json() == {"variables": {}}


def test_one_of_two_writes_that_expect_the_same_version_is_refused(client: httpx.Client, path: str) -> None:
    put(client, f"{path}/x", 1)
    assert put(client, f"{path}/x", 2, expected_version=1).status_code == 200
    assert problem(put(client, f"{path}/x", 3, expected_version=1), 409, "version_conflict")["version"] == 2
    assert client.get(f"{path}/x").json()["value"] == 2


def test_version_0_expects_that_there_is_none(client: httpx.Client, path: str) -> None:
    assert put(client, f"{path}/x", 1, expected_version=0).status_code == 200
    assert problem(put(client, f"{path}/x", 1, expected_version=0), 409, "version_conflict")["version"] == 1
    assert problem(put(client, f"{path}/y", 1, expected_version=3), 409, "version_conflict")["version"] == 0


def test_an_etag_makes_requests_conditional(client: httpx.Client, path: str) -> None:
    body = {"value": 1}
    etag = client.put(f"{path}/x", json=body, headers={"if-none-match": "*"}).headers["etag"]
    problem(client.put(f"{path}/x", json=body, headers={"if-none-match": "*"}), 412, "version_conflict")
    assert client.get(f"{path}/x", headers={"if-none-match": etag}).status_code == 304
    newer = client.put(f"{path}/x", json=body, headers={"if-match": etag}).headers["etag"]
    assert client.get(f"{path}/x", headers={"if-none-match": etag}).status_code == 200
    told = problem(client.put(f"{path}/x", json=body, headers={"if-match": etag}), 412, "version_conflict")
    assert told["version"] == 2
    problem(client.delete(f"{path}/x", headers={"if-match": etag}), 412, "version_conflict")
    assert client.delete(f"{path}/x", headers={"if-match": newer}).status_code == 204


def test_conditions_are_lists_of_etags_or_a_star(client: httpx.Client, path: str) -> None:
    body = {"value": 1}
    problem(client.put(f"{path}/x", json=body, headers={"if-match": "*"}), 412, "version_conflict")
    put(client, f"{path}/x", 1)
    for tags in ('W/"1"', '"7", "1"', '"7",W/"1"', "*"):
        assert client.get(f"{path}/x", headers={"if-none-match": tags}).status_code == 304, tags
        problem(client.put(f"{path}/x", json=body, headers={"if-none-match": tags}), 412, "version_conflict")
    problem(client.put(f"{path}/x", json=body, headers={"if-match": 'W/"1"'}), 412, "version_conflict")
    for tags in ('"7", "1"', "*"):
        assert client.put(f"{path}/x", json=body, headers={"if-match": tags}).status_code == 200, tags
    assert client.put(f"{path}/x", json=body, headers={"if-none-match": '"1"'}).status_code == 200
    assert client.delete(f"{path}/x", headers={"if-match": "*"}).status_code == 204


def test_a_batch_has_no_etag(client: httpx.Client, path: str) -> None:
    for header in ("if-match", "if-none-match"):
        problem(client.patch(path, json={"set": {"x": {"value": 1}}}, headers={header: '"1"'}), 400, "invalid_request")
    assert client.get(path).json()["variables"] == {}


def test_a_condition_that_is_none_is_refused(client: httpx.Client, path: str) -> None:
    for headers in ({"if-match": "2"}, {"if-match": ""}, {"if-none-match": "2"}, {"if-match": '"1" "2"'}):
        problem(client.put(f"{path}/x", json={"value": 1}, headers=headers), 400, "invalid_request")
    twice = client.put(f"{path}/x", json={"value": 1, "expected_version": 1}, headers={"if-match": '"1"'})
    problem(twice, 400, "invalid_request")


def test_a_large_batch_is_written(client: httpx.Client, path: str) -> None:
    names = [f"large{i}" for i in range(8)]
    batch = {"set": {name: {"value": "x" * 20000} for name in names}}
    assert client.patch(path, json=batch).json() == {"versions": dict.fromkeys(names, 1)}


def test_a_batch_is_written_as_a_whole_or_not_at_all(client: httpx.Client, path: str) -> None:
    put(client, f"{path}/gone", 1)
    batch = {"set": {"a": {"value": 1}, "b": {"value": [1], "type": "embedding"}}, "delete": ["gone"]}
    assert client.patch(path, json=batch).json() == {"versions": {"a": 1, "b": 1}}
    bad = {"set": {"a": {"value": 2}, "b": {"value": "no"}}}
    told = problem(client.patch(path, json=bad), 422, "invalid_variable")
    assert (told["variable"], told["errors"][0]["pointer"]) == ("b", "/set/b/value")
    late = {"set": {"a": {"value": 2}, "b": {"value": [], "expected_version": 7}}}
    told = problem(client.patch(path, json=late), 409, "version_conflict")
    assert (told["variable"], told["errors"][0]["pointer"]) == ("b", "/set/b/expected_version")
    unknown = {"set": {"a": {"value": 2}}, "delete": ["b", "no"]}
    told = problem(client.patch(path, json=unknown), 404, "variable_not_found")
    assert told["errors"][0]["pointer"] == "/delete/1"
    twice = problem(client.patch(path, json={"set": {"a": {"value": 2}}, "delete": ["a"]}), 422, "invalid_variable")
    assert twice["variable"] == "a"
    assert client.get(path).json()["variables"] == {
        "a": {"value": 1, "type": "integer", "version": 1},
        "b": {"value": [1.0], "type": "embedding", "version": 1},
    }


def test_a_batch_that_need_not_be_whole_says_what_failed(client: httpx.Client, path: str) -> None:
    batch = {
        "set": {"a": {"value": 1}, "b": {"value": 1.5, "type": "integer"}, "c": {"value": 1, "expected_version": 2}},
        "delete": ["no"],
        "atomic": False,
    }
    answer = client.patch(path, json=batch)
    assert answer.status_code == 200
    assert answer.json()["versions"] == {"a": 1}
    assert [(each["variable"], each["code"], each["pointer"]) for each in answer.json()["errors"]] == [
        ("b", "invalid_variable", "/set/b/value"),
        ("c", "version_conflict", "/set/c/expected_version"),
        ("no", "variable_not_found", "/delete/0"),
    ]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_tells_which_constraint_makes_no_sense(client: httpx.Client, path: str, atomic: bool) -> None:
    write = {"value": "x", "type": "string", "constraints": {'"': 1}}
    told = client.patch(path, json={"set": {"a": write}, "atomic": atomic}).json()
    assert told["errors"][0]["pointer"] == '/set/a/constraints/"'


@pytest.mark.parametrize(
    "batch, pointer",
    [
        ({"set": []}, "/set"),
        ({"set": {"-": {"value": 1}}}, "/set/-"),
        ({"set": {"a/b": {"value": 1}}}, "/set/a~1b"),
        ({"set": {"a": 1}}, "/set/a"),
        ({"set": {"a": {"value": 1, "x": 2}}}, "/set/a/x"),
        ({"delete": "a"}, "/delete"),
        ({"delete": ["a", 1]}, "/delete/1"),
        ({"atomic": 1}, "/atomic"),
        ({"delete": ["a"] * 2001}, "/delete"),
    ],
)
def test_a_malformed_batch_is_refused(client: httpx.Client, path: str, batch: Dict[str, Any], pointer: str) -> None:
    told = problem(client.patch(path, json=batch), 400, "invalid_request")
    assert told["errors"][0]["pointer"] == pointer


def test_several_are_read_by_their_names(client: httpx.Client, path: str) -> None:
    client.patch(path, json={"set": {name: {"value": name} for name in "abc"}})
    read = client.get(path, params={"names": "a,c,x"}).json()
    assert {name: each["value"] for name, each in read["variables"].items()} == {"a": "a", "c": "c"}
    assert read["missing"] == ["x"]
    for query in ("names=a,a", "x=1", "names=" + ",".join(map(str, range(1001)))):
        problem(client.get(f"{path}?{query}"), 400, "invalid_request")


def test_limits_hold(start_gateway) -> None:
    limits = {
        "SNAKEPIT_SESSIONS_VARIABLES_LIMIT": "3",
        "SNAKEPIT_SESSIONS_VARIABLE_SIZE": "1000B",
        "SNAKEPIT_SESSIONS_VARIABLES_SIZE": "2000B",
    }
    gateway = start_gateway("--workers", "1", env=limits)
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        path = client.post("/sessions").headers["location"] + "/variables"
        assert problem(put(client, f"{path}/x", "y" * 1000), 413, "variable_too_large")["limit"] == 1000
        assert put(client, f"{path}/x", "y" * 900).status_code == 200
        assert put(client, f"{path}/x", "y" * 900).status_code == 200
        told = problem(put(client, f"{path}/y", "y" * 990), 429, "session_quota_exceeded")
        assert (told["limit"], told["category"], told["retryable"]) == (2000, "limit", False)
        four = {"set": {name: {"value": 1} for name in "abc"}}
        assert problem(client.patch(path, json=four), 429, "session_quota_exceeded")["limit"] == 3
        assert client.patch(path, json={**four, "delete": ["x"]}).status_code == 200


def test_variables_count_among_what_all_sessions_keep(start_gateway) -> None:
    gateway = start_gateway("--workers", "1", env={"SNAKEPIT_SESSIONS_MEMORY_LIMIT": "2000B"})
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        first, second = (client.post("/sessions").headers["location"] for _ in range(2))
        assert put(client, f"{first}/variables/x", "y" * 1500).status_code == 200
        told = problem(put(client, f"{second}/variables/x", "y" * 1500), 429, "session_quota_exceeded")
        assert (told["limit"], told["retryable"]) == (2000, True)
        client.delete(first)
        assert put(client, f"{second}/variables/x", "y" * 1500).status_code == 200
