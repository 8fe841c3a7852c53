"""Workers that are replaced while they work: by the API, by a reload, because their memory has grown."""

import json
import os
import random
import time
from pathlib import Path
from typing import Dict, List

from stage import Every, Failure, Gateway, Load, Row, Stage, failed, milliseconds, percentile, tally, wait_for

WORKERS = 4
RECYCLES_A_MINUTE = 100
RELOADS_A_MINUTE = 5
MIB = 1 << 20
LEAK = MIB // 4
LIMIT = 128 * MIB
CALLS = 36_000  # ten a second for an hour
LEAK_SECONDS = 40  # in which they are made


class Renewer:
    """Recycles a worker at random, or reloads the pool, each time it is called; keeps one connection."""

    def __init__(self, gateway: Gateway, reload: bool) -> None:
        self._gateway, self._client = gateway, gateway.client()
        self._reload = reload

    def _ask(self, method: str, path: str) -> int:
        status, _, body = self._client.request(method, path)
        if status not in (200, 202, 404, 409):
            raise Failure(f"{path}: {status} {body.decode()}")
        return status

    def __call__(self) -> bool:
        if self._reload:  # seldom, and a connection that says nothing for 10 s is closed
            return self._gateway.ask("POST", "/pools/default/reload")["status"] == 202
        _, _, body = self._client.request("GET", "/workers")
        able = [
            each["id"]
            for each in json.loads(body)["workers"]
            if each["state"] in ("ready", "busy") and not each["retiring"]
        ]
        return bool(able) and self._ask("POST", f"/workers/{random.choice(able)}/recycle") == 202


def recycles_and_reloads(stage: Stage) -> List[Row]:
    """Both, under full load."""
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        Load(stage, gateway, 1).records()
        quiet = Load(stage, gateway, stage.seconds(10)).records()
        seconds = stage.seconds(60)
        load = Load(stage, gateway, seconds)
        with Every(60 / RECYCLES_A_MINUTE, Renewer(gateway, False)) as recycles:
            with Every(60 / RELOADS_A_MINUTE - 1, Renewer(gateway, True)) as reloads:
                records = load.records()
        counters = gateway.counters()
        reloaded = sum(entry["event"] == "pool reloaded" for entry in gateway.log())
    bad = failed(records)
    p99, quiet_p99 = (percentile(milliseconds(each), 0.99) for each in (records, quiet))
    return [
        Row(
            "100 recycles and 5 full reloads a minute under load",
            "no call fails, none is refused",
            f"{len(bad)} of {len(records):,} failed; {recycles.done} recycles, {reloads.done} reloads in {seconds:.0f} "
            f"s, {counters['recycled']} workers replaced; p99 {p99:.2f} ms = {p99 / quiet_p99:.1f} x quiet",
            len(bad) == 0 and recycles.done > 0 and reloads.done > 0,
            {"failed": tally(bad), "reloads_done": reloaded, "p99_ms": p99, "quiet_p99_ms": quiet_p99, **counters},
        )
    ]


class Memory:
    """Notes the resident memory of every worker each time it is called."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway.process.pid
        self.most: Dict[int, int] = {}
        self.most_in_all = 0

    def __call__(self) -> bool:
        children = Path(f"/proc/{self._gateway}/task/{self._gateway}/children").read_text().split()
        now: Dict[int, int] = {}
        for pid in children:
            try:
                now[int(pid)] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, IndexError):
                continue
        for pid, resident in now.items():
            self.most[pid] = max(resident, self.most.get(pid, 0))
        self.most_in_all = max(self.most_in_all, sum(now.values()))
        return True


def leak(stage: Stage) -> List[Row]:
    """Every call keeps 256 KiB; an hour's calls in a minute. Without a limit that were 9 GiB."""
    calls, seconds = CALLS * stage.share, stage.seconds(LEAK_SECONDS)
    with Gateway(stage, "--workers", str(WORKERS), "--pools-default-recycle-max-memory", str(LIMIT)) as gateway:
        memory = Memory(gateway)
        load = Load(stage, gateway, seconds, "leak", rate=calls / seconds, connections=500, args={"size": LEAK})
        with Every(0.01, memory):
            records = load.records()
        recycled = gateway.counters()["recycled"]
        time.sleep(1)
        wait_for("the pool to be whole", lambda: len(gateway.workers()) == WORKERS)
    bad = failed(records)
    most = max(memory.most.values())
    # A limited worker is measured ten times a second and serves until its replacement is ready.
    allowed = LIMIT + 0.3 * LEAK * calls / seconds
    return [
        Row(
            "memory-leaking tool under a resident limit, an hour's calls compressed",
            f"worker < {allowed / MIB:.0f} MiB (limit {LIMIT // MIB} + what leaks in 0.3 s), no call lost",
            f"{len(bad)} of {len(records):,} lost; worker at most {most / MIB:.0f} MiB, all "
            f"{memory.most_in_all / MIB:.0f} MiB, {len(records) * LEAK / MIB:,.0f} MiB leaked, {recycled} recycled; "
            f"p99 {percentile(milliseconds(records), 0.99):.2f} ms",
            len(bad) == 0 and most < allowed and recycled > 0,
            {"failed": tally(bad), "most_bytes": most, "workers": len(memory.most), "recycled": recycled},
        )
    ]
