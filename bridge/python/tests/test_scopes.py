"""Objects per worker, session and call, and the hooks around them."""

import asyncio
import sys
import time
import types
from pathlib import Path

import pytest

from snakepit_bridge import CallContext, current, loading, scopes, tool
from snakepit_bridge.errors import LoadError
from striking import Ground

sys.path.append(str(Path(__file__).parent / "adapters"))


class Loop:
    def call(self, hook):
        value = hook()
        return asyncio.run(value) if asyncio.iscoroutine(value) else value


@pytest.fixture
def notes(monkeypatch, tmp_path):
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES_FILE", str(path))
    return lambda: path.read_text().split("\n")[:-1]


@pytest.fixture
def start(pb):
    """Load an adapter; returns its place and a function that calls its tools in a session."""

    def load(name):
        adapter = loading.Adapter(name)
        place = adapter.start(Loop())
        found = {item.name: item for item in adapter.tools}

        def call(tool, session_id=""):
            token = current.running.set(CallContext(pb.Invoke(session_id=session_id), 0))
            try:
                value = found[tool].function()
                return asyncio.run(value) if found[tool].is_async else value
            finally:
                current.running.reset(token)

        return place, call

    return load


@pytest.mark.parametrize("tool", ["count", "count_later"])
def test_worker_has_one_object(start, tool):
    _, call = start("scoped.Counting")
    assert [call(tool, session)["calls"] for session in ("a", "b", "a")] == [1, 2, 3]


@pytest.mark.parametrize("tool", ["count", "count_later"])
def test_session_has_an_object_of_its_own(start, tool):
    _, call = start("scoped.PerSession")
    assert [call(tool, session)["calls"] for session in ("a", "b", "a")] == [1, 1, 2]


@pytest.mark.parametrize("tool", ["count", "count_later"])
def test_call_has_an_object_of_its_own(start, notes, tool):
    """snakepit 63"""
    _, call = start("scoped.PerCall")
    assert [call(tool)["calls"] for _ in range(2)] == [1, 1]
    assert notes() == ["initialize", "cleanup after 1"] * 2


def test_object_of_a_failed_call_is_cleaned_up(start, notes):
    """snakepit 63"""
    _, call = start("scoped.PerCall")
    with pytest.raises(KeyError):
        call("fails")
    assert notes() == ["initialize", "cleanup after 0"]


@pytest.mark.parametrize("tool", ["count", "count_later"])
def test_session_begins_once(start, tool):
    _, call = start("scoped.Counting")
    for session in ("a", "a", "b", "", "a"):
        told = call(tool, session)
    assert told["begun"] == ["a", "b"]


def test_least_recently_used_session_is_given_up(start, notes):
    _, call = start("scoped.PerSession")
    for session in ("a", "b", "a", "c"):
        call("count", session)
    assert [note for note in notes() if note.startswith("cleanup")] == ["cleanup after 1"]
    assert call("count", "a")["calls"] == 3
    assert call("count", "b") == {"calls": 1, "begun": ["b"], "session": "b"}


def test_session_that_ends_takes_its_object_along(start, notes):
    place, call = start("scoped.PerSession")
    call("count", "a")
    place.end_session("a")
    place.end_session("a")
    assert notes()[-1] == "cleanup after 1"
    assert call("count", "a")["calls"] == 1


def test_worker_that_leaves_cleans_all_objects_up(start, notes):
    place, call = start("scoped.PerSession")
    call("count", "a")
    call("count", "b")
    place.cleanup()
    assert notes().count("cleanup after 1") == 2


@pytest.mark.parametrize("tool", ["count", "count_later"])
def test_hooks_may_be_async(start, notes, tool):
    """snakepit 63"""
    place, call = start("scoped.AsyncHooks")
    assert call(tool, "a")["begun"] == ["a"]
    place.cleanup()
    assert notes() == ["initialize later", "cleanup later after 1"]


