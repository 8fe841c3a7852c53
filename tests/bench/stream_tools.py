"""Streams to be measured. A chunk that says when it was yielded says so on the clock of time.monotonic_ns()."""

import asyncio
import random
import time
from typing import AsyncIterator, Iterator

from snakepit_bridge import tool

SMALL = "a small chunk~"
LARGE = "x" * 65536


@tool
def small(count: int) -> Iterator[str]:
    """Small chunks, as fast as they are taken."""
    for _ in range(count):
        yield SMALL


@tool
def large(count: int) -> Iterator[str]:
    """Chunks of 64 KiB, as fast as they are taken."""
    for _ in range(count):
        yield LARGE


@tool
def first() -> Iterator[int]:
    """One chunk."""
    yield time.monotonic_ns()


@tool
async def ticks(count: int) -> AsyncIterator[int]:
    """One chunk a second, from some moment of the first one on."""
    await asyncio.sleep(random.random())
    for _ in range(count):
        yield time.monotonic_ns()
        await asyncio.sleep(1)
