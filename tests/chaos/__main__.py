"""The simulation as a program: ``python -m tests.chaos --seeds N --first K``. Exit code 1 if a promise was broken."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from time import monotonic

from tests.chaos.plan import describe, make_plan
from tests.chaos.seeds import WITHIN, all_found_by, outcomes, shrink
from tests.chaos.venues import ALL, TWO

SHOWN = 12
"""Violations of a seed that are printed."""
EVERY = 50
"""Seeds between two lines that say how far it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Deterministic simulation by seeds.")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first one (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="virtual seconds of each seed (default: the whole of it)")
    parser.add_argument(
        "--venues",
        choices=("two", "all"),
        default="two",
        help="Binance and Bybit, or all five: these are other seeds, though of the same numbers (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="server processes that are one by Redis: other seeds, with troubles of theirs (default: %(default)s)",
    )
    parser.add_argument("--planted", action="store_true", help="how many seeds each planted error takes to be found")
    parser.add_argument("--plan", action="store_true", help="show the plan of each seed")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for a smaller plan of the first failure")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "tests.chaos", *(arguments or sys.argv[1:])])
    if options.planted:
        return search_for_planted(options.jobs)
    begun, count, digest, failed = monotonic(), 0, hashlib.sha256(), []
    venues, of_all = (ALL, " of all venues") if options.venues == "all" else (TWO, "")
    of_all += f" and {options.processes} processes" if options.processes > 1 else ""
    seeds = range(options.first, options.first + options.seeds)
    for outcome in outcomes(seeds, options.jobs, options.seconds, venues, options.processes):
        digest.update(outcome.digest.encode())
        if (outcome.seed - options.first + 1) % EVERY == 0:
            say(f"{outcome.seed - options.first + 1} seeds, {count} violations, {monotonic() - begun:.0f} s")
        count += len(outcome.violations)
        if options.plan:
            say(describe(make_plan(outcome.seed, venues, options.processes)))
        if outcome.violations:
            failed.append(outcome.seed)
            say(f"seed {outcome.seed}{of_all}: {len(outcome.violations)} violations")
            for each in outcome.violations[:SHOWN]:
                say(f"  {each}")
    if failed and not options.no_shrink:
        plan, runs = shrink(failed[0], options.seconds, venues, options.processes)
        say(f"seed {failed[0]}{of_all} shrunk in {runs} runs to:")
        say(describe(plan))
    say(
        f"{options.seeds} seeds{of_all} from {options.first}: {count} violations, {monotonic() - begun:.0f} s, "
        f"digest {digest.hexdigest()[:16]}"
    )
    return int(count > 0)


def search_for_planted(jobs: int) -> int:
    """One line for each planted error."""
    begun, seeds = monotonic(), list[int | None]()
    for planted, seed in all_found_by(jobs):
        seeds.append(seed)
        found = f"not found by {WITHIN} seeds" if seed is None else f"found by seed {seed}"
        say(f"{found}: {planted.name} ({planted.invariant}{', timing' if planted.timed else ''})")
    say(f"{len(seeds)} planted errors: {seeds.count(None)} not found, {monotonic() - begun:.0f} s")
    return int(None in seeds)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
