"""Drives the generators of streaming tools."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator
from typing import Any

from .errors import Cancelled


def run(value: Any, feed: Any, ground: Any, call_id: int) -> Any:
    """What becomes of what a streaming tool's function returned: its last value, when ``feed`` has had all others.

    For the thread of a tool, without a loop. ``ground`` runs the call; it has been entered.
    """
    if inspect.iscoroutine(value):
        value = ground.loop.run(value)
    if hasattr(value, "__anext__"):
        value = ground.loop.run(iterate_in_loop(value, feed))
    elif hasattr(value, "__next__"):
        value = _iterate(value, feed, ground, call_id)
    entered = ground.step_out()
    feed.drain()
    ground.step_in(entered)
    return value


async def run_in_loop(value: Any, feed: Any) -> Any:
    """The same for a task of a loop."""
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "__anext__"):
        value = await iterate_in_loop(value, feed)
    await feed.drain_in_loop()
    return value


def _iterate(source: Any, feed: Any, ground: Any, call_id: int) -> Any:
    returned: list[Any] = []
    generator = _keep_return(source, returned)
    put, block, step_out, step_in = feed.put, feed.block, ground.step_out, ground.step_in
    try:
        for value in generator:
            step_out()
            if put(value):
                block()
            step_in(call_id)
    except BaseException as error:
        step_out()
        if generator.gi_frame is not None:  # it hangs at a yield, and the error is not its own
            return _end(generator, error, returned)
        raise
    return returned[0]


def _keep_return(source: Any, returned: list[Any]) -> Generator[Any, Any, None]:
    returned.append((yield from source))


def _end(generator: Generator[Any, Any, None], error: BaseException, returned: list[Any]) -> Any:
    """Let a generator clean up. One that is cancelled may still return something."""
    if issubclass(type(error), Cancelled):
        try:
            generator.throw(error)
        except StopIteration:
            return returned[0]
    generator.close()
    raise error


async def iterate_in_loop(source: Any, feed: Any) -> None:
    """Emit what an async iterator yields."""
    put, wait = feed.put, feed.wait
    try:
        async for value in source:
            if put(value):
                await wait()
    except BaseException as error:
        await _end_in_loop(source, error)
        raise


async def _end_in_loop(source: Any, error: BaseException) -> None:
    """Let an async generator clean up, if it has not ended."""
    if getattr(source, "ag_frame", None) is None:
        return
    if issubclass(type(error), (Cancelled, asyncio.CancelledError)):
        try:
            await source.athrow(error)
        except StopAsyncIteration:
            return
    await source.aclose()
