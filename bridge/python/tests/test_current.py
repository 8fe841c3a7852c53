"""Which call a thread works for."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from snakepit_bridge import BaseAdapter, CallContext, current
from snakepit_bridge.session_context import SessionContext


@pytest.fixture
def call(pb):
    token = current.running.set(CallContext(pb.Invoke(session_id="s"), 0))
    yield current.call()
    current.running.reset(token)


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_outside_of_calls_there_is_none():
    assert BaseAdapter().context is None


def test_a_thread_of_a_tools_own_is_told_how_to_get_the_call(call):
    found = in_a_thread(lambda: BaseAdapter().context)
    assert not found
    with pytest.raises(RuntimeError, match="copy_context"):
        found.call_tool("add")


def test_a_session_context_in_a_thread_of_a_tools_own_says_the_same(call):
    with pytest.raises(RuntimeError, match="copy_context"):
        in_a_thread(lambda: SessionContext().variables)


def test_a_thread_that_was_given_the_context_has_the_call(call):
    context = copy_context()
    assert in_a_thread(lambda: context.run(lambda: BaseAdapter().context)) is call
    assert asyncio.run(asyncio.to_thread(lambda: BaseAdapter().context)) is call


def test_for_the_sdk_itself_such_a_thread_has_no_call(call):
    found = []
    thread = threading.Thread(target=lambda: found.append((current.call(), BaseAdapter().session_id)))
    thread.start()
    thread.join()
    assert found == [(None, "")]
