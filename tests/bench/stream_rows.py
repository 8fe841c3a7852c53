"""The rows of streams; the two servers are asked in turn."""

from statistics import median
from typing import Any, Callable, Dict, List

from row import Row, percentile, rate_row
from servers import FastApi, Server
from streaming import Crowd, chunks_per_second, first_chunk_us, growth_while_stopped_mib

STREAMS = 2000
SETTLE_SECONDS = 5
GIGABYTE = (1 << 30) // 65536  # in chunks
TOOLS = "stream_tools"
RIVAL_SHARE = 20  # of the chunks, for a rival who is so much slower


def stream_rate(bench: Any) -> List[Row]:
    """Ours is from a plain generator in both rows."""
    ours: List[float] = []
    plain: List[float] = []
    asynchronous: List[float] = []
    with bench.gateway(1, adapter=TOOLS) as gateway, FastApi() as rival:
        for server, name in ((gateway, "small"), (rival, "small"), (rival, "small_async")):
            chunks_per_second(server, name, 10000)
        for _ in range(bench.repeats):
            ours.append(chunks_per_second(gateway, "small", bench.chunks))
            plain.append(chunks_per_second(rival, "small", bench.chunks // RIVAL_SHARE))
            asynchronous.append(chunks_per_second(rival, "small_async", bench.chunks))
    what = "small chunks of one stream, HTTP/1.1, against"
    rows = [
        rate_row(
            {"samples": ours, "rival_samples": samples}, name=name, what=f"{what} {whose}", **limits
        )
        for name, whose, samples, limits in (
            ("stream_plain", "a plain generator", plain, {"bar": 4, "hoped": 8}),
            ("stream_async", "an async one", asynchronous, {"bar": 0.1, "hoped": 0.2}),
        )
    ]
    for row in rows:
        row.unit = "chunks/s"
    return rows


def first_chunk(bench: Any) -> List[Row]:
    ours: List[float] = []
    theirs: List[float] = []
    with bench.gateway(1, adapter=TOOLS) as gateway, FastApi() as rival:
        for server in (gateway, rival):
            first_chunk_us(server, 50)
        for _ in range(bench.repeats):
            ours.append(first_chunk_us(gateway, bench.first_chunks))
            theirs.append(first_chunk_us(rival, bench.first_chunks))
    row = Row(
        name="first_chunk",
        what="first chunk of a stream, from the yield to the reader, no load: median",
        unit="us",
        value=median(ours),
        rival=median(theirs),
        bar=250,
        hoped=120,
        absolute=True,
        samples=ours,
        rival_samples=theirs,
        note="FastAPI has no process in between",
    )
    return [row]


def _crowd(server: Server, seconds: float) -> "tuple[float, List[float]]":
    """Memory with the streams open, and how late each chunk was."""
    crowd = Crowd(server, STREAMS, int(seconds) + SETTLE_SECONDS)
    crowd.settle(SETTLE_SECONDS)
    crowd.listen(seconds)
    resident = server.resident_mib()
    crowd.close()
    return resident, crowd.late_ms


def stream_crowd(bench: Any) -> List[Row]:
    """2,000 tools that run, in two workers of 1,000 slots each."""
    profile = ("--pools-default-profile", "async", "--pools-default-slots", str(STREAMS // 2))
    with bench.gateway(2, *profile, adapter=TOOLS) as gateway:
        memory, late = _crowd(gateway, bench.stream_seconds)
    with FastApi() as rival:
        rival_memory, rival_late = _crowd(rival, bench.stream_seconds)
    what = f"{STREAMS:,} open streams, a chunk a second each"
    return [
        Row(
            "stream_memory",
            f"{what}: resident memory",
            "MiB",
            memory,
            rival_memory,
            60,
            30,
            absolute=True,
        ),
        Row(
            "stream_latency",
            f"{what}: from the yield to the reader, p99",
            "ms",
            percentile(late, 0.99),
            percentile(rival_late, 0.99),
            20,
            5,
            absolute=True,
            note=f"p50 {median(late):.2f} ms, FastAPI {median(rival_late):.2f} ms",
        ),
    ]


def stopped_reader(bench: Any) -> List[Row]:
    with bench.gateway(1, adapter=TOOLS) as gateway:
        growth_while_stopped_mib(gateway, 1000, 0)
        growth = growth_while_stopped_mib(gateway, GIGABYTE, bench.stop_seconds)
    return [
        Row(
            "stopped_reader",
            f"reader of a 1 GB stream stops for {bench.stop_seconds} s: more memory",
            "MiB",
            growth,
            None,
            8,
            1,
            absolute=True,
        )
    ]


ROWS: Dict[str, Callable[[Any], List[Row]]] = {
    "stream_rate": stream_rate,
    "first_chunk": first_chunk,
    "stream_crowd": stream_crowd,
    "stopped_reader": stopped_reader,
}
