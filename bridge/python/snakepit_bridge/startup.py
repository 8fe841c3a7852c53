"""From a bare process to a worker that serves."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

from . import __version__, link
from . import bridge_pb2 as pb
from .eventloop import EventLoop
from .runner import Runner
from .started import StartedPage
from .worker import Worker

PROTOCOL_VERSION = 1


def run(adapter: Any, order: dict[str, Any], pool: str, page: int) -> NoReturn:
    """Make the adapter's object, dial the gateway and serve. Takes the page's descriptor."""
    try:
        started = StartedPage(page)
        loop = EventLoop()
        instance = adapter.start(loop)
        runner = Runner(adapter.tools, instance, loop, started)
        stream = link.connect(order["address"], _hello(adapter.tools, order, pool).SerializeToString())
        Worker(runner, stream, lambda: _clean_up(instance, loop)).run()
    except BaseException:  # the adapter's constructor or initialize(), mostly
        print(f"snakepit_bridge: worker {order['worker']} cannot start", file=sys.stderr)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _clean_up(instance: Any, loop: EventLoop) -> None:
    hook = getattr(instance, "cleanup", None)
    if callable(hook):
        loop.call(hook)


def _hello(tools: list[Any], order: dict[str, Any], pool: str) -> Any:
    return pb.WorkerFrame(
        hello=pb.Hello(
            protocol_version=PROTOCOL_VERSION,
            worker_id=order["worker"],
            token=bytes.fromhex(order["token"]),
            pool=pool,
            pid=os.getpid(),
            slots=1,
            tools=[_announce(item) for item in tools],
            python_version=sys.version.split()[0],
            sdk_version=__version__,
        )
    )


def _announce(item: Any) -> Any:
    return pb.Tool(
        name=item.name,
        description=item.description,
        schema=item.schema,
        streaming=item.streaming,
        idempotent=item.idempotent,
    )
