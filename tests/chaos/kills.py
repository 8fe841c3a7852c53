"""Workers that are killed, or kill themselves, under load.

Snakepit 26.
"""

import json
import time
from typing import List

import numpy

from stage import Every, Failure, Gateway, Killer, Load, Plain, Row, Stage
from stage import failed, milliseconds, percentile, tally

WORKERS = 4
KILL_SECONDS = 0.1
DEATHS = 300


def idempotent(stage: Stage) -> List[Row]:
    """A worker is killed every 100 ms; the calls may be repeated."""
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        Load(stage, gateway, 1, idempotent=True).records()
        quiet = Load(stage, gateway, stage.seconds(15), idempotent=True).records()
        load = Load(stage, gateway, stage.seconds(60), idempotent=True)
        with Every(KILL_SECONDS, Killer(gateway)) as kills:
            records = load.records()
        bad = failed(records)
        p99, quiet_p99 = (percentile(milliseconds(each), 0.99) for each in (records, quiet))
        counters = gateway.counters()
    figure = (
        f"{len(bad)} of {len(records):,} failed, {kills.done} kills; p99 {p99:.2f} ms = {p99 / quiet_p99:.1f} x "
        f"quiet {quiet_p99:.2f} ms; max {milliseconds(records).max():.0f} ms; {len(records) / load.seconds:,.0f}/s"
    )
    return [
        Row(
            "a worker killed every 100 ms for 60 s under full load, idempotent calls",
            "no call fails; p99 < 10 x quiet p99",
            figure,
            len(bad) == 0 and p99 < 10 * quiet_p99 and kills.done > 0,
            {"failed": tally(bad), "kills": kills.done, "p99_ms": p99, "quiet_p99_ms": quiet_p99, **counters},
        )
    ]


def not_idempotent(stage: Stage) -> List[Row]:
    """The same; each call says in a file that it runs."""
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        load = Load(stage, gateway, stage.seconds(60), "mark")
        with Every(KILL_SECONDS, Killer(gateway)) as kills:
            records = load.records()
        runs = numpy.bincount(numpy.fromfile(gateway.folder / "marks", "<u8").astype(int), minlength=len(records) + 1)
    bad = failed(records)
    silent = int(numpy.sum(bad["executed"] == b""))
    started = bad[bad["executed"] != b"n"]
    lies = int(numpy.sum(runs[bad[bad["executed"] == b"n"]["number"]] != 0))
    lies += int(numpy.sum(runs[records[records["status"] == 200]["number"]] != 1))
    twice = int(numpy.sum(runs > 1))
    figure = (
        f"{len(bad)} of {len(records):,} failed, {silent} without executed, {len(started)} started for "
        f"{kills.done} kills; {twice} ran twice, {lies} answers untrue; "
        f"p99 {percentile(milliseconds(records), 0.99):.2f} ms"
    )
    return [
        Row(
            "the same, not idempotent",
            "each failed call says `executed`; started calls failed <= kills; none ran twice",
            figure,
            silent == 0 and len(started) <= kills.done and twice == 0 and lies == 0 and kills.done > 0,
            {"failed": tally(bad), "kills": kills.done, "twice": twice, "untrue": lies},
        )
    ]


def one_death(gateway: Gateway, client: Plain, number: int) -> float:
    """Milliseconds from just before the tool's death to its caller's whole answer."""
    how = ("SIGKILL", "SIGSEGV", "SIGABRT")[number % 3]
    status, _, body = client.request(
        "POST", "/execute", json.dumps({"tool": "die", "args": {"number": number, "how": how}}).encode()
    )
    answered = time.monotonic_ns()
    problem = json.loads(body)
    if status != 502 or problem["code"] != "worker_crash" or problem["executed"] == "no":
        raise Failure(f"a death was answered with {body.decode()}")
    last, died = numpy.fromfile(gateway.folder / "deaths", "<u8")[-2:]
    if last != number:
        raise Failure("not the death that was expected")
    return (answered - int(died)) / 1e6


def crash_to_answer(stage: Stage) -> List[Row]:
    """Tools that die, with other calls all the while."""
    samples = []
    with Gateway(stage, "--workers", str(WORKERS)) as gateway:
        client = gateway.client()
        deaths = stage.times(DEATHS)
        load = Load(stage, gateway, deaths * 0.06 + 1, "hold", connections=2, args={"seconds": 0.002})
        for number in range(deaths):
            samples.append(one_death(gateway, client, number))
            time.sleep(0.05)
        bad = failed(load.records())
    p99 = percentile(samples, 0.99)
    return [
        Row(
            "crash to the caller's answer",
            "p99 < 10 ms",
            f"p99 {p99:.2f} ms, p50 {percentile(samples, 0.5):.2f} ms, max {max(samples):.2f} ms of {len(samples)} "
            f"(SIGKILL, SIGSEGV, SIGABRT); {len(bad)} other calls lost",
            p99 < 10 and len(bad) == 0,
            {"samples_ms": samples, "others_failed": tally(bad)},
        )
    ]
