"""Requests that kill their workers from inside, with taint, poison, breaker and backoff as they are by default.

Snakepit 66, 67, 69.
"""

import itertools
import json
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy

from stage import Every, Failure, Gateway, Load, Plain, Row, Stage
from stage import failed, milliseconds, percentile, tally, wait_for

WORKERS = 4
KILL_SECONDS = 0.1
COPIES = 40
POISON_AFTER = 3  # this and the next are the gateway's defaults
BREAKER_THRESHOLD = 5
BREAKER_OPEN_SECONDS = 2.0  # the default of 30 would take most of the run
BACKOFF_SECONDS = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]  # before each restart of one worker after another


class Killers:
    """A caller whose every call kills its worker by SIGSEGV. What it is answered, by code, with the milliseconds."""

    numbers = itertools.count(1 << 40)  # no two requests alike, unless one is given

    def __init__(self, gateway: Gateway) -> None:
        self._client = gateway.client()
        self.answers: Dict[str, List[float]] = {}

    def __call__(self, number: int = 0) -> bool:
        args = {"number": number or next(self.numbers), "how": "SIGSEGV"}
        begun = time.monotonic()
        status, _, body = self._client.request("POST", "/execute", json.dumps({"tool": "die", "args": args}).encode())
        problem = json.loads(body)
        if status == 502 and (problem["crash"]["classification"], problem["executed"]) != ("segfault", "maybe"):
            raise Failure(f"a death was answered with {body.decode()}")
        self.answers.setdefault(problem["code"], []).append((time.monotonic() - begun) * 1000)
        return status == 502

    def close(self) -> None:
        self._client.close()

    def count(self, code: str) -> int:
        return len(self.answers.get(code, []))


def deaths(folder: Path) -> numpy.ndarray:
    """The number of each call that died, as the tools have written them."""
    path = folder / "deaths"
    return numpy.fromfile(path, "<u8")[::2] if path.exists() else numpy.array([], "<u8")


def is_whole(gateway: Gateway) -> bool:
    return len(gateway.workers()) == WORKERS


def calls_of_the_tainted(gateway: Gateway, killer: Killers) -> int:
    """One worker dies; a hundred calls come one after the other. How many of them its replacement gets."""
    killer()
    wait_for("the pool to be whole", lambda: is_whole(gateway))
    tainted = [each["id"] for each in gateway.workers() if each["tainted"]]
    if len(tainted) != 1:
        raise Failure(f"{len(tainted)} workers are tainted after one death")
    client: Plain = gateway.client()
    for number in range(100):
        client.request("POST", "/execute", json.dumps({"tool": "echo", "args": {"number": number}}).encode())
    client.close()
    return sum(int(each["calls_done"]) for each in gateway.workers() if each["id"] in tainted)


