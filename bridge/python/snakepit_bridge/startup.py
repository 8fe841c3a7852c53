"""From a bare process to a worker that serves."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from typing import Any, Optional

from . import __version__, link, parcel, process, telemetry
from . import bridge_pb2 as pb
from .control import tell_failure
from .dispatch import Dispatch
from .eventloop import EventLoop
from .runner import Runner
from .started import SLOTS_MAX, SharedPage, StartedPage
from .tasks import AsyncWorker
from .threads import ThreadWorker
from .worker import Worker

PROTOCOL_VERSION = 1


def run(adapter: Any, order: dict[str, Any], pool: str, descriptors: list[int], control: Any) -> EventLoop:
    """Make the adapter's object, dial the gateway and serve. Takes the control socket and the descriptors.

    These are the started-call page, what has become standard error already, the worker's end of the descriptor channel,
    and, if it may become a template, a control socket for that time, which is left alone. Returns, with the loop of the
    adapter's hooks, only to become that.
    """
    try:
        if len(descriptors) > 2:
            parcel.open_channel(descriptors[2])
        profile = order.get("profile", "process")
        slots = 1 if profile == "process" else min(max(order.get("slots", 1), 1), SLOTS_MAX)
        started = (StartedPage if profile == "process" else SharedPage)(descriptors[0], slots)
        process.restrict(order.get("limits") or {}, bool(order.get("no_new_privs")))
        if profile == "thread":
            warn_of_loops(adapter.target, adapter.tools)
        loop = EventLoop()
        telemetry.gateway.dispatch = Dispatch()  # what the adapter tells while it starts leaves with the first frame
        instance = adapter.start(loop)
        control.close()  # from here on the stream says it all
        hello = _hello(adapter.tools, order, pool, slots).SerializeToString()
        stream = link.connect(order["address"], hello)
        worker = _make_worker(profile, adapter.tools, instance, loop, started, stream, slots)
        del started, stream
        worker.attend(adapter)
        worker.run()
        return loop
    except BaseException as error:  # the adapter's constructor or initialize(), mostly
        if not tell_failure(control, "start", error, worker=order["worker"]):
            print(f"snakepit_bridge: worker {order['worker']} cannot start", file=sys.stderr)
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def warn_of_loops(target: Any, tools: list[Any]) -> None:
    """Say so if what an adapter makes in its loop may be used in others: with ``thread`` each slot has its own."""
    if inspect.iscoroutinefunction(getattr(target, "initialize", None)) and any(item.in_loop for item in tools):
        print(
            f"snakepit_bridge: {target.__name__}.initialize() is async, and so are tools: with the profile thread each "
            "slot has an event loop of its own, and none of them is the one of initialize(). What belongs to a loop "
            "(asyncio.Lock, the session of a client) is to be made in each, or the profile to be async",
            file=sys.stderr,
        )


def rehearse(tools: list[Any]) -> None:
    """Have the protobuf package make what it makes for its first messages, once for all that are forked from here."""
    _hello(tools, {"worker": "", "token": ""}, "", 1).SerializeToString()
    frame = pb.GatewayFrame(invokes=[pb.Invoke(call_id=1, tool="-", args=b"{}")], only_invokes=True)
    for invoke in pb.GatewayFrame.FromString(frame.SerializeToString()).invokes:
        invoke.call_id


def _make_worker(
    profile: str, tools: list[Any], instance: Any, loop: Any, page: Any, stream: Any, slots: int
) -> Any:
    if profile == "process":
        return Worker(Runner(tools, loop, page), stream, lambda: _clean_up(instance, loop))
    if profile == "thread":
        return ThreadWorker(tools, page, stream, lambda: _clean_up(instance, loop), slots)
    if profile == "async":
        return AsyncWorker(tools, page, stream, lambda: _clean_up_async(instance), slots, loop)
    raise ValueError(f"there is no profile {profile!r}")


def _clean_up(instance: Any, loop: EventLoop) -> None:
    hook = getattr(instance, "cleanup", None)
    if callable(hook):
        loop.call(hook)


async def _clean_up_async(instance: Any) -> None:
    hook = getattr(instance, "cleanup", None)
    value = hook() if callable(hook) else None
    if inspect.isawaitable(value):
        await value


def _hello(tools: list[Any], order: dict[str, Any], pool: str, slots: int) -> Any:
    return pb.WorkerFrame(
        hello=pb.Hello(
            protocol_version=PROTOCOL_VERSION,
            worker_id=order["worker"],
            token=bytes.fromhex(order["token"]),
            pool=pool,
            pid=os.getpid(),
            slots=slots,
            tools=[_announce(item) for item in tools],
            python_version=sys.version.split()[0],
            sdk_version=__version__,
        )
    )


def _milliseconds(seconds: Optional[float]) -> int:
    """At least one, unless there is no limit."""
    return max(1, round(seconds * 1000)) if seconds else 0


def _announce(item: Any) -> Any:
    return pb.Tool(
        name=item.name,
        description=item.description,
        schema=item.schema,
        streaming=item.streaming,
        idempotent=item.idempotent,
        timeout_ms=_milliseconds(item.mark.timeout),
        queue_timeout_ms=_milliseconds(item.mark.queue_timeout),
        run_timeout_ms=_milliseconds(item.mark.run_timeout),
        idle_timeout_ms=_milliseconds(item.mark.idle_timeout),
        batch=item.batch_size,
    )
