"""The names of Snakepit's package that adapters import, and what they do here (snakepit, section 5)."""

import asyncio
import importlib
import json
import math
import threading

import pytest

import snakepit_bridge
from snakepit_bridge import HeartbeatClient, HeartbeatConfig, ZeroCopyRef, telemetry, values
from snakepit_bridge.base_adapter_threaded import ThreadSafetyChecker
from snakepit_bridge.serialization import GracefulJSONEncoder, TypeSerializer

NAMES = {
    "snakepit_bridge": "SessionContext HeartbeatClient HeartbeatConfig configure_logging get_logger ZeroCopyRef",
    "snakepit_bridge.base_adapter": "BaseAdapter tool",
    "snakepit_bridge.base_adapter_threaded": "ThreadSafeAdapter thread_safe_method require_thread_safe",
    "snakepit_bridge.heartbeat": "HeartbeatClient HeartbeatConfig",
    "snakepit_bridge.logging_config": "configure_logging get_logger",
    "snakepit_bridge.serialization": "TypeSerializer GracefulJSONEncoder",
    "snakepit_bridge.session_context": "SessionContext",
    "snakepit_bridge.telemetry": "emit span set_backend get_backend is_enabled otel_span GrpcBackend StderrBackend",
    "snakepit_bridge.thread_safety_checker": "ThreadSafetyChecker",
    "snakepit_bridge.zero_copy": "ZeroCopyRef",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_can_be_imported(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


def test_all_names_of_the_package_are_there():
    assert [name for name in snakepit_bridge.__all__ if not hasattr(snakepit_bridge, name)] == []


def test_heartbeat_configuration_takes_any_spelling():
    config = HeartbeatConfig.from_mapping({"intervalMs": "500", "enabled": "no", "jitter_ms": "x", "other": 1})
    assert (config.interval_ms, config.enabled, config.jitter_ms, config.timeout_ms) == (500, False, 0, 10_000)
    assert HeartbeatConfig.from_mapping(None, defaults=config) == config


def test_heartbeat_client_does_nothing():
    client = HeartbeatClient(None, "s", HeartbeatConfig(dependent=False), loop=None)
    assert client.start() is False
    assert asyncio.run(client.ping_once()) is None
    asyncio.run(client.stop())
    assert (client.status()["running"], client.status()["dependent"]) == (False, False)


def test_zero_copy_handle_is_what_it_says():
    payload = {"__snakepit_zero_copy__": True, "kind": "dlpack", "shape": [2]}
    handle = ZeroCopyRef.from_payload(payload)
    assert (handle.kind, handle.shape, handle.device, handle.to_payload()) == ("dlpack", [2], None, payload)
    assert json.loads(values.encode([handle])) == [payload]


@pytest.mark.parametrize(
    "value, kind, back",
    [
        (1, "float", 1.0), (math.inf, "float", math.inf), (2.0, "integer", 2), (True, "boolean", True),
        (5, "string", "5"), ([1, 2], "embedding", [1.0, 2.0]), ({"a": [1]}, "map", {"a": [1]}),
        ({"shape": [1], "data": [2]}, "tensor", {"shape": [1], "data": [2]}),
    ],
)  # fmt: skip
def test_typed_values_come_back(value, kind, back):
    """snakepit 75"""
    message, binary = TypeSerializer.encode_any(value, kind)
    assert (message.type_url, binary) == (f"type.googleapis.com/snakepit.{kind}", None)
    assert TypeSerializer.decode_any(message) == back


def test_a_handle_comes_back_as_one():
    payload = {"__snakepit_zero_copy__": True, "kind": "arrow"}
    message, _ = TypeSerializer.encode_any(ZeroCopyRef(payload), "map")
    assert TypeSerializer.decode_any(message).kind == "arrow"


@pytest.mark.parametrize(
    "value, kind", [("1", "float"), (1.5, "integer"), (1, "boolean"), ("a", "embedding"), (1, "tensor")]
)
def test_value_of_another_type_is_refused(value, kind):
    """snakepit 76"""
    with pytest.raises(ValueError):
        TypeSerializer.encode_any(value, kind)


def test_pickled_values_are_not_taken():
    message, _ = TypeSerializer.encode_any([1], "embedding")
    message.type_url += ".binary"
    with pytest.raises(ValueError, match="pickled"):
        TypeSerializer.decode_any(message, b"")


@pytest.mark.parametrize(
    "kind, constraints, good, bad",
    [
        ("float", {"min": 0, "max": 1}, 0.5, -1), ("integer", {"max": 3}, 3, 4),
        ("string", {"min_length": 2}, "ab", "a"),
        ("choice", {"choices": ["a"]}, "a", "b"), ("module", {"allowed_modules": ["os"]}, "os", "re"),
        ("embedding", {"dimensions": 2}, [1, 2], [1]), ("tensor", {"shape": [1]}, {"shape": [1]}, {"shape": [2]}),
    ],
)  # fmt: skip
def test_constraints_hold(kind, constraints, good, bad):
    """snakepit 76"""
    TypeSerializer.validate_constraints(good, kind, constraints)
    with pytest.raises(ValueError):
        TypeSerializer.validate_constraints(bad, kind, constraints)


def test_encoder_marks_what_json_lacks():
    told = json.loads(json.dumps({"a": {1}, "b": object()}, cls=GracefulJSONEncoder))
    assert (told["a"], told["b"]["__type__"]) == ([1], "builtins.object")


def entered_twice(checker):
    checker.check_method_access("run")
    failed = []

    def enter():
        try:
            checker.check_method_access("run")
        except RuntimeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return failed


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_checker_tells_what_several_threads_enter():
    with ThreadSafetyChecker() as checker, checker.track_execution("run"):
        assert entered_twice(checker) == []
    report = checker.get_report()
    assert (report["concurrent_accesses"], report["warnings"]) == ({"run": 2}, ["run_concurrent"])
    assert (report["total_threads_seen"], report["total_methods_tracked"]) == (2, 1)


def test_strict_checker_raises():
    assert entered_twice(ThreadSafetyChecker(strict_mode=True)) == ["method 'run' is entered by 2 threads"]


def test_checker_that_is_off_says_nothing():
    checker = ThreadSafetyChecker(enabled=False, strict_mode=True)
    assert entered_twice(checker) == [] and checker.check_library_safety({"sqlite3"}) == []


def test_checker_warns_once_of_a_library():
    checker = ThreadSafetyChecker()
    with pytest.warns(RuntimeWarning, match="sqlite3"):
        assert len(checker.check_library_safety({"sqlite3", "json"})) == 1
    assert checker.check_library_safety({"sqlite3"}) == []


def test_grpc_backend_sends_to_the_gateway(monkeypatch):
    kept = telemetry.Buffer()
    monkeypatch.setattr(telemetry, "gateway", kept)
    monkeypatch.setattr(telemetry, "_backend", telemetry.GrpcBackend())
    telemetry.emit("a.b", {"n": 1})
    assert [event.name for event in kept.take()] == ["a.b"]