def at_once(gateway: Gateway, count: int, what: Callable[[Killers], object]) -> Dict[str, int]:
    """`count` callers do that at the same time: how many answers of each code."""
    killers = [Killers(gateway) for _ in range(count)]
    threads = [threading.Thread(target=what, args=(each,)) for each in killers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = {code for each in killers for code in each.answers}
    for each in killers:
        each.close()
    return {code: sum(each.count(code) for each in killers) for code in sorted(codes)}


def beside(stage: Stage) -> List[Row]:
    """Full load of calls that may not be repeated, and among it a killer every 100 ms, and then 40 copies of one."""
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        Load(stage, gateway, 1, "mark").records()
        quiet = Load(stage, gateway, stage.seconds(15), "mark").records()
        (gateway.folder / "marks").unlink()
        killer = Killers(gateway)
        to_tainted = calls_of_the_tainted(gateway, killer)
        load = Load(stage, gateway, stage.seconds(60), "mark")
        with Every(KILL_SECONDS, killer) as kills:
            time.sleep(max(0.5, load.seconds - 1))
        copies = at_once(gateway, COPIES, lambda each: each(1))
        records = load.records()
        runs = numpy.bincount(numpy.fromfile(gateway.folder / "marks", "<u8").astype(int), minlength=len(records) + 1)
        of_one = int(numpy.sum(deaths(gateway.folder) == 1))
        pool = gateway.ask("GET", "/pools/default")
    bad = failed(records)
    twice = int(numpy.sum(runs > 1))
    p99, quiet_p99 = (percentile(milliseconds(each), 0.99) for each in (records, quiet))
    opened = pool["breaker"]["opened"]
    most = POISON_AFTER - 1 + WORKERS
    only_known = set(copies) <= {"worker_crash", "poison_request"}
    return [
        Row(
            "a call that kills its worker by SIGSEGV every 100 ms for 60 s under full load, not idempotent",
            "no other call fails, none runs twice; p99 < 10 x quiet p99; breaker closed; replacements come last",
            f"{len(bad)} of {len(records):,} others failed, {twice} ran twice, {kills.done} killers; "
            f"p99 {p99:.2f} ms = {p99 / quiet_p99:.1f} x quiet {quiet_p99:.2f} ms; breaker opened {opened} times; "
            f"{to_tainted} of 100 calls went to the replacement while others were idle",
            not len(bad) and not twice and p99 < 10 * quiet_p99 and not opened and not to_tainted and kills.done > 0,
            {"failed": tally(bad), "twice": twice, "kills": kills.done, "opened": opened, "to_tainted": to_tainted},
        ),
        Row(
            f"{COPIES} copies of one such call at once, among the same load",
            f"it kills at most poison_after - 1 + workers = {most}; the other copies are 422",
            f"{of_one} workers died; answers: {copies}",
            of_one <= most and only_known and sum(copies.values()) == COPIES,
            {"deaths": of_one, "copies": copies, "most": most},
        ),
    ]


def refusals(killers: List[Killers], code: str) -> List[float]:
    return [each for killer in killers for each in killer.answers.get(code, [])]


def hammer(gateway: Gateway, seconds: float) -> List[Killers]:
    """As many killers as workers, one after the other without a pause but after a refusal."""
    killers = [Killers(gateway) for _ in range(WORKERS)]
    end = time.monotonic() + seconds

    def run(killer: Killers) -> None:
        while time.monotonic() < end:
            if not killer():
                time.sleep(0.005)

    threads = [threading.Thread(target=run, args=(each,)) for each in killers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in killers:
        each.close()
    return killers


def seconds_to_service(gateway: Gateway) -> float:
    """Until a call that harms nobody is answered with its result."""
    body = {"tool": "echo", "args": {"number": 1}}
    return wait_for("service", lambda: gateway.ask("POST", "/execute", body)["status"] == 200, 60)


def measure_alone(stage: Stage, *options: str) -> Tuple[List[Killers], int, float, Dict[str, object]]:
    """Nothing but killers: themselves, deaths, seconds until others are served again, how the pool stood."""
    with Gateway(stage, "--workers", str(WORKERS), *options) as gateway:
        killers = hammer(gateway, stage.seconds(20))
        died = len(deaths(gateway.folder))
        pool = gateway.ask("GET", "/pools/default")
        return killers, died, seconds_to_service(gateway), pool


def opening(stage: Stage) -> Row:
    """The breaker opens, and lets through one call each time that its time is over."""
    seconds = stage.seconds(20)
    options = ("--pools-default-breaker-open-for", f"{BREAKER_OPEN_SECONDS}s")
    killers, died, back, pool = measure_alone(stage, *options)
    refused = refusals(killers, "circuit_open")
    median = percentile(refused, 0.5)
    most = BREAKER_THRESHOLD + WORKERS - 1 + int(seconds / BREAKER_OPEN_SECONDS)
    return Row(
        "nothing but calls that kill, each of another request",
        f"deaths <= threshold + workers - 1 + trials = {most}; refusals < 5 ms median; then others are served",
        f"{died} workers died in {seconds:.0f} s, the breaker opened {pool['breaker']['opened']} times; "
        f"{len(refused):,} refused with circuit_open, median {median:.2f} ms; another call served {back:.1f} s later",
        died <= most and median < 5 and back <= BREAKER_OPEN_SECONDS + 1,
        {"deaths": died, "most": most, "refused": len(refused), "back_s": back},
    )


def slowing(stage: Stage) -> Row:
    """The same with nothing to stop them but that workers are started ever more slowly."""
    seconds = stage.seconds(20)
    killers, died, back, _ = measure_alone(stage, "--pools-default-breaker-threshold", "0")
    refused = refusals(killers, "no_workers_available")
    rounds = 1 + sum(1 for total in itertools.accumulate(BACKOFF_SECONDS) if total < seconds)
    rounds += max(0, int((seconds - sum(BACKOFF_SECONDS)) / BACKOFF_SECONDS[-1]) + 1)
    median = percentile(refused, 0.5)
    most = WORKERS * rounds
    return Row(
        "the same without a breaker",
        f"deaths <= {most}, since restarts slow down from 50 ms to 5 s; refusals < 5 ms median; then others are served",
        f"{died} workers died in {seconds:.0f} s; {len(refused):,} refused with no_workers_available, "
        f"median {median:.2f} ms; another call served {back:.1f} s later",
        died <= most and median < 5 and back <= BACKOFF_SECONDS[-1] + 1,
        {"deaths": died, "most": most, "refused": len(refused), "back_s": back},
    )


def alone(stage: Stage) -> List[Row]:
    """Only killers."""
    return [opening(stage), slowing(stage)]
