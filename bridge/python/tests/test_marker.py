"""What stands for values that cannot be converted (snakepit 78 to 81)."""

import json

import pytest

from snakepit_bridge import marker, telemetry, values
from snakepit_bridge.marker import Markers


class Client:
    asked = 0

    def __init__(self, text="Client(api_key='hunter2', 'Bearer abc.def')"):
        self.text = text

    def __repr__(self):
        Client.asked += 1
        return self.text


class Broken:
    def __repr__(self):
        raise OSError("no repr")


@pytest.fixture
def events():
    kept = telemetry.Buffer()
    telemetry.set_backend(kept)
    yield kept
    telemetry.set_backend(telemetry.gateway)


def test_marker_has_the_type_alone_and_never_asks_for_a_repr():
    """snakepit 79"""
    Client.asked = 0
    assert Markers().mark(Client()) == {"__ffi_unserializable__": True, "__type__": "test_marker.Client"}
    assert Client.asked == 0


def test_rest_of_the_value_survives():
    """snakepit 78"""
    value = json.loads(values.encode({"a": [1, {"b": Client(), "c": "kept"}]}))
    assert value["a"][0] == 1 and value["a"][1]["c"] == "kept"
    assert marker.is_marker(value["a"][1]["b"])


def test_deep_value_keeps_its_marker():
    """snakepit 78"""
    value = Client()
    for _ in range(50):
        value = {"in": [value]}
    assert b"__ffi_unserializable__" in values.encode(value)


def test_type_mode_gives_a_placeholder():
    Client.asked = 0
    assert Markers("type").mark(Client())["__repr__"] == "<unserializable test_marker.Client>"
    assert Client.asked == 0


def test_repr_is_truncated():
    """snakepit 79"""
    assert Markers("repr_truncated", 20).mark(Client("x" * 100))["__repr__"] == "x" * 20


def test_length_is_at_most_2000():
    """snakepit 79"""
    assert len(Markers("repr_truncated", 10**9).mark(Client("x" * 9999))["__repr__"]) == 2000


@pytest.mark.parametrize("text, length", [("many", 500), ("", 500), (" 200 ", 200), ("-100", 0)])
def test_limit_that_makes_no_sense_falls_back(text, length):
    """snakepit 79"""
    assert Markers.from_environment({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": text}).repr_length == length


def test_unknown_mode_gives_no_repr():
    assert "__repr__" not in Markers.from_environment({"SNAKEPIT_UNSERIALIZABLE_DETAIL": "all"}).mark(Client())


def test_failing_repr_is_said():
    assert Markers("repr_truncated").mark(Broken())["__repr__"] == "<repr failed for test_marker.Broken>"


def test_secret_is_redacted_before_it_is_cut():
    assert "hunter" not in Markers("repr_redacted_truncated", 24).mark(Client())["__repr__"]


SECRETS = [
    ("Authorization: Bearer eyJhbGciOi.JIUzI1", "eyJhbGciOi"),
    ("bearer abc-def_123", "abc-def"),
    ("key sk-abcdefghijklmnop", "abcdefghijklmnop"),
    ("sk-proj-abcdef_ghijkl", "abcdef"),
    ('{"api_key": "my-secret-key"}', "my-secret-key"),
    ("{'token': 'abc123'}", "abc123"),
    ('"secret":"super secret"', "super"),
    ('password = "hunter2"', "hunter2"),
    ("Client(api_key=hunter2)", "hunter2"),
    ("access_token='abc", "abc"),
]


@pytest.mark.parametrize("text, secret", SECRETS)
def test_secret_is_redacted(text, secret):
    """snakepit 79"""
    assert secret not in marker.redact(text) and "<REDACTED>" in marker.redact(text)


def test_other_text_is_kept():
    """snakepit 79"""
    assert marker.redact("a token of my esteem for the bearer") == "a token of my esteem for the bearer"


@pytest.mark.parametrize("value", [{"__ffi_unserializable__": 1}, {"__ffi_unserializable__": "true"}, {}, None, []])
def test_only_true_makes_a_marker(value):
    """snakepit 81"""
    assert not marker.is_marker(value) and marker.info(value) is None


def test_fields_of_a_marker_are_optional():
    """snakepit 81"""
    assert marker.info({"__ffi_unserializable__": True}) == {}
    assert marker.info(Markers("type").mark(1)) == {"type": "builtins.int", "repr": "<unserializable builtins.int>"}


def test_event_tells_of_each_type_once(events):
    """snakepit 80"""
    markers = Markers("repr_truncated")
    for _ in range(3):
        markers.mark(Client("sk-supersecretkey"))
    (event,) = events.take()
    assert (event.name, event.measurements) == ("serialization.unserializable_marker", {"first_seen": 1})
    assert event.metadata == {"type": "test_marker.Client"}


def test_types_that_are_told_of_are_limited(events, monkeypatch):
    """snakepit 80"""
    monkeypatch.setattr(marker, "TYPES_MAX", 3)
    markers = Markers()
    for number in range(5):
        markers.mark(type(f"Kind{number}", (), {})())
    assert len(events.take()) == 3


def test_backend_that_fails_spoils_nothing(capsys):
    class Failing(telemetry.TelemetryBackend):
        pass

    telemetry.set_backend(Failing())
    try:
        assert marker.is_marker(Markers().mark(Client()))
    finally:
        telemetry.set_backend(telemetry.gateway)
