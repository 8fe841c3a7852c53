"""The tools of waiting.py, where a module has set a policy for event loops, as uvloop does."""

import asyncio

import waiting
from snakepit_bridge import tool


class OtherLoop(asyncio.SelectorEventLoop):
    """Not asyncio's own."""


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes it."""

    _loop_factory = OtherLoop


asyncio.set_event_loop_policy(Policy())


class Waiting(waiting.Waiting):
    """With one more."""

    @tool
    async def kind(self) -> str:
        """What runs it."""
        return type(asyncio.get_running_loop()).__name__
