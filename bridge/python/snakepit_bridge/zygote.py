"""The process that imports once and forks workers (bridge/BOOT.md)."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

from . import loading, process
from .control import Control, tell_failure


class Zygote:
    """Answers the gateway's orders, until it goes or says ``become``."""

    def __init__(self, control: Control, gateway: int, adapter: Any = None, pool: str = "") -> None:
        """``gateway`` is the parent of this process; ``adapter`` is there already if it was a worker."""
        self._control = control
        self._gateway = gateway
        self._adapter = adapter
        self._pool = pool
        self._frozen = False
        self._has_pollers = False

    def run(self) -> None:
        """Returns when the control socket ends."""
        while True:
            order, descriptors = self._control.receive()
            if order is None:
                return
            if order["op"] == "load":
                self._load(order)
            elif order["op"] == "fork":
                self._fork(order, descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
            elif order["op"] == "become":
                self._become(order, descriptors)

    def _load(self, order: dict[str, Any]) -> None:
        begun = time.perf_counter()
        self._pool = order.get("pool", "")
        _require_packages(self._control)
        from . import startup

        try:
            for module in order.get("preload") or ():
                importlib.import_module(module)
            self._adapter = loading.Adapter(order["adapter"], order.get("snakebridge_allow") or ())
            startup.rehearse(self._adapter.tools)
        except BaseException as error:  # SystemExit of an imported module too
            _fail(self._control, "import", error)
        reason = process.why_not_forkable()
        self._control.send(
            "loaded",
            python=".".join(map(str, sys.version_info[:3])),
            forkable=not reason,
            reason=reason,
            import_ms=round((time.perf_counter() - begun) * 1000),
        )

    def _fork(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Start a worker as the gateway's child, by way of a process that ends at once."""
        if not self._frozen:
            gc.freeze()  # so that collections in workers do not touch, and thereby copy, what all of them share
            self._frozen = True
            self._has_pollers = process.has_pollers()
        sys.stdout.flush()  # or each worker would print it again
        try:
            intermediate = os.fork()
        except OSError as error:
            self._fork_failed(order, error)
            return
        if intermediate:
            os.waitpid(intermediate, 0)
            return
        try:
            self._fork_again(order, descriptors)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # never back into the loop above

    def _fork_again(self, order: dict[str, Any], descriptors: list[int]) -> NoReturn:
        intermediate = os.getpid()
        try:
            worker = os.fork()
        except OSError as error:
            self._fork_failed(order, error)
            os._exit(1)
        if worker:
            self._control.send("forked", worker=order["worker"], pid=worker)
            os._exit(0)
        process.reseed()
        if self._has_pollers:
            process.renew_pollers()
        _settle(descriptors)
        process.wait_for_parent(self._gateway, intermediate)  # which takes its time to go
        self._serve(order, descriptors)

    def _fork_failed(self, order: dict[str, Any], error: OSError) -> None:
        self._control.send("failed", kind="fork", worker=order["worker"], message=str(error))

    def _become(self, order: dict[str, Any], descriptors: list[int]) -> NoReturn:
        _settle(descriptors)
        self._serve(order, descriptors)

    def _serve(self, order: dict[str, Any], descriptors: list[int]) -> NoReturn:
        from . import startup

        gc.enable()
        startup.run(self._adapter, order, self._pool, descriptors, self._control)


def _settle(descriptors: list[int]) -> None:
    """What this process is as a worker, whoever its parent."""
    process.become_leader()
    process.sign_children()
    process.null_stdin()
    if len(descriptors) > 1:
        process.redirect_errors(descriptors[1])
    process.reset_signals()


def _require_packages(control: Control) -> None:
    """Leave if this interpreter has no gRPC, or one that this SDK cannot use."""
    try:
        import grpc  # noqa: F401

        from . import startup  # noqa: F401  (what every worker needs)
    except Exception as error:  # protobuf, for one, raises TypeError for generated code that it finds too old
        _fail(control, "missing", error)


def _fail(control: Control, kind: str, error: BaseException) -> NoReturn:
    tell_failure(control, kind, error)
    os._exit(1)


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
    try:
        Zygote(Control(descriptor), gateway).run()
    except ConnectionError:  # the gateway is gone
        pass