def test_session_that_cannot_begin_fails_its_call_alone(start):
    _, call = start("scoped.Picky")
    for _ in range(2):
        with pytest.raises(ValueError, match="not this one"):
            call("count", "bad")
    assert call("count", "good")["calls"] == 1


def test_unknown_scope_is_an_error():
    class Odd:
        scope = "universe"

    with pytest.raises(LoadError, match="universe"):
        scopes.place_for(Odd, Loop())


@pytest.mark.parametrize("scope", scopes.SCOPES)
def test_what_a_generator_returns_is_kept_in_every_scope(scope):
    from snakepit_bridge import tools

    class Summing:
        @tool
        def sums(self):
            yield 1
            return "sum"

    Summing.scope = scope
    (item,) = tools.collect(Summing)
    scopes.place_for(Summing, Loop()).bind(item, lambda instance: instance.sums)
    items = item.function()
    assert next(items) == 1
    with pytest.raises(StopIteration) as ended:
        next(items)
    assert ended.value.value == "sum"


class Streaming:
    scope = "call"
    cleaned = 0

    def cleanup(self):
        Streaming.cleaned += 1

    @tool
    def counts(self, n: int = 3):
        yield from range(n)

    @tool
    async def counts_later(self, n: int = 3):
        for number in range(n):
            yield number


def stream_of(name):
    from snakepit_bridge import tools

    (item,) = [item for item in tools.collect(Streaming) if item.name == name]
    Streaming.cleaned = 0
    scopes.CallPlace(Streaming).bind(item, lambda instance: getattr(instance, name))
    return item.function()


def test_stream_keeps_its_object_until_its_end():
    """snakepit 63"""
    items = stream_of("counts")
    assert next(items) == 0 and Streaming.cleaned == 0
    assert list(items) == [1, 2] and Streaming.cleaned == 1


def test_stream_that_is_closed_is_cleaned_up():
    """snakepit 63"""
    items = stream_of("counts")
    next(items)
    items.close()
    assert Streaming.cleaned == 1


def test_async_stream_that_is_closed_is_cleaned_up():
    """snakepit 63"""

    async def run():
        items = stream_of("counts_later")
        assert await items.__anext__() == 0
        await items.aclose()

    asyncio.run(run())
    assert Streaming.cleaned == 1


@pytest.mark.parametrize("later", [False, True], ids=["cleanup", "async cleanup"])
@pytest.mark.parametrize("error", [None, KeyError])
def test_cleanup_that_fails_leaves_an_async_tools_outcome_as_it_is(error, later):
    class Fails:
        scope = "call"

        def cleanup(self):
            if not later:
                raise ValueError("cleanup")
            return self.clean_later()

        async def clean_later(self):
            raise ValueError("cleanup")

        async def run(self):
            if error:
                raise error("first")
            return 1

    bound = []
    item = types.SimpleNamespace(bind=bound.append, is_async=True)
    scopes.place_for(Fails, Loop()).bind(item, lambda instance: instance.run)
    if error is None:
        assert asyncio.run(bound[0]()) == 1
    else:
        with pytest.raises(error):
            asyncio.run(bound[0]())


# In workers.


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_sessions_are_kept_apart_in_every_profile(zygotes, gateway, profile):
    zygote = zygotes()
    zygote.load("scoped.PerSession")
    worker = gateway.fork(zygote, profile=profile, slots=4)
    invocations = [
        worker.stream.invocation(tool, session_id=session)
        for tool in ("count", "count_later")
        for session in ("a", "b", "a", "b")
    ]
    worker.stream.invoke(*invocations)
    for invocation in invocations:
        worker.stream.answer(invocation.call_id)
    told = worker.stream.value("count", session_id="a")
    assert told == {"calls": 5, "begun": ["a"], "session": "a"}
    worker.kill()


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_worker_told_to_stop_cleans_up_its_sessions(zygotes, gateway, tmp_path, profile):
    path = tmp_path / "notes"
    zygote = zygotes(NOTES_FILE=str(path))
    zygote.load("scoped.AsyncHooks")
    worker = gateway.fork(zygote, profile=profile, slots=4)
    worker.stream.value("count", session_id="a")
    worker.stream.stop()
    assert worker.exit_status() == 0
    assert path.read_text() == "initialize later\ncleanup later after 1\n"


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_a_worker_goes_on_when_a_cleanup_exits(zygotes, gateway, profile):
    zygote = zygotes()
    zygote.load("scoped.Exiting")
    worker = gateway.fork(zygote, profile=profile, slots=4)
    worker.stream.value("count", session_id="a")
    worker.stream.send(worker.stream.pb.GatewayFrame(ended_sessions=["a"]))
    assert worker.stream.value("count", session_id="a")["calls"] == 1
    worker.kill()


