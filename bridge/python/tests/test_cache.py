"""What a worker remembers of variables."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def cache_module(pb):
    from snakepit_bridge import cache

    return cache


@pytest.fixture
def cache(cache_module):
    return cache_module.Cache()


def variable(name, value=b"1"):
    return SimpleNamespace(name=name, value=value)


def test_what_was_read_is_remembered_for_a_while(cache, cache_module, monkeypatch):
    now = 100.0
    monkeypatch.setattr(cache_module.time, "monotonic", lambda: now)
    x = variable("x")
    cache.put("s", [x], 1)
    now += cache_module.TTL - 0.1
    assert cache.get("s", "x") is x
    assert cache.get("s", "y") is None and cache.get("t", "x") is None
    now += 0.2
    assert cache.get("s", "x") is None


def test_what_others_write_makes_it_void(cache):
    cache.put("s", [variable("x"), variable("y")], 1)
    cache.invalidate("s", 2)
    assert cache.get("s", "x") is None and cache.get("s", "y") is None


def test_a_read_that_a_write_has_overtaken_is_not_remembered(cache):
    cache.invalidate("s", 2)
    cache.put("s", [variable("x")], 1)
    assert cache.get("s", "x") is None
    cache.put("s", [variable("x")], 2)
    assert cache.get("s", "x") is not None
    cache.written("s", ["y"], 3)
    cache.put("s", [variable("y")], 2)
    assert cache.get("s", "y") is None


def test_what_this_worker_writes_makes_only_that_void(cache):
    cache.put("s", [variable("x"), variable("y")], 1)
    cache.written("s", ["x"], 2)
    assert cache.get("s", "x") is None and cache.get("s", "y") is not None


def test_a_session_that_is_over_is_forgotten_with_its_revisions(cache):
    cache.put("s", [variable("x")], 7)
    cache.invalidate("s", 8)
    cache.forget("s")
    cache.put("s", [variable("x")], 0)
    assert cache.get("s", "x") is not None


def test_sessions_and_bytes_are_limited(cache, cache_module):
    cache.put("s", [variable("large", b"x" * (cache_module.MAX_VALUE + 1))], 0)
    assert cache.get("s", "large") is None
    for number in range(cache_module.MAX_SESSIONS + 5):
        cache.put(f"s{number}", [variable("x", b"x" * 60000)], 0)
    assert cache.get("s0", "x") is None
    kept = [number for number in range(cache_module.MAX_SESSIONS + 5) if cache.get(f"s{number}", "x")]
    assert 0 < len(kept) * 60000 <= cache_module.MAX_BYTES


def test_the_time_can_be_chosen(cache):
    cache.put("s", [variable("x")], 0)
    cache.set_ttl("s", 0)
    assert cache.get("s", "x") is None
    cache.put("s", [variable("x")], 0)
    assert cache.get("s", "x") is None
    cache.set_ttl("s", 1)
    cache.put("s", [variable("x")], 0)
    assert cache.get("s", "x") is not None
    cache.clear("s")
    assert cache.get("s", "x") is None
