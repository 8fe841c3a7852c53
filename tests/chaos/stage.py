"""What every row of the chaos table stands on: a gateway in a folder of its own, load with books, killers, rows."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional

import numpy

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "bench"))

from load import Plain  # noqa: E402
from servers import Failure, Server  # noqa: E402


START_SECONDS = 60.0

# As chaos_load writes it.
RECORD = numpy.dtype(
    [
        ("due", "<i8"),
        ("sent", "<i8"),
        ("arrived", "<i8"),
        ("done", "<i8"),
        ("number", "<u4"),
        ("status", "<u2"),
        ("executed", "S1"),
        ("right", "u1"),
        ("label", "S32"),
    ]
)


@dataclasses.dataclass
class Row:
    """One line of the table: what was done, what it must reach, what it reached."""

    test: str
    bar: str
    figure: str
    passes: bool
    values: Dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Stage:
    """The settings of a run. `share` shortens: 60 s of load last `share` times as long."""

    build: Path
    share: float = 1.0

    def seconds(self, whole: float) -> float:
        return max(1.0, whole * self.share)

    def times(self, whole: int) -> int:
        return max(3, round(whole * self.share))


def percentile(samples: Iterable[float], share: float) -> float:
    ordered = sorted(samples)
    if not ordered:
        raise Failure("there is nothing to take a percentile of")
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def wait_for(what: str, condition: Callable[[], object], seconds: float = 60.0) -> float:
    """Asks every millisecond; returns the seconds it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise Failure(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.001)
    return time.monotonic() - start


class Gateway(Server):
    """build/snakepit with chaos_tools; everything that it writes is in `folder`."""

    def __init__(
        self,
        stage: Stage,
        *args: str,
        adapter: Optional[str] = "chaos_tools",
        config: str = "",
        wait: bool = True,
        folder: Optional[Path] = None,
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="chaos-"))
        self.log_path = self.folder / "log"
        # It ends with this process, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", str(stage.build / "snakepit"), "serve", "--listen", "127.0.0.1:0"]
        if config:
            (self.folder / "config.yaml").write_text(config)
            command += ["--config", str(self.folder / "config.yaml")]
        elif adapter:
            command += ["--adapter", adapter]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "XDG_RUNTIME_DIR": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([*command, *args], stderr=log, env=environment)
        self.port = self.wait_ready() if wait else 0

    def wait_ready(self) -> int:
        """The port of the ready line."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            for entry in self.log():
                if entry.get("event") == "ready":
                    return int(str(entry["listen"]).rpartition(":")[2])
            time.sleep(0.002)
        self.process.kill()
        raise Failure(f"the gateway did not start: {self.log_path.read_text(errors='replace')[-2000:]}")

    def log(self) -> List[Dict[str, object]]:
        """The whole lines that were written so far."""
        lines = self.log_path.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> Plain:
        return Plain(self.port)

    def ask(self, method: str, path: str, body: object = None) -> Dict[str, object]:
        """One request on a connection of its own: the members of the answer and its status, or its `result`."""
        client = self.client()
        try:
            status, _, answer = client.request(method, path, b"" if body is None else json.dumps(body).encode())
        finally:
            client.close()
        value = json.loads(answer)
        return {**(value if isinstance(value, dict) else {"result": value}), "status": status}

    def workers(self, *states: str) -> List[Dict[str, object]]:
        """Those that take calls, or those in `states`."""
        listed = self.ask("GET", "/workers")["workers"]
        return [each for each in listed if each["state"] in (states or ("ready", "busy"))]

    def counters(self, pool: str = "default") -> Dict[str, object]:
        return self.ask("GET", f"/pools/{pool}")["counters"]


class Load:
    """chaos_load in the background; `records()` waits for its end. `envelope` without tool is for /execute."""

    def __init__(
        self,
        stage: Stage,
        gateway: Gateway,
        seconds: float,
        tool: str = "echo",
        *,
        connections: int = 32,
        rate: float = 0,
        first: int = 1,
        args: Optional[Dict[str, object]] = None,
        **envelope: object,
    ) -> None:
        body = json.dumps({"tool": tool, "args": {"number": "%n", **(args or {})}, **envelope}).replace('"%n"', "%n")
        handle, name = tempfile.mkstemp(prefix="records-", dir=gateway.folder)
        os.close(handle)
        self.path = Path(name)
        command = [str(stage.build / "tests" / "chaos" / "chaos_load"), str(gateway.port), str(connections)]
        command += [f"{seconds:.3f}", f"{rate:.3f}", str(first), "/execute", body, name]
        self.seconds = seconds
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def records(self) -> numpy.ndarray:
        """All answers; a load that could not go on is a Failure."""
        _, said = self.process.communicate(timeout=self.seconds + 120)
        if self.process.returncode != 0:
            raise Failure(f"chaos_load: {said}")
        return numpy.fromfile(self.path, dtype=RECORD)


def failed(records: numpy.ndarray) -> numpy.ndarray:
    """Those without a right answer."""
    return records[(records["status"] != 200) | (records["right"] != 1)]


def milliseconds(records: numpy.ndarray) -> numpy.ndarray:
    """From the sending of each request to the arrival of its answer: what the client itself was behind is left out."""
    return (records["arrived"] - records["sent"]) / 1e6


def tally(records: numpy.ndarray) -> Dict[str, int]:
    """How many of each status, code and `executed`."""
    names, counts = numpy.unique(
        [f"{r['status']} {r['label'].decode()} {r['executed'].decode()}" for r in records], return_counts=True
    )
    return {str(name): int(count) for name, count in zip(names, counts)}


class Every:
    """Does something at even times in a thread, for as long as the `with` block lasts; counts what returned True."""

    def __init__(self, seconds: float, what: Callable[[], object]) -> None:
        self._interval = seconds
        self._what = what
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.done = 0
        self.error: Optional[BaseException] = None

    def _run(self) -> None:
        due = time.monotonic() + self._interval
        while not self._end.wait(max(0.0, due - time.monotonic())):
            due += self._interval
            try:
                self.done += bool(self._what())
            except (OSError, Failure, ValueError, KeyError) as error:
                self.error = error
                return

    def __enter__(self) -> "Every":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self.error:
            raise Failure(f"what was done every {self._interval} s failed: {self.error!r}")


class Killer:
    """SIGKILLs a worker at random, each time it is called; keeps one connection to ask for the ids."""

    def __init__(self, gateway: Gateway) -> None:
        self._client = gateway.client()

    def __call__(self) -> bool:
        _, _, body = self._client.request("GET", "/workers")
        pids = [each["pid"] for each in json.loads(body)["workers"] if each["state"] in ("ready", "busy")]
        if not pids:
            return False
        try:
            os.kill(random.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
