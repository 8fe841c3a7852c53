"""Clients that leave while their calls are queued, and while they run."""

import json
import os
import socket
import time
from typing import Dict, List, Tuple

import numpy

from stage import Gateway, Row, Stage, percentile, wait_for

QUEUED = 1000
RUNNING = 200
WORKERS = 8
GRACE_SECONDS = 1.0
SPIN_SECONDS = 100  # much longer than any client stays
PAUSE_SECONDS = 0.01  # of 200 threads at once: without, they stop when the processors get round to them


class Leaver:
    """A client that sends one call and closes its connection before the answer."""

    def __init__(self, gateway: Gateway, tool: str, number: int, **args: object) -> None:
        body = json.dumps({"tool": tool, "args": {"number": number, **args}})
        head = "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        head += f"\r\nContent-Length: {len(body)}"
        self.number = number
        self.left_ns = 0
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), 30)
        self._socket.sendall(f"{head}\r\n\r\n{body}".encode())

    def leave(self) -> None:
        self.left_ns = time.monotonic_ns()
        self._socket.close()


def noted(gateway: Gateway, file: str) -> Dict[int, int]:
    """Number and time of each line that the tools have written."""
    path = gateway.folder / file
    pairs = numpy.fromfile(path, "<u8").reshape(-1, 2) if path.exists() else []
    return {int(number): int(when) for number, when in pairs}


def queue_depth(gateway: Gateway) -> int:
    return gateway.ask("GET", "/pools/default")["queue"]["depth"]


def leave_while_running(gateway: Gateway, running: List[Leaver]) -> List[float]:
    """Milliseconds from leaving to the tool's `finally`, for all."""
    wait_for("all to run", lambda: {each.number for each in running} <= set(noted(gateway, "begun")))
    for each in running:
        each.leave()
    wait_for("all to stop", lambda: {each.number for each in running} <= set(noted(gateway, "ended")))
    ended = noted(gateway, "ended")
    return [(ended[each.number] - each.left_ns) / 1e6 for each in running]


def leave_at_once(
    stage: Stage, profile: str, tool: str, waiting: int = QUEUED, **args: float
) -> Tuple[List[float], float, int]:
    """200 run and others wait; those that wait leave, then the others. Stop times, time for the queue, marks."""
    slots = str(RUNNING // WORKERS)
    options = ("--workers", str(WORKERS), "--pools-default-profile", profile, "--pools-default-slots", slots)
    with Gateway(stage, *options, "--pools-default-queue-limit", str(waiting)) as gateway:
        running = [Leaver(gateway, tool, number, seconds=SPIN_SECONDS, **args) for number in range(RUNNING)]
        wait_for("all to run", lambda: len(noted(gateway, "begun")) == RUNNING, 60)
        queued = [Leaver(gateway, "mark", number) for number in range(waiting)]
        wait_for("all to wait", lambda: queue_depth(gateway) == waiting)
        for each in queued:
            each.leave()
        emptied = wait_for("the queue to be left", lambda: queue_depth(gateway) == 0)
        stopped = leave_while_running(gateway, running)
        marks = gateway.folder / "marks"
        ran = marks.stat().st_size // 8 if marks.exists() else 0
        return stopped, emptied, ran


def leave_in_turns(stage: Stage) -> List[float]:
    """Eight busy processes, left 25 times over."""
    samples: List[float] = []
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        for turn in range(RUNNING // WORKERS):
            numbers = range(turn * WORKERS, (turn + 1) * WORKERS)
            samples += leave_while_running(
                gateway, [Leaver(gateway, "spin", number, seconds=SPIN_SECONDS) for number in numbers]
            )
    return samples


def leave_c_code(stage: Stage) -> Tuple[List[float], float]:
    """Milliseconds until the worker's process is gone, and until the pool is whole again."""
    grace = ("--pools-default-cancel-grace", f"{GRACE_SECONDS}s")
    with Gateway(stage, "--workers", str(WORKERS), *grace) as gateway:
        pids = [int(each["pid"]) for each in gateway.workers()]
        leavers = [Leaver(gateway, "grind", number) for number in range(WORKERS)]
        wait_for("all to run", lambda: len(noted(gateway, "begun")) == WORKERS)
        start = time.monotonic()
        for each in leavers:
            each.leave()
        gone: Dict[int, float] = {}

        def look() -> bool:
            for pid in pids:
                if pid not in gone and not os.path.exists(f"/proc/{pid}"):
                    gone[pid] = (time.monotonic() - start) * 1000
            return len(gone) == len(pids)

        wait_for("the workers to be killed", look)
        whole = wait_for("the pool to be whole", lambda: len(gateway.workers()) == WORKERS)
        return list(gone.values()), whole * 1000


def leaving(stage: Stage) -> List[Row]:
    """In every profile, and with C code that cannot be interrupted."""
    threads, emptied, ran = leave_at_once(stage, "thread", "spin", pause=PAUSE_SECONDS)
    crowded, _, crowded_ran = leave_at_once(stage, "thread", "spin")
    tasks, tasks_emptied, tasks_ran = leave_at_once(stage, "async", "rest")
    ran += crowded_ran + tasks_ran
    processes = leave_in_turns(stage)
    killed, whole = leave_c_code(stage)
    medians = [percentile(samples, 0.5) for samples in (processes, threads, tasks)]
    limit = GRACE_SECONDS * 1000 + 100
    parts = ", ".join(
        f"{name} {percentile(samples, 0.5):.1f} (max {max(samples):.0f})"
        for name, samples in (("processes", processes), ("threads", threads), ("tasks", tasks))
    )
    return [
        Row(
            "1,000 clients leave while queued, 200 while running",
            "none queued ran; running stopped in < 50 ms median; C code killed at the grace (+ 100 ms)",
            f"{ran} of {3 * QUEUED:,} queued ran (queue empty after {emptied * 1000:.0f} ms); "
            f"stopped after ms: {parts}; "
            f"in C, grace {GRACE_SECONDS * 1000:.0f}: {min(killed):.0f} to {max(killed):.0f}, "
            f"whole {whole:.0f} later "
            f"(not judged: 200 threads that never pause, {len(crowded) // (os.cpu_count() or 1)} a processor, "
            f"median {percentile(crowded, 0.5):.0f})",
            ran == 0 and max(medians) < 50 and max(killed) <= limit,
            {
                "processes_ms": processes,
                "threads_ms": threads,
                "tasks_ms": tasks,
                "crowded_ms": crowded,
                "killed_ms": killed,
                "emptied_ms": [emptied * 1000, tasks_emptied * 1000],
            },
        )
    ]
