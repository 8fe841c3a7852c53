"""A stand-in for the gateway: starts zygotes, and serves Attach with Python's gRPC server."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent import futures
from typing import Any, Callable, Optional

import grpc

PATIENCE = 60.0  # seconds for anything that should happen at once
PYTHON = sys.executable


def become_subreaper() -> None:
    """Workers lose their parent; they must become this process's children, as they become the gateway's."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class Orders:
    """The gateway's end of a control socket."""

    socket: socket.socket

    def order(self, order: dict[str, Any], *descriptors: int) -> None:
        packet = json.dumps(order).encode()
        if not descriptors:
            self.socket.send(packet)
        else:
            socket.send_fds(self.socket, [packet], list(descriptors))

    def event(self) -> dict[str, Any]:
        packet = self.socket.recv(1 << 16)
        assert packet, "the zygote has gone"
        return json.loads(packet)


def wait_until(holds: Callable[[], Any]) -> None:
    """Looks every millisecond."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "not in time"
        time.sleep(0.001)


class Template(Orders):
    """What a worker becomes when it is told to let workers be forked from it."""

    def __init__(self) -> None:
        self.socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)

    def take_theirs(self) -> int:
        return self._theirs.detach()


class Zygote(Orders):
    """``python3 -m snakepit_bridge`` and its control socket."""

    def __init__(self, package_root: str, extra_path: str = "", **environment: str) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        path = os.pathsep.join(part for part in (package_root, extra_path) if part)
        self.process = subprocess.Popen(
            [PYTHON, "-m", "snakepit_bridge"],
            pass_fds=[theirs.fileno()],
            cwd=package_root,  # "-m" looks there first
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": path,
                "SNAKEPIT_CONTROL_FD": str(theirs.fileno()),
                **environment,
            },
        )
        theirs.close()

    def load(self, adapter: str, preload: Optional[list[str]] = None) -> dict[str, Any]:
        self.order({"op": "load", "adapter": adapter, "preload": preload or [], "pool": "default"})
        return self.event()

    def stop(self) -> None:
        self.socket.close()
        self.process.wait(PATIENCE)


class Page:
    """A started-call page, as the gateway sees it."""

    BYTES = 65536 + (1024 << 10)

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("started")
        os.ftruncate(self.descriptor, self.BYTES)
        self._map = mmap.mmap(self.descriptor, self.BYTES)

    def _entries(self) -> list[tuple[int, int, int, int]]:
        """Call, place, size and kind, microseconds of those that have ended, oldest first."""
        entries = struct.iter_unpack("<4Q", self._map[32768:65536])
        return sorted((entry for entry in entries if entry[0]), key=lambda entry: entry[1])

    def kept(self) -> dict[int, tuple[int, bytes, int]]:
        """Kind, bytes and microseconds of the answers that are kept, by their calls."""
        entries = self._entries()
        end = max((at + (size & 0xFFFFFFFF) for _, at, size, _ in entries), default=0)
        ring = self._map[65536:]
        return {
            call: (size >> 32, ring[at % len(ring) :][: size & 0xFFFFFFFF], run_us)
            for call, at, size, run_us in entries
            if end - at <= len(ring) and size >> 32 != 2
        }

    def started(self) -> list[int]:
        """Ids of the calls started so far, the last ones that have ended and those that run."""
        ended = [call for call, *_ in self._entries()]
        return ended + sorted(self.all_running() - set(ended))

    def running(self) -> int:
        """Id of the call that runs in the first slot, or 0."""
        return struct.unpack_from("<Q", self._map, 0)[0]

    def pong(self) -> int:
        """Sequence of the last ping whose answer has left the worker, or 0."""
        return struct.unpack_from("<Q", self._map, 8192)[0]

    def all_running(self) -> set[int]:
        """Ids of the calls that run in any slot."""
        return set(struct.unpack_from("<1024Q", self._map, 0)) - {0}


class Stream:
    """One attached worker. Answers are collected by call id; frames are kept in their order."""

    def __init__(self, pb: Any) -> None:
        self.pb = pb
        self.hello: Any = None
        self.frames: list[Any] = []
        self.over = threading.Event()
        self._changed = threading.Condition()
        self._orders: queue.SimpleQueue = queue.SimpleQueue()
        self._next_id = 0
        self._parts: dict[int, bytearray] = {}  # of large values that have not come whole
        self._taken = 0  # bytes of these, in all

    # gRPC's side

    def serve(self, requests: Any, context: Any) -> Any:
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()
        yield self.pb.GatewayFrame(welcome=self.pb.Welcome(protocol_version=1))
        while True:
            frame = self._orders.get()
            if frame is None:
                return
            yield frame

    def _read(self, requests: Any) -> None:
        try:
            for frame in requests:
                self._unpack(frame)
                with self._changed:
                    if self.hello is None:
                        self.hello = frame.hello
                    else:
                        self.frames.append(frame)
                    self._changed.notify_all()
        except Exception:  # the worker is gone
            pass
        self.over.set()
        self._orders.put(None)

    def _unpack(self, frame: Any) -> None:
        """Put large values that come in parts where their messages want them, and say that they were taken."""
        for part in frame.transfer.parts:
            self._parts.setdefault(part.id, bytearray()).extend(part.data)
            self._taken += len(part.data)
        if frame.transfer.parts:
            self.send(self.pb.GatewayFrame(transfer=self.pb.Transfer(taken=self._taken)))
        for result in frame.results:
            if result.parcel.id in self._parts:
                result.body = bytes(self._parts.pop(result.parcel.id))

    # the test's side

    def send(self, frame: Any) -> None:
        self._orders.put(frame)

    def end(self) -> None:
        self._orders.put(None)

    def invocation(self, tool: str, arguments: Any = None, **members: Any) -> Any:
        """An Invoke with the next id; ``arguments`` are JSON data or bytes."""
        self._next_id += 1
        args = arguments if isinstance(arguments, bytes) else json.dumps(arguments or {}).encode()
        return self.pb.Invoke(call_id=self._next_id, tool=tool, args=args, **members)

    def invoke(self, *invocations: Any) -> None:
        self.send(self.pb.GatewayFrame(invokes=invocations, only_invokes=True))

    def cancel(self, call_id: int) -> None:
        self.send(self.pb.GatewayFrame(cancels=[self.pb.Cancel(call_id=call_id)]))

    def recall(self, *call_ids: int) -> None:
        self.send(self.pb.GatewayFrame(cancels=[self.pb.Cancel(call_id=each, recall=True) for each in call_ids]))

    def ping(self, sequence: int) -> None:
        self.send(self.pb.GatewayFrame(ping=self.pb.Ping(sequence=sequence)))

    def credit(self, call_id: int, amount: int) -> None:
        self.send(self.pb.GatewayFrame(credits=[self.pb.Credit(call_id=call_id, bytes=amount)]))

    def stop(self, grace_ms: int = 5000, refork: bool = False) -> None:
        self.send(self.pb.GatewayFrame(stop=self.pb.Stop(grace_ms=grace_ms, refork=refork)))

    def call(self, tool: str, arguments: Any = None, **members: Any) -> Any:
        """The Result or Failure of one call."""
        invocation = self.invocation(tool, arguments, **members)
        self.invoke(invocation)
        return self.answer(invocation.call_id)

    def value(self, tool: str, arguments: Any = None, **members: Any) -> Any:
        """The JSON value of one call, which must succeed."""
        result = self.call(tool, arguments, **members)
        assert isinstance(result, self.pb.Result), result
        return json.loads(result.body)

    def begin(self, tool: str, arguments: Any = None, credit: int = 1 << 20, **members: Any) -> int:
        """Have a stream begin; its call's id."""
        invocation = self.invocation(tool, arguments, credit=credit, **members)
        self.invoke(invocation)
        return invocation.call_id

    def emissions(self, call_id: int) -> list[tuple[int, Any]]:
        """What a call has emitted so far: kinds and JSON values."""
        found = [e for frame in list(self.frames) for e in frame.emissions if e.call_id == call_id]
        return [(emission.kind, json.loads(body)) for emission in found for body in emission.bodies]

    def chunks(self, call_id: int, count: int = 0) -> list[Any]:
        """The values it has yielded so far, at least ``count``."""
        if count:
            self.wait_for(lambda: len(self.chunks(call_id)) >= count or None)
        return [value for kind, value in self.emissions(call_id) if kind == self.pb.Emission.CHUNK]

    def tool_call(self, index: int = 0) -> Any:
        """The n-th request for a tool."""

        def found() -> Any:
            asked = [request for frame in list(self.frames) for request in frame.tool_calls]
            return asked[index] if len(asked) > index else None

        return self.wait_for(found)

    def reply(self, request: Any, value: Any = None, **failure: Any) -> None:
        """Answer it: with JSON data, bytes, or a Failure of these members."""
        if failure:
            reply = self.pb.ToolReply(id=request.id, failure=self.pb.Failure(**failure))
        elif isinstance(value, bytes):
            reply = self.pb.ToolReply(id=request.id, body=value, content_type="application/octet-stream")
        else:
            reply = self.pb.ToolReply(id=request.id, body=json.dumps(value).encode())
        self.send(self.pb.GatewayFrame(tool_replies=[reply]))

    def answers(self) -> dict[int, Any]:
        return {a.call_id: a for frame in list(self.frames) for a in (*frame.results, *frame.failures)}

    def answer(self, call_id: int) -> Any:
        return self.wait_for(lambda: self.answers().get(call_id))

    def state(self, sequence: int) -> Any:
        def found() -> Any:
            states = [f.state for f in self.frames if f.HasField("state")]
            return next((state for state in states if state.sequence == sequence), None)

        return self.wait_for(found)

    def wait_for(self, found: Callable[[], Any]) -> Any:
        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, PATIENCE), "nothing came"
            return found()


