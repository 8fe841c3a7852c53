"""Ten pools of which one cannot start: what do the others notice?

Snakepit 3, 4.
"""

import os
import signal
import time
from statistics import median
from typing import List

from stage import Every, Failure, Gateway, Load, Row, Stage, failed, tally, wait_for

POOLS = 10
BROKEN = 0
TURNS = 10
TURN_SECONDS = 5.0


def configuration() -> str:
    lines = ["pools:"]
    for number in range(POOLS):
        lines += [f"  - name: pool{number}", "    adapter: many_pools.Pool", "    workers: 1"]
        lines += ["    env:", f"      CHAOS_POOL: {number}"]
    return "\n".join(lines) + "\n"


def throughput(stage: Stage, gateway: Gateway, seconds: float) -> float:
    """Right answers a second of the nine; any other is a Failure."""
    loads = [
        Load(stage, gateway, seconds, f"work_{number}", connections=4) for number in range(POOLS) if number != BROKEN
    ]
    right = 0
    for load in loads:
        records = load.records()
        if len(failed(records)):
            raise Failure(f"calls of a healthy pool failed: {tally(failed(records))}")
        right += len(records)
    return right / seconds


def state(gateway: Gateway) -> dict:
    return gateway.ask("GET", f"/pools/pool{BROKEN}")


def break_it(gateway: Gateway) -> None:
    (gateway.folder / f"broken-{BROKEN}").touch()
    for worker in gateway.workers("starting", "ready", "busy"):
        if worker["pool"] == f"pool{BROKEN}" and worker["pid"]:
            os.kill(worker["pid"], signal.SIGKILL)


def mend_it(gateway: Gateway) -> None:
    (gateway.folder / f"broken-{BROKEN}").unlink()
    wait_for("the broken pool to be back", lambda: state(gateway)["workers"]["ready"] == 1, 60)


class Knocks:
    """Somebody still calls the broken pool: what is said to him, and after how many milliseconds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.codes: List[object] = []
        self.waits: List[float] = []

    def __call__(self) -> bool:
        begun = time.monotonic()
        answer = self._gateway.ask("POST", f"/tools/work_{BROKEN}", {"number": 1})
        self.waits.append(1000 * (time.monotonic() - begun))
        self.codes.append(answer.get("code"))
        return True


def one_crash_looping(stage: Stage) -> List[Row]:
    """The nine alone and beside the one that crashes, in turns."""
    alone: List[float] = []
    beside: List[float] = []
    seconds = TURN_SECONDS * max(stage.share, 0.3)
    with Gateway(stage, adapter=None, config=configuration()) as gateway:
        wait_for("all pools", lambda: len(gateway.workers()) == POOLS)
        throughput(stage, gateway, seconds)
        before = state(gateway)["counters"]["starts"]
        knocks = Knocks(gateway)
        for turn in range(stage.times(TURNS)):
            for broken in ((False, True), (True, False))[turn % 2]:
                if broken:
                    break_it(gateway)
                    with Every(0.2, knocks):
                        beside.append(throughput(stage, gateway, seconds))
                    mend_it(gateway)
                else:
                    alone.append(throughput(stage, gateway, seconds))
                time.sleep(0.2)
        starts = state(gateway)["counters"]["starts"] - before
    refused = knocks.codes.count("no_workers_available")
    ratio = median(b / a for a, b in zip(alone, beside))
    return [
        Row(
            f"ten pools, one crash-looping (in {len(beside)} turns each)",
            "the others' throughput within 5 % of alone; its callers are refused within a second",
            f"{ratio:.1%} of alone (median of pairs; {median(beside):,.0f}/s against {median(alone):,.0f}/s), "
            f"{starts} starts of the broken one; {refused} of {len(knocks.codes)} calls to it refused, "
            f"median {median(knocks.waits):.1f} ms, the slowest {max(knocks.waits):.0f} ms",
            ratio >= 0.95 and starts > len(beside) and refused == len(knocks.codes) and max(knocks.waits) < 1000,
            {"alone": alone, "beside": beside, "starts": starts, "knocks": len(knocks.codes), "refused": refused},
        )
    ]
