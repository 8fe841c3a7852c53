"""What is called and what it returns decides how a tool runs, not what a decorator has wrapped."""

import pytest

FOUND = [
    ("runs_later", 2),
    ("runs_later_tagged", {"__type__": "tuple", "__schema__": 1, "elements": [2]}),
    ("is_passed_on", 2),
    ("returns_a_coroutine", 2),
    ("is_collected", [2]),
    ("runs_together", 2),
]


@pytest.fixture(params=["process", "thread", "async"])
def decorated(request, _shared, gateway):
    """Starts workers of one profile."""
    started = []

    def start(adapter):
        slots = 1 if request.param == "process" else 8
        started.append(gateway.fork(_shared(f"decorated.{adapter}"), profile=request.param, slots=slots))
        return started[-1].stream

    yield start
    for worker in started:
        worker.kill()


@pytest.mark.parametrize("adapter", ["Decorated", "PerCall"])
def test_decorated_tools_run(decorated, adapter):
    stream = decorated(adapter)
    assert {tool: stream.value(tool, {"x": 1}) for tool, _ in FOUND} == dict(FOUND)


@pytest.mark.parametrize("adapter", ["Decorated", "PerCall"])
@pytest.mark.parametrize("profile", ["process", "thread"])
def test_plain_function_may_wait_for_an_async_one(_shared, gateway, adapter, profile):
    """In a loop of its own, which there can be none of in the loop of an ``async`` worker."""
    worker = gateway.fork(_shared(f"decorated.{adapter}"), profile=profile, slots=1)
    assert worker.stream.value("is_waited_for", {"x": 1}) == 2
    worker.kill()
