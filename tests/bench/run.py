#!/usr/bin/python3
"""Measures the gateway beside FastAPI in one run and prints a table: value, rival, ratio, bar.

    run.py [--quick] [--build DIR] [--json FILE] [ROW…]      run.py --list

Repeats are interleaved (ours, rival, ours, …), so that a noisy moment of the machine meets both;
numbers are medians. Nothing is pinned to a core. Everything is on 127.0.0.1. Exit code 1 when a
measurement failed: an error response, a server that died. A bar that is missed is only reported.

Snakepit 25.
"""

import argparse
import dataclasses
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Callable, Dict, List, Optional

import httpx
import large
import stream_rows
import tool_calls
from load import ECHO, Plain, h2load, latency, wrk
from row import Row, percentile, rate_row
from servers import FastApi, Failure, Gateway, Server, versions

ROOT = Path(__file__).resolve().parents[2]
IDLE_CONNECTIONS = 5000
IDLE_SECONDS = 4  # the gateway gives memory back once connections have been idle for a second or two


class Bench:
    """The settings of a run, and what every row needs."""

    def __init__(self, build: Path, quick: bool) -> None:
        self.binary = build / "snakepit"
        self.latency_client = build / "tests" / "bench" / "bench_latency"
        self.repeats = 3 if quick else 5
        self.seconds = 2 if quick else 4
        self.starts = 5 if quick else 15
        self.kills = 10 if quick else 100
        self.pool_kills = 4 if quick else 20
        self.exchanges = 2000 if quick else 10000
        self.httpx_exchanges = 30 if quick else 100
        self.chunks = 200000 if quick else 1000000
        self.first_chunks = 300 if quick else 1000
        self.stream_seconds = 5 if quick else 20
        self.stop_seconds = 5 if quick else 30

    def gateway(
        self, workers: Optional[int], *args: str, adapter: Optional[str] = "bench_tools"
    ) -> Gateway:
        return Gateway(self.binary, workers, *args, adapter=adapter)

    def side_by_side(
        self, ours: Callable[[Server], float], rivals: Callable[[Server], float], workers: int = 1
    ) -> Dict[str, List[float]]:
        """Interleaved samples of both; each is warmed up for a second."""
        samples: Dict[str, List[float]] = {"samples": [], "rival_samples": []}
        with self.gateway(workers) as gateway, FastApi() as rival:
            wrk(gateway.port, "/execute", 1, 16)
            wrk(rival.port, "/execute", 1, 16)
            for _ in range(self.repeats):
                samples["samples"].append(ours(gateway))
                samples["rival_samples"].append(rivals(rival))
        return samples


# --- the rows ---


def echo_h1(bench: Bench) -> List[Row]:
    def load(server: Server) -> float:
        return wrk(server.port, "/execute", bench.seconds, 64)

    samples = bench.side_by_side(load, load)
    return [
        rate_row(
            samples, name="echo_h1", what="echo, HTTP/1.1, 64 connections, 1 worker", bar=3, hoped=5
        )
    ]


def echo_h2c(bench: Bench) -> List[Row]:
    samples = bench.side_by_side(
        lambda server: h2load(server.port, "/execute", bench.seconds, 16, 8),
        lambda server: wrk(server.port, "/execute", bench.seconds, 64),
    )
    return [
        rate_row(
            samples,
            name="echo_h2c",
            what="echo, h2c, 16 connections x 8 streams, 1 worker",
            bar=4,
            hoped=7,
        )
    ]


def echo_8_workers(bench: Bench) -> List[Row]:
    def load(server: Server) -> float:
        return wrk(server.port, "/execute", bench.seconds, 64)

    samples = bench.side_by_side(load, load, workers=8)
    return [
        rate_row(samples, name="echo_8_workers", what="echo, HTTP/1.1, 64 connections, 8 workers")
    ]


def binary_64k(bench: Bench) -> List[Row]:
    body = os.urandom(65536)

    def load(server: Server) -> float:
        return wrk(
            server.port, "/tools/mirror", bench.seconds, 16, body, "application/octet-stream"
        )

    samples = bench.side_by_side(load, load)
    return [
        rate_row(
            samples,
            name="binary_64k",
            what="64 KiB there and back, HTTP/1.1, 16 connections, 1 worker",
        )
    ]


def session_calls(bench: Bench) -> List[Row]:
    """Calls of 100 sessions in turn against calls of none, both to the gateway."""
    bound = b'{"tool":"echo","args":{"message":"hello"},"session_id":"session-%d"}'
    samples: Dict[str, List[float]] = {"samples": [], "rival_samples": []}
    with bench.gateway(4) as gateway:
        wrk(gateway.port, "/execute", 1, 64, bound, sessions=100)
        for _ in range(bench.repeats):
            for key, body in (("samples", bound), ("rival_samples", ECHO)):
                rate = wrk(gateway.port, "/execute", bench.seconds, 64, body, sessions=100)
                samples[key].append(rate)
    return [
        rate_row(
            samples,
            name="session_calls",
            what="calls of 100 sessions, 64 connections, 4 workers, against calls of none",
            bar=0.9,
            hoped=1.0,
        )
    ]


