"""``python -m benchmarks``: measure, and write ``RESULTS.md``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

from benchmarks import install, report
from benchmarks.processes import CACHE, HERE, LOAD_CORE, BenchError, pin, raise_file_limit
from benchmarks.results import Results
from benchmarks.rows import FULL, QUICK, TINY, Run, rows

RESULTS = HERE / "RESULTS.md"
SAVED = CACHE / "results.json"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure cryptodash beside its peers.")
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument(
        "--rows",
        default="",
        help="only these rows, separated by commas; figures of the others are kept from the last run",
    )
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each row (default 5; quick 3)")
    parser.add_argument("--quick", action="store_true", help="shorter and smaller")
    parser.add_argument("--tiny", action="store_true", help="run everything once, untimed: only whether it works")
    parser.add_argument("--install", action="store_true", help="only install the peers")
    parser.add_argument("--no-install", action="store_true", help="measure with the peers that are there")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    size = TINY if options.tiny else QUICK if options.quick else FULL
    available = rows(size)
    if options.list:
        sys.stdout.write("\n".join(available) + "\n")
        return 0
    wanted = [name.strip() for name in options.rows.split(",") if name.strip()] or list(available)
    unknown = [name for name in wanted if name not in available]
    if unknown:
        sys.stderr.write(f"no such row: {', '.join(unknown)}; there are {', '.join(available)}\n")
        return 2
    here = report.machine()
    notes = [] if options.no_install else install.install()
    if options.install:
        sys.stdout.write("\n".join(notes or ["installed"]) + "\n")
        return 1 if notes else 0
    raise_file_limit()
    pin(LOAD_CORE)
    rounds = options.rounds or (1 if options.tiny else 3 if options.quick else 5)
    results = _kept(options.rows != "")
    _measure(wanted, available, rounds, results, is_saved=not options.tiny)
    if options.tiny:
        return 1 if results.faults else 0
    RESULTS.write_text(report.render(results, here, install.versions(), rounds, notes), encoding="utf-8")
    sys.stderr.write(f"written: {RESULTS}\n")
    return 1 if results.faults else 0


def _kept(partial: bool) -> Results:
    """Rows measured before, where only some are measured now."""
    return Results.load(SAVED) if partial and SAVED.exists() else Results()


def _measure(wanted: list[str], available: Mapping[str, Run], rounds: int, results: Results, *, is_saved: bool) -> None:
    """Row by row; what is measured is saved at once, for all of it takes more than half an hour. A row that cannot be
    measured has no figures, and the others have theirs."""
    for name in wanted:
        results.forget(name)
        begun = time.monotonic()
        try:
            available[name](rounds, results)
        except (BenchError, OSError) as error:
            results.forget(name)
            results.fail(name.replace("-", "/"), "benchmark", f"{type(error).__name__}: {error}")
        if is_saved:
            results.save(SAVED)
        sys.stderr.write(f"-- {name}: {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
