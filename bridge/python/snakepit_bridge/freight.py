"""Large values that leave in parts, when there is no descriptor channel or it does not take more (bridge/BOOT.md)."""

from __future__ import annotations

from collections import deque
from typing import Any, Optional

from .parcel import OPEN_MAX, PART_BYTES, WINDOW_BYTES, Parcel


class Cargo:
    """A message whose large values go ahead in parts; it follows the last one."""

    __slots__ = ("at", "call_id", "message", "parcels")

    def __init__(self, call_id: int, message: Any, parcels: list[Parcel]) -> None:
        """``message`` is anything that Outbox takes, said in the name of that call."""
        self.call_id = call_id
        self.message = message
        self.parcels = parcels
        self.at = 0  # bytes of the last parcel that have been sent


class Freight:
    """All the cargo of one stream. The outbox's lock guards it.

    What is said in the name of a call waits until the cargo that was begun in its name has left: that keeps the order.
    """

    def __init__(self) -> None:
        self.held: dict[int, list[Any]] = {}  # what waits, by call; each cargo that is here has an entry
        self._open: deque[Cargo] = deque()  # whose parts take turns
        self._waiting: deque[Cargo] = deque()  # behind these
        self._sent = 0  # bytes of parts, in all
        self._taken = 0  # of these, by the gateway

    def add(self, cargo: Cargo) -> None:
        self.held[cargo.call_id] = []
        (self._open if len(self._open) < OPEN_MAX else self._waiting).append(cargo)

    def give_up(self, call_id: int) -> tuple[Any, list[Any], list[int]]:
        """Take out the cargo that is sent in the name of that call; it has some here.

        Returns the cargo, what has waited for it, and the numbers of parcels of which the rest will not be sent.
        """
        for queue in (self._open, self._waiting):
            for cargo in queue:
                if cargo.call_id == call_id:
                    queue.remove(cargo)
                    self._advance()
                    return cargo, self.held.pop(call_id), [cargo.parcels[-1].id] if cargo.at else []
        raise KeyError(call_id)

    def hold(self, item: Any) -> bool:
        """Keep back what is said in the name of a call that has cargo here. Returns whether it is."""
        waiting = self.held.get(item[0] if type(item) is tuple else getattr(item, "call_id", 0))
        if waiting is None:
            return False
        waiting.append(item)
        return True

    @property
    def is_ready(self) -> bool:
        """Whether a part may be sent now."""
        return bool(self._open) and self._sent - self._taken <= WINDOW_BYTES - PART_BYTES

    def taken(self, count: int) -> None:
        """The gateway has taken so many bytes of parts, in all."""
        self._taken = count

    def load(self, frame: Any) -> Optional[list[Any]]:
        """Put the next part into the frame, if one may go.

        Returns the message that it completes, to be sent next, and what has waited for it; None if it completes none.
        """
        if not self.is_ready:
            return None
        cargo = self._open.popleft()
        parcel = cargo.parcels[-1]
        data = memoryview(parcel.body)[cargo.at : cargo.at + PART_BYTES]
        frame.transfer.parts.add(id=parcel.id, size=parcel.size, data=bytes(data))
        self._sent += len(data)
        cargo.at += len(data)
        if cargo.at == parcel.size:
            cargo.parcels.pop()
            cargo.at = 0
        if cargo.parcels:
            self._open.append(cargo)
            return None
        self._advance()
        return [cargo.message, *self.held.pop(cargo.call_id)]

    def _advance(self) -> None:
        """A place among those that take turns may be free."""
        if self._waiting and len(self._open) < OPEN_MAX:
            self._open.append(self._waiting.popleft())