def idle_latency(bench: Bench) -> List[Row]:
    tails: List[float] = []

    def ours(server: Server) -> float:
        times = latency(bench.latency_client, server.port, bench.exchanges)
        tails.append(times["p99_us"])
        return times["p50_us"]

    samples = bench.side_by_side(
        ours, lambda server: latency(bench.latency_client, server.port, bench.exchanges)["p50_us"]
    )
    row = Row(
        name="idle_latency",
        what="echo, one connection, no load: median",
        unit="us",
        value=median(samples["samples"]),
        rival=median(samples["rival_samples"]),
        bar=1.5,
        hoped=1.1,
        note=f"p99 {median(tails):.0f} us",
        **samples,
    )
    return [row]


def httpx_latency(bench: Bench) -> List[Row]:
    """httpx writes head and body in two pieces, and waits in between for the head's acknowledgement."""
    client = httpx.Client(trust_env=False)

    def measure(server: Server) -> float:
        times = []
        for _ in range(bench.httpx_exchanges):
            start = time.perf_counter()
            client.post(f"http://127.0.0.1:{server.port}/execute", content=ECHO).raise_for_status()
            times.append((time.perf_counter() - start) * 1000)
        return median(times)

    samples = bench.side_by_side(measure, measure)
    row = Row(
        name="httpx_latency",
        what="echo, one connection of httpx: median",
        unit="ms",
        value=median(samples["samples"]),
        rival=median(samples["rival_samples"]),
        **samples,
    )
    return [row]


def start_8_workers(bench: Bench) -> List[Row]:
    """From exec to the ready line, against one interpreter that imports what every worker needs."""
    rival = ["/usr/bin/python3", "-c", "import grpc, google.protobuf"]
    ours: List[float] = []
    theirs: List[float] = []
    for _ in range(bench.starts + 1):
        with bench.gateway(8) as gateway:
            ours.append(gateway.ready_s * 1000)
            if len(ready_pids(Plain(gateway.port))) != 8:
                raise Failure("ready, but not 8 workers")
        start = time.perf_counter()
        subprocess.run(rival, check=True)
        theirs.append((time.perf_counter() - start) * 1000)
    row = Row(
        name="start_8_workers",
        what="exec of snakepit to 8 workers ready, against one `import grpc, google.protobuf`",
        unit="ms",
        value=median(ours[1:]),
        rival=median(theirs[1:]),
        bar=3,
        hoped=1.5,
        samples=ours[1:],
        rival_samples=theirs[1:],
    )
    return [row]


def ready_pids(client: Plain) -> List[int]:
    """Process ids of the workers that take calls."""
    status, _, body = client.request("GET", "/workers")
    if status != 200:
        raise Failure(f"/workers: {status}")
    return [
        worker["pid"]
        for worker in json.loads(body)["workers"]
        if worker["state"] in ("ready", "busy")
    ]


def time_to_next_answer(client: Plain, pid: int) -> float:
    """Milliseconds from SIGKILL to the first answer of another worker."""
    _, headers, _ = client.request("POST", "/tools/echo", b"{}")
    before = headers["x-snakepit-worker"]
    start = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while time.perf_counter() - start < 20:
        status, headers, _ = client.request("POST", "/tools/echo", b"{}")
        if status == 200 and headers["x-snakepit-worker"] != before:
            return (time.perf_counter() - start) * 1000
        if status not in (200, 502, 503):
            raise Failure(f"after a kill: {status}")
    raise Failure("no replacement within 20 s")


def replacement(bench: Bench) -> List[Row]:
    """One worker with numpy loaded is killed, again and again."""
    samples: List[float] = []
    with bench.gateway(1, "--preload", "numpy") as gateway:
        client = Plain(gateway.port)
        for _ in range(bench.kills):
            (pid,) = ready_pids(client)
            samples.append(time_to_next_answer(client, pid))
    row = Row(
        name="replacement",
        what=f"worker killed to replacement serving, numpy preloaded, p99 of {bench.kills}",
        unit="ms",
        value=percentile(samples, 0.99),
        bar=50,
        hoped=15,
        absolute=True,
        samples=samples,
        note=f"p50 {median(samples):.1f} ms",
    )
    return [row]


def time_to_whole(client: Plain, victim: int, count: int) -> float:
    start = time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    while time.perf_counter() - start < 20:
        pids = ready_pids(client)
        if victim not in pids and len(pids) == count:
            return (time.perf_counter() - start) * 1000
    raise Failure("the pool was not whole within 20 s")


