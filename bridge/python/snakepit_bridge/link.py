"""The gRPC stream to the gateway, below the meaning of its frames.

Python's public gRPC API hands every message over between four or five threads. Its Cython layer below does not: whoever
calls next() polls the socket itself, and send() writes to it before it returns. That is worth a factor of two in the
round trip of a lone call. The public API stands in when a version of grpcio has changed the Cython layer.
"""

from __future__ import annotations

import sys
from typing import Any, Optional

METHOD = "/snakepit.bridge.v1.Bridge/Attach"
MAX_MESSAGE = 68 << 20  # bytes; the largest value with room to spare, as the gateway has it (FRAME_MAX_BYTES)

RECEIVED = 1  # with the frame's bytes
SENT = 2  # the last send() is done, the next may begin
CLOSED = 3  # everything sent has left, after close()
ENDED = 4  # the stream is over; with the reason, empty when it is a good one
NOTHING = 5  # nothing happened for a while

_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),
)

Event = tuple[int, Any]


class CythonLink:
    """The stream by grpcio's Cython layer. next() is for one thread at a time, the rest for any thread."""

    def __init__(self, address: str, hello: bytes) -> None:
        from grpc._cython import cygrpc

        self._send_operation = cygrpc.SendMessageOperation
        self._close_operation = cygrpc.SendCloseFromClientOperation
        self._receive = (cygrpc.ReceiveMessageOperation(0),)
        self._timeout = cygrpc.CompletionType.queue_timeout
        self._coming = {RECEIVED, ENDED}  # what has not come for the last time
        self._channel = cygrpc.Channel(address.encode(), _OPTIONS, None)
        begin = (cygrpc.SendInitialMetadataOperation((), 0), cygrpc.ReceiveStatusOnClientOperation(0))
        operations = (
            (begin, ENDED),
            ((cygrpc.ReceiveInitialMetadataOperation(0),), NOTHING),
            ((self._send_operation(hello, 0),), SENT),
        )
        self._call = self._channel.segregated_call(0, METHOD.encode(), None, None, (), None, operations, None)

    def receive(self) -> None:
        """Ask for the next frame; it comes as RECEIVED. One at a time."""
        self._call.operate(self._receive, RECEIVED)

    def send(self, frame: bytes) -> None:
        """Write a frame. The next send must wait for SENT."""
        self._call.operate((self._send_operation(frame, 0),), SENT)

    def interrupt(self) -> None:
        """Have next() return, with NOTHING if there is nothing else."""
        self._call.operate((), NOTHING)

    def close(self) -> None:
        """Send nothing more. CLOSED comes when everything has been written."""
        self._coming.add(CLOSED)
        self._call.operate((self._close_operation(0),), CLOSED)

    def release(self, asked: bool) -> bool:
        """End the stream and let go of gRPC, whose threads end when nothing else of it is left. False: it cannot.

        ``asked``: a frame has been asked for and has not come. Nothing may be called afterwards.
        """
        self._channel.close(1, "the worker becomes a template")  # CANCELLED
        if not asked:
            self._coming.discard(RECEIVED)
        while self._coming:
            self._coming.discard(self._call.next_event().tag)
        del self._call, self._channel
        return True

    def next(self) -> Event:
        """Wait for what happens next."""
        event = self._call.next_event()
        tag = event.tag
        if tag == RECEIVED:
            frame = event.batch_operations[0].message()
            if frame is not None:
                return RECEIVED, frame
            self._coming.discard(RECEIVED)
            return NOTHING, None  # the end itself comes as ENDED
        if tag == SENT:
            return SENT, None
        self._coming.discard(tag)
        if tag == ENDED:
            status = event.batch_operations[1]
            return ENDED, _reason(status.code(), status.details())
        if event.completion_type == self._timeout:  # with fork support of grpc turned on by the environment
            return NOTHING, None
        return tag, None


class PublicLink:
    """The same by grpcio's public API."""

    def __init__(self, address: str, hello: bytes) -> None:
        import _thread
        from _queue import SimpleQueue

        import grpc

        self._events: Any = SimpleQueue()
        self._frames: Any = SimpleQueue()
        self._frames.put(hello)
        self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._replies = self._channel.stream_stream(METHOD)(self._requests())
        _thread.start_new_thread(self._read, ())

    def _requests(self) -> Any:
        """Runs in a thread of grpc's: being asked for the next frame means that the last one is written."""
        while True:
            frame = self._frames.get()
            if frame is None:
                self._events.put((CLOSED, None))
                return
            yield frame
            self._events.put((SENT, None))

    def _read(self) -> None:
        import grpc

        try:
            for frame in self._replies:
                self._events.put((RECEIVED, frame))
            self._events.put((ENDED, ""))
        except grpc.RpcError as error:
            self._events.put((ENDED, f"{error.code().name}: {error.details()}"))

    def receive(self) -> None:
        """Frames come without being asked for."""

    def send(self, frame: bytes) -> None:
        self._frames.put(frame)

    def interrupt(self) -> None:
        self._events.put((NOTHING, None))

    def close(self) -> None:
        self._frames.put(None)

    def release(self, asked: bool) -> bool:
        return False

    def next(self) -> Event:
        return self._events.get()


def _reason(code: Any, details: Optional[str]) -> str:
    """How a stream ended, for people; empty for OK."""
    return f"gRPC status {int(code)}: {details}" if code else ""


def connect(address: str, hello: bytes) -> Any:
    """Open Attach and send Hello. The link is still being connected when this returns."""
    try:
        return CythonLink(address, hello)
    except (ImportError, AttributeError, TypeError) as error:
        print(f"snakepit_bridge: grpcio's public API is used, which is slower: {error!r}", file=sys.stderr, flush=True)
        return PublicLink(address, hello)
