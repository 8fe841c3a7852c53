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
    cache.put(1, [x], 1)
    now += cache_module.TTL - 0.1
    assert cache.get(1, "x") is x
    assert cache.get(1, "y") is None and cache.get(2, "x") is None
    now += 0.2
    assert cache.get(1, "x") is None


def test_what_others_write_makes_it_void(cache):
    cache.put(1, [variable("x"), variable("y")], 1)
    cache.invalidate(1, 2)
    assert cache.get(1, "x") is None and cache.get(1, "y") is None


def test_a_read_that_a_write_has_overtaken_is_not_remembered(cache):
    cache.invalidate(1, 2)
    cache.put(1, [variable("x")], 1)
    assert cache.get(1, "x") is None
    cache.put(1, [variable("x")], 2)
    assert cache.get(1, "x") is not None
    cache.written(1, ["y"], 3)
    cache.put(1, [variable("y")], 2)
    assert cache.get(1, "y") is None


def test_what_this_worker_writes_makes_only_that_void(cache):
    cache.put(1, [variable("x"), variable("y")], 1)
    cache.written(1, ["x"], 2)
    assert cache.get(1, "x") is None and cache.get(1, "y") is not None


def test_nothing_is_kept_of_a_session_whose_number_is_not_known(cache):
    cache.put(0, [variable("x")], 1)
    assert cache.get(0, "x") is None


def test_sessions_and_bytes_are_limited(cache, cache_module):
    cache.put(1, [variable("large", b"x" * (cache_module.MAX_VALUE + 1))], 0)
    assert cache.get(1, "large") is None
    for number in range(cache_module.MAX_SESSIONS + 5):
        cache.put(number + 2, [variable("x", b"x" * 60000)], 0)
    assert cache.get(2, "x") is None
    kept = [number for number in range(cache_module.MAX_SESSIONS + 5) if cache.get(number + 2, "x")]
    assert 0 < len(kept) * 60000 <= cache_module.MAX_BYTES


def test_the_time_can_be_chosen(cache):
    cache.put(1, [variable("x")], 0)
    cache.set_ttl(1, 0)
    assert cache.get(1, "x") is None
    cache.put(1, [variable("x")], 0)
    assert cache.get(1, "x") is None
    cache.set_ttl(1, 1)
    cache.put(1, [variable("x")], 0)
    assert cache.get(1, "x") is not None
    cache.clear(1)
    assert cache.get(1, "x") is None
