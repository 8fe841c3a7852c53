"""Tools under decorators that change how a function runs."""

import asyncio
import functools

from snakepit_bridge import BaseAdapter, tool


def waited_for(function):
    @functools.wraps(function)
    def run(*args, **arguments):
        return asyncio.run(function(*args, **arguments))

    return run


def later(function):
    @functools.wraps(function)
    async def run(*args, **arguments):
        await asyncio.sleep(0)
        return function(*args, **arguments)

    return run


def passed_on(function):
    @functools.wraps(function)
    def run(*args, **arguments):
        return function(*args, **arguments)

    return run


def collected(function):
    @functools.wraps(function)
    async def run(*args, **arguments):
        return [item async for item in function(*args, **arguments)]

    return run


class Decorated(BaseAdapter):
    @tool
    @waited_for
    async def is_waited_for(self, x: int):
        return x + 1

    @tool
    @later
    def runs_later(self, x: int):
        return x + 1

    @tool(tagged=True)
    @later
    def runs_later_tagged(self, x: int):
        return (x + 1,)

    @tool
    @passed_on
    async def is_passed_on(self, x: int):
        return x + 1

    @tool
    def returns_a_coroutine(self, x: int):
        async def found():
            await asyncio.sleep(0)
            return x + 1

        return found()

    @tool
    @collected
    async def is_collected(self, x: int):
        yield x + 1

    @tool(batch=True)
    @later
    def runs_together(self, calls):
        return [call["x"] + 1 for call in calls]


class PerCall(Decorated):
    scope = "call"

    def initialize(self):
        self.is_open = True

    def cleanup(self):
        self.is_open = False

    @tool
    def returns_a_coroutine(self, x: int):
        async def found():
            await asyncio.sleep(0)
            return x + self.is_open

        return found()