class Gateway:
    """The gRPC endpoint on a Unix socket, and the workers' processes."""

    def __init__(self, pb: Any, folder: str) -> None:
        self.pb = pb
        self.address = f"unix:{folder}/bridge.sock"
        self._attached: queue.Queue = queue.Queue()
        options = [("grpc.max_send_message_length", 68 << 20), ("grpc.max_receive_message_length", 68 << 20)]
        self._server = grpc.server(futures.ThreadPoolExecutor(64), options=options)
        handler = grpc.stream_stream_rpc_method_handler(
            self._attach, pb.WorkerFrame.FromString, lambda frame: frame.SerializeToString()
        )
        handlers = {"Attach": handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("snakepit.bridge.v1.Bridge", handlers),)
        )
        self._server.add_insecure_port(self.address)
        self._server.start()

    def _attach(self, requests: Any, context: Any) -> Any:
        stream = Stream(self.pb)
        self._attached.put(stream)
        return stream.serve(requests, context)

    def attached(self) -> Stream:
        stream = self._attached.get(timeout=PATIENCE)
        stream.wait_for(lambda: stream.hello)
        return stream

    def order(self, op: str, worker: str = "default-1", **members: Any) -> dict[str, Any]:
        return {"op": op, "worker": worker, "token": "00ff", "address": self.address, "slots": 1, **members}

    def fork(self, zygote: Any, worker: str = "default-1", template: Any = None, **members: Any) -> Worker:
        """``template`` is a Template that the worker may become."""
        page = Page()
        theirs = [os.dup(2), _channel(), os.dup(1), template.take_theirs()] if template else []
        zygote.order(self.order("fork", worker, **members), page.descriptor, *theirs)
        for descriptor in theirs:
            os.close(descriptor)
        event = zygote.event()
        assert event["event"] == "forked", event
        return Worker(event["pid"], self.attached(), page)

    def stop(self) -> None:
        self._server.stop(None)


class Worker:
    """A forked worker: its process, its stream and its page."""

    def __init__(self, pid: int, stream: Stream, page: Page) -> None:
        self.pid = pid
        self.stream = stream
        self.page = page
        self._status: Optional[int] = None

    def exit_status(self) -> int:
        """Wait for its end: the exit code, or the negative number of the signal."""
        give_up = time.monotonic() + PATIENCE
        while self._status is None and time.monotonic() < give_up:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # "forked" can be here before the intermediate process has gone
                pid = 0
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.005)
        assert self._status is not None, "the worker did not end"
        return self._status

    def kill(self) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.exit_status()


def _channel() -> int:
    """A descriptor channel that nobody listens to."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    return theirs.detach()
