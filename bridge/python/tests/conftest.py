"""Builds the package as CMake does, into a temporary folder, and offers a stand-in gateway."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "snakepit_bridge"
PROTO = HERE.parents[2] / "proto/snakepit/bridge/v1"


def _build(root: Path) -> None:
    target = root / "snakepit_bridge"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={target}", "bridge.proto"], check=True)


def pytest_configure(config: pytest.Config) -> None:
    """Before the test modules, which import the package, are collected."""
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # this process has a gRPC server, and starts programs

    root = Path(tempfile.mkdtemp(prefix="snakepit-bridge-"))
    _build(root)
    config._package_root = root  # type: ignore[attr-defined]
    sys.path[:0] = [str(root), str(HERE)]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config._package_root, ignore_errors=True)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def package_root(request: pytest.FixtureRequest) -> str:
    return str(request.config._package_root)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def pb(package_root: str) -> Any:
    return importlib.import_module("snakepit_bridge.bridge_pb2")


@pytest.fixture(scope="session")
def gateway(pb: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from standin import Gateway, become_subreaper

    become_subreaper()
    gateway = Gateway(pb, str(tmp_path_factory.mktemp("bridge")))
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def adapters_path() -> str:
    return str(HERE / "adapters")


@pytest.fixture
def zygotes(package_root: str, adapters_path: str) -> Iterator[Any]:
    """Starts zygotes; ``missing`` is a folder of modules that come before the installed ones."""
    from standin import Zygote

    started = []

    def start(before: str = "", **environment: str) -> Any:
        path = f"{HERE / before}:{adapters_path}" if before else adapters_path
        started.append(Zygote(package_root, path, **environment))
        return started[-1]

    yield start
    for zygote in started:
        zygote.stop()


@pytest.fixture(scope="module")
def _shared(package_root: str, adapters_path: str) -> Iterator[Any]:
    """One zygote of each adapter for the many tests that only want a worker."""
    from standin import Zygote

    loaded: dict[str, Any] = {}

    def get(adapter: str) -> Any:
        if adapter not in loaded:
            loaded[adapter] = Zygote(package_root, adapters_path)
            loaded[adapter].load(adapter)
        return loaded[adapter]

    yield get
    for zygote in loaded.values():
        zygote.stop()


@pytest.fixture
def worker(_shared: Any, gateway: Any) -> Iterator[Any]:
    """A fresh worker of sample.Sample."""
    worker = gateway.fork(_shared("sample.Sample"))
    yield worker
    worker.kill()


@pytest.fixture(params=["thread", "async"])
def crew(request: pytest.FixtureRequest, _shared: Any, gateway: Any) -> Iterator[Any]:
    """A fresh worker of sample.Sample with eight slots, in each profile that has several."""
    worker = gateway.fork(_shared("sample.Sample"), profile=request.param, slots=8)
    worker.profile = request.param
    yield worker
    worker.kill()


@pytest.fixture(params=["process", "thread", "async"])
def any_worker(request: pytest.FixtureRequest, _shared: Any, gateway: Any) -> Iterator[Any]:
    """A fresh worker of sample.Sample, with eight slots if its profile has several."""
    slots = 1 if request.param == "process" else 8
    worker = gateway.fork(_shared("sample.Sample"), profile=request.param, slots=slots)
    yield worker
    worker.kill()


@pytest.fixture
def demo_worker(_shared: Any, gateway: Any) -> Iterator[Any]:
    worker = gateway.fork(_shared("snakepit_bridge.demo.Demo"))
    yield worker
    worker.kill()