def pool_whole_again(bench: Bench) -> List[Row]:
    """One of four workers is killed: until all four are ready again."""
    samples: List[float] = []
    with bench.gateway(4, "--preload", "numpy") as gateway:
        client = Plain(gateway.port)
        for _ in range(bench.pool_kills):
            samples.append(time_to_whole(client, random.choice(ready_pids(client)), 4))
    row = Row(
        name="pool_whole_again",
        what=f"1 of 4 workers killed to 4 ready in /workers, p99 of {bench.pool_kills}",
        unit="ms",
        value=percentile(samples, 0.99),
        samples=samples,
        note=f"p50 {median(samples):.1f} ms",
    )
    return [row]


def memory(bench: Bench) -> List[Row]:
    """Resident memory of the gateway's own process, and of FastAPI's for comparison."""
    idle: List[float] = []
    crowded: List[float] = []
    at_once: List[float] = []
    with bench.gateway(1) as gateway, FastApi() as rival:
        for server in (gateway, rival):
            client = Plain(server.port)
            for _ in range(10):
                client.request("POST", "/execute", b'{"tool":"echo"}')
            idle.append(server.resident_mib())
            crowd = [Plain(server.port) for _ in range(IDLE_CONNECTIONS)]
            for each in crowd:
                if each.request("POST", "/execute", b'{"tool":"echo"}')[0] != 200:
                    raise Failure("an error among the idle connections")
            at_once.append(server.resident_mib())
            time.sleep(IDLE_SECONDS)
            crowded.append(server.resident_mib())
            for each in crowd:
                each.close()
    what = f"with {IDLE_CONNECTIONS:,} idle connections"
    return [
        Row("memory_idle", "resident memory, idle", "MiB", *idle, 20, 12, absolute=True),
        Row(
            "memory_5000",
            f"resident memory {what}",
            "MiB",
            *crowded,
            150,
            80,
            absolute=True,
            note=f"{at_once[0]:.0f} when the last one had just been used, "
            f"this {IDLE_SECONDS} s later",
        ),
    ]


ROWS: Dict[str, Callable[[Bench], List[Row]]] = {
    "echo_h1": echo_h1,
    "echo_h2c": echo_h2c,
    "idle_latency": idle_latency,
    "httpx_latency": httpx_latency,
    "start_8_workers": start_8_workers,
    "replacement": replacement,
    "memory": memory,
    "pool_whole_again": pool_whole_again,
    "echo_8_workers": echo_8_workers,
    "binary_64k": binary_64k,
    "session_calls": session_calls,
    **stream_rows.ROWS,
    **large.ROWS,
    **tool_calls.ROWS,
}


# --- the run ---


def short(number: Optional[float]) -> str:
    if number is None:
        return ""
    return (
        f"{number:,.0f}" if number >= 1000 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"
    )


def print_table(rows: List[Row]) -> None:
    head = ["measure", "ours", "FastAPI*", "ratio", "bar", "hoped", "verdict", "note"]
    lines = [head]
    for row in rows:
        unit = "" if row.absolute else " x"
        bar, hoped = (short(limit) + unit if limit else "" for limit in (row.bar, row.hoped))
        ours = f"{short(row.value)} {row.unit}"
        ratio = short(row.ratio) + " x" if row.ratio else ""
        lines.append([row.what, ours, short(row.rival), ratio, bar, hoped, row.verdict, row.note])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print("* start_8_workers: one interpreter; session_calls: ours without sessions")
    print("  medians, interleaved repeats")


def machine() -> Dict[str, object]:
    model = [
        line
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": os.cpu_count(),
        "cpu": model[0].partition(":")[2].strip() if model else platform.machine(),
        "kernel": platform.release(),
        "load_average": os.getloadavg(),
        "versions": versions(),
    }


def as_json(row: Row) -> Dict[str, object]:
    return {**dataclasses.asdict(row), "ratio": row.ratio, "verdict": row.verdict}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure these only")
    parser.add_argument("--list", action="store_true", help="names of the rows")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats")
    parser.add_argument(
        "--build", type=Path, default=ROOT / "build", help="where snakepit was built"
    )
    parser.add_argument("--json", type=Path, help="default: bench.json in the build folder")
    options = parser.parse_args()
    if options.list:
        print("\n".join(ROWS))
        return 0
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    about = machine()
    print(
        f"{about['cores']} cores ({about['cpu']}), nothing pinned; {'; '.join(about['versions'])}",
        flush=True,
    )
    bench = Bench(options.build, options.quick)
    rows: List[Row] = []
    failures: Dict[str, str] = {}
    for name in options.rows or ROWS:
        start = time.monotonic()
        try:
            rows += ROWS[name](bench)
        except (Failure, OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            failures[name] = f"{type(error).__name__}: {error}"
        print(
            f"{name}: {failures.get(name, 'done')} ({time.monotonic() - start:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    print_table(rows)
    for name, why in failures.items():
        print(f"FAILED {name}: {why}")
    document = {
        "machine": about,
        "quick": options.quick,
        "rows": list(map(as_json, rows)),
        "failures": failures,
    }
    target = options.json or options.build / "bench.json"
    target.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {target}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
