"""What the running calls of a worker ask the gateway for, and wait for: tools and variables."""

from __future__ import annotations

import itertools
import os
from typing import Any, NoReturn

from . import bridge_pb2 as pb
from . import parcel
from .asking import Waiter
from .cache import Cache
from .errors import ToolCallError
from .toolcalls import Caller
from .variables import Variables


class Requests:
    """All that wait. take() and take_variables() are for the thread that reads the stream, the others for any.

    ``cache`` is what is known of variables.
    """

    def __init__(self, outbox: Any) -> None:
        self.cache = Cache()
        self._outbox = outbox
        self._ids = itertools.count(1)
        self._waiting: dict[int, Waiter] = {}
        os.register_at_fork(after_in_child=self._leave_child)

    def _leave_child(self) -> None:
        """A child that a tool has forked asks for nothing: it would read the stream in its parent's place."""
        self.wait = _refuse  # type: ignore[method-assign]

    def caller(self, call_id: int, ground: Any) -> Caller:
        """What that call asks for tools with; ``ground`` is what runs it."""
        return Caller(call_id, ground)

    def variables(self, invoke: Any, ground: Any) -> Variables:
        """What it reads and writes the variables of its session with."""
        return Variables(invoke, ground)

    def wait(self, call_id: int, tool: str = "") -> Waiter:
        """Expect the reply to a request that is sent next."""
        waiter = Waiter(call_id, next(self._ids), tool)
        self._waiting[waiter.id] = waiter
        return waiter

    def send_large(self, request: Any, values: list[tuple[Any, Any]]) -> None:
        """See Outbox.send_large()."""
        self._outbox.send_large(request, values)

    def send(self, request: Any) -> None:
        self._outbox.put(request)
        self._outbox.flush()

    def give_up(self, waiter: Waiter) -> None:
        """The call goes on without the reply: a tool that it has called is cancelled."""
        if self._waiting.pop(waiter.id, None) is not None:
            waiter.end()
            if waiter.tool:
                self.send(pb.ToolCall(call_id=waiter.call_id, id=waiter.id, cancel=True))

    def take(self, reply: Any) -> None:
        """A ToolReply."""
        waiter = self._waiting.pop(reply.id, None)
        if waiter is None:
            parcel.drop(reply)
        elif reply.HasField("parcel"):
            self._take_large(waiter, reply)
        else:
            waiter.end(reply)

    def _take_large(self, waiter: Waiter, reply: Any) -> None:
        """The value is taken even if who waits does not ask for it any more."""
        try:
            waiter.end(reply, parcel.open_parcel(reply.parcel))
        except (RuntimeError, OSError, ValueError) as error:
            reply.failure.type, reply.failure.message, reply.failure.code = "ProtocolError", str(error), "worker_error"
            waiter.end(reply)

    def take_variables(self, reply: Any) -> None:
        """A SessionReply."""
        for variable in reply.variables:
            if variable.HasField("parcel"):
                try:
                    variable.value = bytes(parcel.open_parcel(variable.parcel))
                except (RuntimeError, OSError, ValueError) as error:
                    reply.code, reply.detail, reply.name = "transfer_failed", str(error).encode(), variable.name
        waiter = self._waiting.pop(reply.id, None)
        if waiter is not None:
            waiter.end(reply)

    def end_call(self, call_id: int, goes_on: bool = False) -> None:
        """The call is cancelled, or has ended: whoever waits on its behalf is to stop, or ``goes_on`` for others."""
        if self._waiting:
            for waiter in [each for each in self._waiting.copy().values() if each.call_id == call_id]:
                if self._waiting.pop(waiter.id, None) is not None:
                    if goes_on:
                        detail = "the call in whose name this was asked for has been cancelled"
                        waiter.error = ToolCallError(waiter.tool, detail, code="cancelled")
                    waiter.end()


def _refuse(call_id: int, tool: str = "") -> NoReturn:
    raise RuntimeError("this process cannot reach the gateway")
