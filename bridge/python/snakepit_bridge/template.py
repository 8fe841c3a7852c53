"""A worker that has stopped to serve, and from which the pool's workers are forked from then on (bridge/BOOT.md).

What its calls have loaded and cached is shared by all workers then, instead of being made by each of them.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from . import parcel, process

THREADS_SECONDS = 2.0  # for those of gRPC, and ours, to end


def settle(adapter: Any, loop: Any) -> str:
    """Let go of what a worker has; its calls are over. Returns why the process cannot be forked, or an empty string."""
    process.restore_output()  # the gateway reads a worker's only as long as it serves
    parcel.close_channel()
    adapter.keep()
    loop.close()
    gc.collect()  # the last of gRPC, whose threads end with it
    gc.disable()  # as in a zygote: collections would touch, and thereby copy, what all share
    return _wait_to_be_alone()


def _wait_to_be_alone() -> str:
    """The threads that are still there after a while, or an empty string."""
    give_up = time.monotonic() + THREADS_SECONDS
    reason = process.why_not_forkable()
    while reason and time.monotonic() < give_up:
        time.sleep(0.005)
        reason = process.why_not_forkable()
    return reason
