"""The process that imports once and forks workers (bridge/BOOT.md)."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
import traceback
from typing import Any, NoReturn

from . import loading, process, startup, template
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
        try:
            for module in order.get("preload") or ():
                importlib.import_module(module)
            self._adapter = loading.Adapter(order["adapter"], order.get("snakebridge_allow") or ())
            startup.rehearse(self._adapter.tools)
        except BaseException as error:  # SystemExit of an imported module too
            tell_failure(self._control, "import", error)
            os._exit(1)
        reason = process.why_not_forkable()
        _tell_loaded(self._control, reason, round((time.perf_counter() - begun) * 1000))

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
        gc.enable()
        loop = startup.run(self._adapter, order, self._pool, descriptors, self._control)
        self._become_template(loop, descriptors[4])

    def _become_template(self, loop: Any, descriptor: int) -> NoReturn:
        """The worker's end was not the process's: serve the gateway as a zygote does, by another control socket."""
        control = Control(descriptor)
        reason = template.settle(self._adapter, loop)
        try:
            _tell_loaded(control, reason, 0)
            if not reason:
                Zygote(control, os.getppid(), self._adapter, self._pool).run()
        except OSError:  # the gateway is gone
            pass
        os._exit(0)


def _settle(descriptors: list[int]) -> None:
    """What this process is as a worker, whoever its parent."""
    process.become_leader()
    process.sign_children()
    process.null_stdin()
    if len(descriptors) > 3:
        process.redirect_output(descriptors[3], descriptors[1])
    process.reset_signals()


def _tell_loaded(control: Control, reason: str, import_ms: int) -> None:
    """``reason``: why this process cannot be forked, or empty."""
    version = ".".join(map(str, sys.version_info[:3]))
    control.send("loaded", python=version, forkable=not reason, reason=reason, import_ms=import_ms)
