"""Fuzz tests of the Python package: rounds with a seed each, so that a failure can be had again.

NAME_fuzz.py SECONDS          as many rounds as fit, from a seed of the system's
NAME_fuzz.py --seed SEED      that round alone
"""

import argparse
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "bridge/python") not in sys.path:
    sys.path.append(str(ROOT / "bridge/python"))  # behind a built package, if there is one

Check = Callable[[random.Random], None]


def fails(name: str, check: Check, seed: int) -> bool:
    """One round; what went wrong is printed, with what repeats it."""
    try:
        check(random.Random(seed))
    except Exception:  # whatever it is, it is the finding
        traceback.print_exc()
        print(f"{name}: FAILED, again with: {sys.argv[0]} --seed {seed}")
        return True
    return False


def main(name: str, check: Check) -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, nargs="?", default=0.0)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    first = random.SystemRandom().randrange(1 << 40) if options.seed is None else options.seed
    seed, end = first, time.monotonic() + options.seconds
    while seed == first or time.monotonic() < end:
        if fails(name, check, seed):
            return 1
        seed += 1
    print(f"{name}: {seed - first} runs, seeds {first} to {seed - 1}")
    return 0
