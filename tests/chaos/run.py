#!/usr/bin/python3
"""Real workers and gateways, killed for real: one table with test, bar, figure and whether it passes.

    run.py [--only NAME]… [--seconds SECONDS] [--build DIR] [--json FILE]      run.py --list

Everything is on 127.0.0.1 and nothing is pinned to a core. Where a bar is a rate or a time under disturbance, it is
held against what the same run measured without. Exit code 1 when a row misses its bar or could not be run.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

from stage import ROOT, Failure, Row, Stage

import gateway_kill
import killers
import kills
import leaving
import overload
import pools
import renewal

WHOLE_SECONDS = 60

ROWS: Dict[str, Callable[[Stage], List[Row]]] = {
    "kills": kills.idempotent,
    "kills_once": kills.not_idempotent,
    "killers": killers.beside,
    "killers_alone": killers.alone,
    "renewal": renewal.recycles_and_reloads,
    "overload": overload.overload,
    "leaving": leaving.leaving,
    "leak": renewal.leak,
    "gateway_kill": gateway_kill.every_state,
    "pools": pools.one_crash_looping,
    "scaling": overload.scaling,
    "crash_to_answer": kills.crash_to_answer,
}


def print_table(rows: List[Row]) -> None:
    lines = [["test", "bar", "figure", "passes"]]
    lines += [[row.test, row.bar, row.figure, "yes" if row.passes else "NO"] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def run_row(name: str, stage: Stage) -> List[Row]:
    """Its lines; one that says why when it could not be run."""
    start = time.monotonic()
    try:
        rows = ROWS[name](stage)
    except (Failure, OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        rows = [Row(name, "", f"could not be run: {type(error).__name__}: {str(error)[:300]}", False)]
    for row in rows:
        verdict = "passes" if row.passes else "MISSED"
        print(f"{name}: {verdict} ({time.monotonic() - start:.0f} s): {row.figure}", file=sys.stderr, flush=True)
    return rows


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", choices=list(ROWS), help="this row; may be repeated")
    parser.add_argument("--list", action="store_true", help="names of the rows")
    parser.add_argument(
        "--seconds", type=float, default=WHOLE_SECONDS, help=f"how long a load of {WHOLE_SECONDS} s lasts, others alike"
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where snakepit and chaos_load were built")
    parser.add_argument("--json", type=Path, help="default: chaos.json in the build folder")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.list:
        print("\n".join(ROWS))
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stage = Stage(options.build.resolve(), options.seconds / WHOLE_SECONDS)
    machine = {"cores": os.cpu_count(), "load_average": os.getloadavg(), "seconds": options.seconds}
    rows = [row for name in options.only or ROWS for row in run_row(name, stage)]
    print(f"{machine['cores']} cores, load average before {machine['load_average'][0]:.2f}")
    print_table(rows)
    target = options.json or options.build / "chaos.json"
    target.write_text(json.dumps({"machine": machine, "rows": list(map(dataclasses.asdict, rows))}, indent=1) + "\n")
    print(f"written to {target}")
    return 0 if all(row.passes for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
