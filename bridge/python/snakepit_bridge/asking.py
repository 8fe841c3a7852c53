"""Asking the gateway for something in the name of a running call, and waiting for what it answers."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Optional

from .errors import Cancelled
from .gate import Gate

running_loop = asyncio._get_running_loop


class Waiter:
    """One request and, in the end, its reply. Written by the reading thread."""

    __slots__ = ("body", "call_id", "error", "gate", "id", "is_over", "reply", "tool")

    def __init__(self, call_id: int, number: int, tool: str) -> None:
        """``tool`` is what is called, empty for variables."""
        self.call_id = call_id
        self.id = number
        self.tool = tool
        self.gate = Gate()
        self.reply: Any = None
        self.body: Any = b""
        self.error: Optional[Exception] = None  # why there is no reply, though somebody waits for what asked
        self.is_over = False  # the reply is there, or it is not waited for any more

    def ready(self) -> bool:
        return self.is_over

    def end(self, reply: Any = None, body: Any = b"") -> None:
        """``body``: that of a reply which does not have it in itself."""
        self.reply = reply
        self.body = body
        self.is_over = True
        self.gate.open()

    def answer(self) -> Any:
        """The reply. Raises Cancelled, and ToolCallError if only one call of a batch is cancelled."""
        if self.reply is None:
            raise self.error or Cancelled("nobody waits for this call any more")
        return self.reply


class Asker:
    """Asks on behalf of one call. Whoever asks gives a function that sends the request and returns its Waiter."""

    __slots__ = ("_call_id", "_ground", "_requests")

    def __init__(self, call_id: int, ground: Any) -> None:
        """``ground`` is what runs the call: it knows how its thread pauses, as for Feed."""
        self._call_id = call_id
        self._ground = ground
        self._requests = ground.requests

    def _block(self, pause: Callable[..., Any], send: Callable[[], Waiter], note: Callable[[Waiter], Any]) -> Waiter:
        """Ask, and ``pause`` this thread. ``note`` sees the reply before anything may interrupt."""
        ground = self._ground
        entered = ground.step_out()
        try:
            waiter = send()
            pause(waiter.gate, waiter.ready)
            note(waiter)
        finally:
            ground.step_in(entered)
        return waiter

    async def _wait(self, send: Callable[[], Waiter]) -> Waiter:
        """Ask, and suspend this task."""
        ground = self._ground
        entered = ground.step_aside()
        try:
            waiter = send()
            ground.expect()
        finally:
            ground.step_in(entered)
        try:
            await waiter.gate.wait(waiter.ready)
        finally:
            if not waiter.is_over:
                self._undisturbed(self._requests.give_up, waiter)
        return waiter

    def _undisturbed(self, step: Callable[..., Any], *arguments: Any) -> None:
        """Do what an interrupt must not come into the middle of."""
        entered = self._ground.step_aside()
        try:
            step(*arguments)
        finally:
            self._ground.step_in(entered)
