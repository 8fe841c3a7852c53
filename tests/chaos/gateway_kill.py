"""kill -9 of the gateway in every state it can be in."""

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set

from leaving import Leaver
from stage import Gateway, Load, Row, Stage, wait_for

GONE_SECONDS = 1.0
PATIENCE_SECONDS = 60.0  # until what is still there is left for good
QUEUED = 500
WORKERS = 4
ROUNDS = 3


def parents() -> Dict[int, int]:
    """Parent of every process that is no zombie."""
    found: Dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(entry.name)] = int(fields[1])
    return found


def family(pid: int) -> Set[int]:
    """The process and all that descend from it."""
    of, known = parents(), {pid}
    while True:
        more = {child for child, parent in of.items() if parent in known} - known
        if not more:
            return known
        known |= more


def bearing(folder: Path) -> Set[int]:
    """Processes whose environment names the gateway's folder, whoever their parent is."""
    mark, found = f"TMPDIR={folder}\0".encode(), set()
    for pid in parents():
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(pid)
        except OSError:
            continue
    return found


def left_behind(gateway: Gateway, known: Set[int]) -> List[str]:
    """What is there that should not be."""
    alive = (known & set(parents())) | bearing(gateway.folder)
    return [f"process {pid}" for pid in alive] + [str(path) for path in gateway.folder.glob("snakepit*")]


def nothing(gateway: Gateway, stage: Stage) -> None:
    """Idle."""


def busy(gateway: Gateway, stage: Stage) -> None:
    gateway.held = [Load(stage, gateway, 60)]  # which gives up when its connections break
    time.sleep(random.uniform(0.1, 0.3))


def full_queue(gateway: Gateway, stage: Stage) -> None:
    gateway.held = [Leaver(gateway, "spin", number, seconds=100) for number in range(QUEUED + 100)]
    wait_for("a full queue", lambda: gateway.ask("GET", "/pools/default")["queue"]["depth"] == QUEUED)


def draining(gateway: Gateway, stage: Stage) -> None:
    gateway.held = [Leaver(gateway, "spin", number, seconds=100) for number in range(WORKERS)]
    time.sleep(0.1)
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(random.uniform(0.0, 0.2))


def reloading(gateway: Gateway, stage: Stage) -> None:
    gateway.ask("POST", "/pools/default/reload")
    time.sleep(random.uniform(0.0, 0.08))


def scaling(gateway: Gateway, stage: Stage) -> None:
    gateway.ask("PATCH", "/pools/default", {"min": 16, "max": 16})
    time.sleep(random.uniform(0.0, 0.05))


def recycling(gateway: Gateway, stage: Stage) -> None:
    for worker in gateway.workers():
        gateway.ask("POST", f"/workers/{worker['id']}/recycle")
    time.sleep(random.uniform(0.0, 0.02))


def stopping(gateway: Gateway, stage: Stage) -> None:
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(random.uniform(0.0, 0.03))


# Those that start from a gateway that is ready, and those from one that is being started: seconds after exec.
STATES: Dict[str, Callable[[Gateway, Stage], None]] = {
    "idle": nothing,
    "busy": busy,
    "full queue": full_queue,
    "draining": draining,
    "reloading": reloading,
    "scaling": scaling,
    "recycling": recycling,
    "stopping": stopping,
}
EARLY = {"starting": (0.0, 0.02), "loading": (0.02, 0.2)}


def kill_in(stage: Stage, state: str) -> Dict[str, object]:
    """Seconds until nothing is left, or what is left; and whether the next gateway in the folder is well."""
    options = ("--workers", str(WORKERS), "--pools-default-queue-limit", str(QUEUED))
    gateway = Gateway(stage, *options, wait=state not in EARLY)
    following: Optional[Gateway] = None
    try:
        if state in EARLY:
            time.sleep(random.uniform(*EARLY[state]))
        else:
            STATES[state](gateway, stage)
        known = family(gateway.process.pid)
        gateway.process.kill()
        start = time.monotonic()
        gateway.process.wait()
        while left_behind(gateway, known) and time.monotonic() - start < PATIENCE_SECONDS:
            time.sleep(0.002)
        gone = time.monotonic() - start
        left = left_behind(gateway, known)
        following = Gateway(stage, "--workers", str(WORKERS), folder=gateway.folder)
        wait_for("all workers", lambda: len(following.workers()) == WORKERS)
        clean = following.ask("POST", "/tools/echo", {"number": 7}).get("status") == 200
        return {"state": state, "seconds": gone, "left": left, "clean": clean}
    finally:
        if following:
            following.__exit__()
        shutil.rmtree(gateway.folder, ignore_errors=True)


def every_state(stage: Stage) -> List[Row]:
    """Some times each, at random moments of it."""
    ends: List[Dict[str, object]] = []
    for state in [*EARLY, *STATES]:
        for _ in range(stage.times(ROUNDS)):
            ends.append(kill_in(stage, state))
    left = {end["state"]: end["left"] for end in ends if end["left"]}
    dirty = [end["state"] for end in ends if not end["clean"]]
    slowest = max(ends, key=lambda end: end["seconds"])
    return [
        Row(
            f"kill -9 of the gateway in every state ({len(STATES) + len(EARLY)} states, {len(ends)} kills)",
            "nothing left after one second; the next start is clean",
            f"all gone after {slowest['seconds'] * 1000:.0f} ms at most ({slowest['state']}); "
            f"left: {left or 'nothing'}; next start not clean: {dirty or 'never'}",
            not left and not dirty and slowest["seconds"] < GONE_SECONDS,
            {"kills": ends},
        )
    ]