def seconds_of_a_call(place, pb, sessions):
    """The best of several, with so many sessions that have begun."""
    for number in range(sessions):
        token = current.running.set(CallContext(pb.Invoke(session_id=f"s{number}"), 0))
        place.close(place.open())
        current.running.reset(token)
    token = current.running.set(CallContext(pb.Invoke(session_id="s0"), 0))
    best = 1.0
    for _ in range(50):
        begun = time.perf_counter()
        for _ in range(20):
            place.close(place.open())
        best = min(best, time.perf_counter() - begun)
    current.running.reset(token)
    return best / 20


@pytest.mark.parametrize("name", ["Counting", "PerSession"])
def test_a_call_costs_the_same_with_many_sessions(pb, name, monkeypatch):
    import scoped

    monkeypatch.setattr(scoped.PerSession, "session_objects_max", 10_000)
    few, many = (scopes.place_for(getattr(scoped, name), Loop()) for _ in range(2))
    assert seconds_of_a_call(many, pb, 9000) < 10 * seconds_of_a_call(few, pb, 10)


@pytest.mark.parametrize("scope", ["session", "call"])
@pytest.mark.parametrize("later", [False, True])
def test_a_generator_that_was_never_begun_gives_its_object_back(scope, later):
    cleaned = []

    class Streams:
        def cleanup(self):
            cleaned.append(1)

        def items(self):
            yield 1

        async def items_later(self):
            yield 1

    Streams.scope = scope
    place = scopes.place_for(Streams, Loop())
    bound = []
    name = "items_later" if later else "items"
    one = types.SimpleNamespace(bind=bound.append, is_async=False, in_loop=False)
    place.bind(one, lambda instance: getattr(instance, name))
    items = bound[0]()
    if later:
        asyncio.run(items.aclose())
    else:
        items.close()
    place.end_session("")  # which leaves alone what is in use
    assert cleaned == [1]


def struck(pb, function, strike_at):
    """Run a tool in the session "a", cancelled at that moment. Returns whether it came to that."""
    ground = Ground(strike_at)
    token = current.running.set(CallContext(pb.Invoke(session_id="a", call_id=7), 0, None, ground))
    ground.run(function)
    current.running.reset(token)
    return ground.has_struck


@pytest.mark.parametrize("name", ["plain", "items"])
def test_a_call_that_is_cancelled_at_any_moment_gives_its_object_back(pb, name):
    alive = []

    class Kept:
        scope = "session"

        def initialize(self):
            alive.append(self)

        def cleanup(self):
            alive.remove(self)

        def plain(self):
            return 1

        def items(self):
            yield 1

    place = scopes.place_for(Kept, Loop())
    bound = []
    one = types.SimpleNamespace(bind=bound.append, is_async=False, in_loop=False)
    place.bind(one, lambda instance: getattr(instance, name))
    strike_at, is_struck = 0, True
    while is_struck:
        strike_at += 1
        struck(pb, bound[0], 0)  # so that making it is not what is interrupted
        is_struck = struck(pb, bound[0], strike_at)
        place.end_session("a")
        assert not alive, strike_at
    assert strike_at > 10
