"""More load than there is capacity."""

from typing import List

import numpy

from stage import Failure, Gateway, Load, Row, Stage, failed, milliseconds, percentile, tally

WORKERS = 4
RUN_SECONDS = 0.005
TIMEOUT_MS = 1000
TIMES = 5
STEP_WORKERS = 8
STEP_RUN_SECONDS = 0.02
SLACK_MS = 5  # the gateway's clock begins when it has read the request


def measure_overload(stage: Stage, gateway: Gateway, tool: str, workers: int) -> Row:
    """Capacity by a closed loop that keeps all workers busy, before and after five times as much by the clock."""
    settings = {"args": {"seconds": RUN_SECONDS}, "timeout_ms": TIMEOUT_MS}

    def capacity_now() -> float:
        seconds = stage.seconds(10)
        quiet = Load(stage, gateway, seconds, tool, connections=4 * workers, **settings).records()
        return (len(quiet) - len(failed(quiet))) / seconds

    before = capacity_now()
    seconds = stage.seconds(30)
    records = Load(stage, gateway, seconds, tool, connections=8000, rate=TIMES * before, **settings).records()
    capacity = (before + capacity_now()) / 2
    good = (records["status"] == 200) & (records["right"] == 1)
    took = milliseconds(records)
    in_time = records[good & (records["arrived"] - records["sent"].min() <= seconds * 1e9)]
    goodput = len(in_time) / seconds / capacity
    behind = (records["sent"] - records["due"]) / 1e6
    unread = (records["done"] - records["arrived"]) / 1e6
    late = int(numpy.sum(good & (took > TIMEOUT_MS + SLACK_MS)))
    by_code = {code.decode(): took[records["label"] == code] for code in set(records["label"][~good])}
    refused = numpy.concatenate([by_code.get(code, []) for code in ("pool_saturated", "deadline_unreachable")])
    waited = int(numpy.sum(~good & (took > TIMEOUT_MS / 2)))
    refusal = percentile(refused, 0.5)
    return Row(
        f"five times more load than capacity for 30 s ({tool}, {RUN_SECONDS * 1000:.0f} ms, {workers} workers)",
        "goodput >= 90 % of capacity; refusals < 5 ms median; "
        "no accepted call past its deadline (+ 5 ms)",
        f"goodput {goodput:.1%} of {capacity:,.0f}/s; {len(refused):,} refused, median {refusal:.2f} ms, p99 "
        f"{percentile(refused, 0.99):.2f} ms; {late} of {good.sum():,} late (slowest {took[good].max():.0f} of "
        f"{TIMEOUT_MS} ms), {waited} waited in vain; "
        f"client itself behind p99 {percentile(behind, 0.99):.1f}, at most {behind.max():.0f} ms in sending, "
        f"{unread.max():.0f} ms in reading, neither of which is in the times",
        goodput >= 0.9 and refusal < 5 and late == 0,
        {"answers": tally(records[~good]), "median_ms": {code: float(numpy.median(t)) for code, t in by_code.items()}},
    )


def overload(stage: Stage) -> List[Row]:
    """Once with a tool that waits (as for a GPU), once with one that needs the processor that the gateway needs too."""
    rows = []
    for tool, workers in (("hold", WORKERS), ("burn", 2)):
        with Gateway(stage, "--workers", str(workers)) as gateway:
            Load(stage, gateway, 1, tool, args={"seconds": RUN_SECONDS}).records()
            rows.append(measure_overload(stage, gateway, tool, workers))
    return rows


def seconds_to_all_workers(records: numpy.ndarray) -> float:
    """From the first request to the first answer of the last worker."""
    firsts = [records["done"][records["label"] == worker].min() for worker in set(records["label"])]
    if len(firsts) != STEP_WORKERS:
        raise Failure(f"{len(firsts)} workers answered")
    return float(max(firsts) - records["sent"].min()) / 1e9


def scaling(stage: Stage) -> List[Row]:
    """One worker is idle, then eight times its capacity arrives at once."""
    samples, rates = [], []
    limits = ("--pools-default-min-workers", "1", "--pools-default-max-workers", str(STEP_WORKERS))
    for _ in range(stage.times(10)):
        with Gateway(stage, *limits) as gateway:
            Load(stage, gateway, 0.5, "hold", connections=1, args={"seconds": STEP_RUN_SECONDS}).records()
            load = Load(stage, gateway, 3, "hold", connections=64, args={"seconds": STEP_RUN_SECONDS})
            records = load.records()
        if len(failed(records)):
            raise Failure(f"calls failed: {tally(failed(records))}")
        samples.append(seconds_to_all_workers(records) * 1000)
        late = records["done"] > records["sent"].min() + 10**9
        rates.append(numpy.sum(late) / 2 * STEP_RUN_SECONDS / STEP_WORKERS)
    worst = max(samples)
    return [
        Row(
            "scaling 1 to 8 workers under a step of load: time until all eight have answered",
            "< 500 ms",
            f"median {percentile(samples, 0.5):.0f} ms, slowest {worst:.0f} ms of {len(samples)}, with a call's "
            f"{STEP_RUN_SECONDS * 1000:.0f} ms; after a second {percentile(rates, 0.5):.0%} of what eight can do",
            worst < 500,
            {"samples_ms": samples},
        )
    ]
