"""The shared memory in which the gateway sees which calls have started, and what came of them (bridge/BOOT.md).

All of it is written before the next call starts, so it costs every call something: about 0.4 µs.
"""

from __future__ import annotations

import _thread
import mmap
import os
import struct
import sys
from typing import Any

from . import bridge_pb2 as pb
from . import wire
from .parcel import Parcel

SLOTS_MAX = 1024
ANSWER_MAX = 68 << 10  # bytes of an answer, encoded; longer ones are not kept
RING_BYTES = 1024 << 10
LARGE = 16 << 10  # bytes of an answer for which more of the ring is used than the part that all others share

_PONG_AT = 8192  # in bytes, after the slots
_INDEX_AT, _RING_AT = 32768, 65536
PAGE_BYTES = _RING_AT + RING_BYTES
_ENTRY_BYTES = 32
_ENTRIES, _ENTRIES_MAX = 256, 1024  # as many as there can be calls without an answer, see BOOT.md
_LAST_PLACE = PAGE_BYTES - ANSWER_MAX  # in the ring, from which any answer fits
_TURN = _RING_AT + (192 << 10)  # where others begin anew: what is not touched takes no memory, and no cache
_entry_words = struct.Struct("=4Q")
_RESULT, _FRAME, _NO_ANSWER = 0, 1 << 32, 2 << 32  # kinds of an entry, above its size


class StartedPage:
    """Maps the descriptor, which it takes. The gateway reads it when the process is dead; the slots at any time.

    ``full`` is set when an answer was not kept, or the ring begins anew: what is in the outbox should then be sent
    before the next call is started, for an answer that is in neither place would be lost. Who has done so clears it.
    """

    def __init__(self, descriptor: int, slots: int = 1) -> None:
        try:
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")
        self._pack_into = _entry_words.pack_into
        entries = _ENTRIES if slots <= _ENTRIES else _ENTRIES_MAX
        self._last_entry = _INDEX_AT + (entries - 1) * _ENTRY_BYTES
        self._entry = _INDEX_AT  # where the next one goes
        self._place = _RING_AT  # where the next answer goes
        self._behind = -_RING_AT  # with the place: bytes of the ring used so far, of all its rounds
        self.full = False
        os.register_at_fork(after_in_child=self._leave_child)

    def _leave_child(self) -> None:
        """A child that a tool has forked is no worker: where its call ends, it does."""
        self.end = self.skip = _end_child  # type: ignore[method-assign,assignment]

    def start(self, call_id: int, slot: int = 0) -> None:
        """Just before the tool's code is entered."""
        self._words[slot] = call_id

    def end(self, answer: Any, slot: int = 0) -> None:
        """The call has its answer: a Failure, or a result as the tuple that Outbox takes.

        In this order: the entry, which also says what is about to be overwritten; the answer; and last the slot, for
        as long as the call is shown there the gateway does not trust the other two.
        """
        kind = _FRAME
        if type(answer) is tuple:
            call_id, body, content_type, run_us = answer
            if not content_type and type(body) is bytes:
                kind = _RESULT
        if kind == _FRAME:
            call_id, body, run_us = _framed(answer)
        size = len(body)
        if size > ANSWER_MAX:
            self.skip(call_id, slot)
            return
        entry, place, page = self._entry, self._place, self._map
        self._pack_into(page, entry, call_id, self._behind + place, size | kind, run_us)
        self._entry = entry + _ENTRY_BYTES if entry < self._last_entry else _INDEX_AT
        after = place + size
        page[place:after] = body
        if after > _TURN and (size < LARGE or after > _LAST_PLACE):
            self._behind += RING_BYTES
            self.full = True
            after = _RING_AT
        self._place = after
        self._words[slot] = 0

    def answered(self, sequence: int) -> None:
        """The answer to that ping is on its way: if it does not arrive, the stream is broken."""
        self._words[_PONG_AT // 8] = sequence

    def skip(self, call_id: int, slot: int = 0) -> None:
        """The call has ended, but its answer is not kept."""
        self._pack_into(self._map, self._entry, call_id, self._behind + self._place, _NO_ANSWER, 0)
        self._entry = self._entry + _ENTRY_BYTES if self._entry < self._last_entry else _INDEX_AT
        self.full = True
        self._words[slot] = 0


def _end_child(answer: Any, slot: int = 0) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(1 if isinstance(answer, pb.Failure) else 0)


class SharedPage(StartedPage):
    """The same for several threads."""

    def __init__(self, descriptor: int, slots: int) -> None:
        super().__init__(descriptor, slots)
        self._lock = _thread.allocate_lock()

    def end(self, answer: Any, slot: int = 0) -> None:
        with self._lock:
            super().end(answer, slot)


def _framed(answer: Any) -> tuple[int, bytes, int]:
    """An answer's call, itself in a frame of its own, and its time. One that is too long is left as it is."""
    if type(answer) is not tuple:
        frame = pb.WorkerFrame(failures=[answer])
        return answer.call_id, frame.SerializeToString(), answer.run_us
    call_id, body, content_type, run_us = answer
    if type(body) is Parcel:
        if body.body is None:
            result = pb.Result(call_id=call_id, content_type=content_type, run_us=run_us)
            body.name(result.parcel)
            return call_id, pb.WorkerFrame(results=[result]).SerializeToString(), run_us
        body = body.body
    if len(body) <= ANSWER_MAX:
        parts: list[bytes] = []
        wire.add_result(parts, (call_id, body, content_type, run_us))
        body = b"".join(parts)
    return call_id, body, run_us
