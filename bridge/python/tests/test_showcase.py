"""Snakepit's own example adapters, as they are.

They are not part of this repository: SNAKEPIT_CHECKOUT names a checkout of Snakepit. The showcase needs numpy and
psutil as well.
"""

import json
import os
import sys
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("SNAKEPIT_CHECKOUT", "")
ADAPTERS = Path(CHECKOUT) / "priv/python/snakepit_bridge/adapters"
EXTRA = os.environ.get("SNAKEPIT_CHECKOUT_PATH", "")  # further folders of packages, with colons between them

if not CHECKOUT:
    pytest.skip("SNAKEPIT_CHECKOUT is not set to a checkout of Snakepit", allow_module_level=True)
sys.path += [folder for folder in EXTRA.split(":") if folder]
pytest.importorskip("numpy")
pytest.importorskip("psutil")


@pytest.fixture(params=["process", "thread", "async"])
def showcase(request, package_root, gateway):
    from standin import Zygote

    zygote = Zygote(package_root, f"{ADAPTERS}:{EXTRA}".rstrip(":"))
    event = zygote.load("showcase.ShowcaseAdapter")
    assert event["event"] == "loaded", event
    worker = gateway.fork(zygote, profile=request.param, slots=4)
    yield worker
    worker.kill()
    zygote.stop()


CALLS = [
    ("ping", {}, lambda value: value["message"] == "pong"),
    ("echo", {"a": [1]}, lambda value: value == {"echoed": {"a": [1]}}),
    ("add", {"a": 1, "b": 2}, lambda value: value == 3),
    ("basic_add", {"a": 1, "b": 2}, lambda value: value == 3),
    ("basic_echo", {"message": "m"}, lambda value: value == {"echoed": {"message": "m"}}),
    ("adapter_info", {}, lambda value: value["adapter_name"] == "ShowcaseAdapter"),
    ("process_text", {"text": "ab", "operation": "reverse"}, lambda value: value["result"] == "ba"),
    ("get_stats", {}, lambda value: value["adapter"]["registered_tools"] == 11),
    ("telemetry_demo", {"delay_ms": 1}, lambda value: value["telemetry_enabled"] and value["correlation_id"] == "c"),
    ("set_counter", {"value": 4}, lambda value: value == {"value": 4}),
    ("increment_counter", {}, lambda value: value == {"value": 5}),
    ("get_counter", {}, lambda value: value == {"value": 5}),
    ("init_session", {}, lambda value: value["session_id"] == "s"),
    ("get_worker_info", {"call_number": 1}, lambda value: value["session_id"] == "s"),
    ("cleanup", {}, lambda value: value["command_count"] == 1),
    ("create_tensor", {"name": "t", "shape": [2, 3]}, lambda value: value["elements"] == 6),
    ("create_embedding", {"text": "t", "dimensions": 4}, lambda value: abs(value["norm"] - 1) < 1e-6),
    ("benchmark_encoding", {"end_kb": 2}, lambda value: len(value["results"]) == 1),
    ("cpu_bound_task", {"task_id": "t", "duration_ms": 1}, lambda value: value["task_id"] == "t"),
    ("sleep_task", {"duration_ms": 1, "task_number": 2}, lambda value: value["task_number"] == 2),
    ("lightweight_task", {"iteration": 3}, lambda value: value["result"] == 6),
    ("get_pool_stats", {}, lambda value: value["memory_mb"] > 0),
    ("load_sample_data", {"dataset": "iris", "split": 0.8}, lambda value: value["train_samples"] == 120),
    (
        "generate_features", {"method": "polynomial", "degree": 2, "interaction_only": False},
        lambda value: value["new_features"] == 77,
    ),
    ("select_features", {"method": "k", "k_best": 2}, lambda value: len(value["selected_features"]) == 2),
    ("cross_validate", {"cv_folds": 3}, lambda value: len(value["fold_accuracies"]) == 3),
    ("predict_single", {"features": {"a": 1.0}}, lambda value: 0.8 <= value["confidence"] <= 1),
    (
        "predict_batch_with_embeddings", {"batch_size": 2, "include_embeddings": True, "embedding_dim": 3},
        lambda value: value["embeddings_shape"] == [2, 3],
    ),
    ("execute_tool", {"tool_name": "ping", "arguments": {"message": "m"}}, lambda value: value["message"] == "m"),
]  # fmt: skip


