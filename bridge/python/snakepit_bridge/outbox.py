"""Answers on their way to the gateway: one frame is being written while the next one fills up."""

from __future__ import annotations

import _thread
from collections import deque
from typing import Any

from . import bridge_pb2 as pb

MAX_FRAME_BYTES = 1 << 20  # of bodies, after which the rest waits for the next frame


class Outbox:
    """Answers by any thread, frames to the link by one thread at a time."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self._lock = _thread.allocate_lock()  # guards sending, and taking from the queue
        self._waiting: deque[Any] = deque()  # (call id, body, content type, microseconds), or a Failure, or a State
        self.put = self._waiting.append
        self.sending = True  # Hello is on its way

    def __len__(self) -> int:
        return len(self._waiting)

    def flush(self) -> None:
        """Send what waits, unless a frame is being written: then sent() will."""
        if self.sending or not self._waiting:
            return
        with self._lock:
            if not self.sending and self._waiting:
                frame = self._next_frame()
                self.sending = True
                self._link.send(frame)

    def sent(self) -> None:
        """The last frame is written."""
        self.sending = False
        self.flush()

    def _next_frame(self) -> bytes:
        frame = pb.WorkerFrame()
        waiting, add, room = self._waiting, frame.results.add, MAX_FRAME_BYTES
        while waiting and room > 0:
            answer = waiting.popleft()
            if type(answer) is tuple:
                result = add()
                result.call_id, body, content_type, result.run_us = answer
                result.body = body
                if content_type:
                    result.content_type = content_type
                room -= len(body)
            elif type(answer) is pb.Failure:
                frame.failures.append(answer)
                room -= len(answer.traceback) + len(answer.details)
            else:
                frame.state.CopyFrom(answer)  # a newer State takes the place of an older one
        return frame.SerializeToString()
