"""How the process begins that imports once and forks workers (bridge/BOOT.md)."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

from . import process
from .control import Control, tell_failure


def main() -> None:
    """The process's whole life. Its parent and SNAKEPIT_CONTROL_FD are as bridge/BOOT.md says."""
    process.die_with_parent()
    gateway = os.getppid()
    process.sign_children()
    del sys.argv[1:]  # the mark of the gateway's run is for its next one, not for the adapter
    gc.disable()  # until there is a worker; imports make little garbage, and pages without holes are shared for longer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it is meant for the gateway
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # what a tool prints must not die with it
    # Newer gRPC would otherwise stop its threads around each fork, those for a tool's subprocesses too.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    descriptor = int(os.environ.pop("SNAKEPIT_CONTROL_FD"))
    process.close_descriptors_but(descriptor)
    control = Control(descriptor)
    try:
        _zygote_class(control)(control, gateway).run()
    except ConnectionError:  # the gateway is gone
        pass


def _zygote_class(control: Control) -> Any:
    """Leaves if this interpreter has no gRPC or protobuf, or one that this SDK cannot use."""
    try:
        import grpc  # noqa: F401

        from .zygote import Zygote
    except Exception as error:  # protobuf, for one, raises TypeError for generated code that it finds too old
        control.receive()  # the order to load, which this answers
        tell_failure(control, "missing", error)
        os._exit(1)
    return Zygote