def test_showcase_runs(showcase):
    for tool, arguments, is_right in CALLS:
        value = showcase.stream.value(tool, arguments, session_id="s", correlation_id="c")
        assert is_right(value), (tool, value)


def test_showcase_sees_and_calls_the_tools_of_the_other_side(showcase):
    """snakepit 60"""
    stream = showcase.stream
    listed = [{"name": "sum", "description": "", "parameters": {}}]
    missing = stream.invocation("call_elixir_demo", {"tool_name": "none"}, session_id="s")
    stream.invoke(missing)
    stream.reply(stream.tool_call(), listed)
    assert json.loads(stream.answer(missing.call_id).body)["available_tools"] == ["sum"]
    present = stream.invocation("call_elixir_demo", {"tool_name": "sum", "a": 1}, session_id="s")
    stream.invoke(present)
    stream.reply(stream.tool_call(1), listed)
    asked = stream.tool_call(2)
    assert (asked.tool.decode(), json.loads(asked.args)) == ("sum", {"a": 1})
    stream.reply(asked, 3)
    assert json.loads(stream.answer(present.call_id).body)["result"] == 3


def test_showcase_results_are_converted(showcase):
    """snakepit 77, 78"""
    value = showcase.stream.value("serialization_demo", {"demo_type": "all"})
    assert value["datetime_demo"]["preserved_number"] == 42
    assert value["custom_class_demo"]["nested"]["another_custom"]["__ffi_unserializable__"] is True
    assert value["convertible_demo"] == {
        "api_response": {"code": 200, "message": "OK"},
        "pydantic_like": {"field1": "value1", "field2": "value2"},
    }
    assert "sk-secret" not in str(value)


@pytest.mark.parametrize("kind, name", [("value", "ValueError"), ("runtime", "RuntimeError"), ("x", "Exception")])
def test_showcase_errors_keep_their_type(showcase, kind, name):
    """snakepit 70"""
    assert showcase.stream.call("error_demo", {"error_type": kind}).type == name


def test_showcase_streams_are_announced(showcase):
    streams = {item.name for item in showcase.stream.hello.tools if item.streaming}
    assert streams == {
        "stream_data", "stream_progress", "stream_fibonacci", "generate_dataset", "infinite_stream", "train_model",
    }  # fmt: skip


@pytest.mark.parametrize("profile", ["process", "thread"])
def test_threaded_showcase_runs(package_root, gateway, profile):
    from standin import Zygote

    zygote = Zygote(package_root, f"{ADAPTERS}:{EXTRA}".rstrip(":"))
    assert zygote.load("threaded_showcase.ThreadedShowcaseAdapter")["event"] == "loaded"
    worker = gateway.fork(zygote, profile=profile, slots=4)
    value = worker.stream.value
    assert value("ping", {"message": "m"})["message"] == "m"
    assert value("compute_intensive", {"data": [1.0, 2.0], "iterations": 5})["input_size"] == 2
    assert value("matrix_multiply", {"input_vector": [1.0] * 100})["output_size"] == 10
    assert value("batch_process", {"items": [{"a": 1}], "delay_ms": 0})["items_processed"] == 1
    assert value("stress_test", {"duration_ms": 5, "complexity": 10})["iterations"] > 0
    assert value("get_history")["returned"] == 1
    assert value("clear_caches")["status"] == "success"
    assert value("get_adapter_stats")["thread_safe"] is True
    worker.kill()
    zygote.stop()


def test_template_loads_and_says_what_it_is(package_root, gateway):
    from standin import Zygote

    zygote = Zygote(package_root, str(ADAPTERS))
    assert zygote.load("template.TemplateAdapter")["event"] == "loaded"
    worker = gateway.fork(zygote)
    assert worker.stream.value("get_info")["initialized"] is True
    assert worker.stream.call("execute_tool", {"tool_name": "x"}).type == "NotImplementedError"
    worker.kill()
    zygote.stop()
