"""More load than there is capacity."""

from typing import List

import numpy

from stage import Gateway, Load, Row, Stage, failed, milliseconds, percentile, tally, wait_for

WORKERS = 4
RUN_SECONDS = 0.005
TIMEOUT_MS = 1000
TIMES = 5
STEP_WORKERS = 8
STEP_RUN_SECONDS = 0.02
WINDOW = 0.1  # seconds over which a rate is taken


def measure_overload(stage: Stage, gateway: Gateway, tool: str, workers: int, first: int) -> Row:
    """Capacity by a closed loop that keeps all workers busy, then five times as much by the clock."""
    settings = {"args": {"seconds": RUN_SECONDS}, "timeout_ms": TIMEOUT_MS}
    seconds = stage.seconds(10)
    quiet = Load(stage, gateway, seconds, tool, connections=4 * workers, first=first, **settings).records()
    capacity = (len(quiet) - len(failed(quiet))) / seconds
    seconds = stage.seconds(30)
    first += len(quiet) + 1
    load = Load(stage, gateway, seconds, tool, connections=8000, rate=TIMES * capacity, first=first, **settings)
    records = load.records()
    good = (records["status"] == 200) & (records["right"] == 1)
    took = milliseconds(records)
    in_time = records[good & (records["done"] - records["sent"].min() <= seconds * 1e9)]
    goodput = len(in_time) / seconds / capacity
    late = int(numpy.sum(good & (took > TIMEOUT_MS)))
    by_code = {code.decode(): took[records["label"] == code] for code in set(records["label"][~good])}
    refused = numpy.concatenate([by_code.get(code, []) for code in ("pool_saturated", "deadline_unreachable")])
    waited = int(numpy.sum(~good)) - len(refused)
    refusal = percentile(refused, 0.5)
    lag = percentile((records["sent"] - records["due"]) / 1e6, 0.99)
    return Row(
        f"five times more load than capacity for 30 s ({tool}, {RUN_SECONDS * 1000:.0f} ms, {workers} workers)",
        "goodput >= 90 % of capacity; refusals < 5 ms median; no accepted call past its deadline",
        f"goodput {goodput:.1%} of {capacity:,.0f}/s; {len(refused):,} refused, median {refusal:.2f} ms, p99 "
        f"{percentile(refused, 0.99):.2f} ms; {late} of {good.sum():,} late (slowest {took[good].max():.0f} of "
        f"{TIMEOUT_MS} ms), {waited} waited in vain; client behind p99 {lag:.2f} ms",
        goodput >= 0.9 and refusal < 5 and late == 0,
        {"answers": tally(records[~good]), "median_ms": {code: float(numpy.median(t)) for code, t in by_code.items()}},
    )


def overload(stage: Stage) -> List[Row]:
    """Once with a tool that waits (as for a GPU), once with one that needs the processor that the gateway needs too."""
    rows = []
    for tool, workers in (("hold", WORKERS), ("burn", 2)):
        with Gateway(stage, "--workers", str(workers)) as gateway:
            Load(stage, gateway, 1, tool, args={"seconds": RUN_SECONDS}).records()
            rows.append(measure_overload(stage, gateway, tool, workers, 100_000))
    return rows


def seconds_to_full_rate(done: numpy.ndarray, start: int, end: int) -> float:
    """Until the first answer of the first window with 90 % of the rate of the last second."""
    full = numpy.sum(done >= end - 1e9)
    times = numpy.sort(done)
    inside = numpy.searchsorted(times, times + WINDOW * 1e9) - numpy.arange(len(times))
    return float((times[numpy.argmax(inside >= 0.9 * full * WINDOW)] - start) / 1e9)


def scaling(stage: Stage) -> List[Row]:
    """One worker is idle, then eight times its capacity arrives at once."""
    samples = []
    limits = ("--pools-default-min-workers", "1", "--pools-default-max-workers", str(STEP_WORKERS))
    for _ in range(stage.times(10)):
        with Gateway(stage, *limits) as gateway:
            Load(stage, gateway, 0.5, "hold", connections=1, args={"seconds": STEP_RUN_SECONDS}).records()
            load = Load(stage, gateway, 3, "hold", connections=64, args={"seconds": STEP_RUN_SECONDS})
            records = load.records()
            wait_for("eight workers", lambda: len(gateway.workers()) == STEP_WORKERS)
            start = int(records["sent"].min())
            samples.append(seconds_to_full_rate(records["done"], start, start + 3 * 10**9) * 1000)
            if len(failed(records)):
                return [Row("scaling", "", f"calls failed: {tally(failed(records))}", False)]
    worst = max(samples)
    return [
        Row(
            "scaling 1 to 8 workers under a step of load: time to full rate",
            "500 ms",
            f"median {percentile(samples, 0.5):.0f} ms, slowest {worst:.0f} ms of {len(samples)}",
            worst < 500,
            {"samples_ms": samples},
        )
    ]
