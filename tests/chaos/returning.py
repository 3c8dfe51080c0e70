"""Clients that come back every few seconds, by cursor, to a server that records and is killed and ended meanwhile:
``python -m tests.chaos.returning --minutes 10 --processes 3``. Exit code 1 if a trade came twice, or was left out
without a gap, or any other promise was broken.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from time import monotonic

from tests.chaos.history import History
from tests.chaos.invariants import violations
from tests.chaos.plan import SYMBOLS, WARM, Action, ClientPlan, Plan, Trouble, VenueLine
from tests.chaos.run import run
from tests.chaos.venues import TWO, markets_of

CALM = 62.0
"""Seconds of the end in which nothing goes wrong, so that all must be good again."""
CLIENTS = 3
SHOWN = 20


def make_plan(seconds: float, seed: int = 1, processes: int = 1) -> Plan:
    rng = Random(f"returning:{seed}:{processes}")
    return Plan(
        seed=seed,
        origin_ms=1_700_000_000_000 + rng.randrange(86_400_000),
        wall_skew_ms=rng.choice((0, 300, -1_500)),
        wall_ppm=rng.choice((0, 100)),
        lines={
            venue: VenueLine(rng.choice((0.003, 0.02, 0.06)), 0.0, False, rng.choice((0, -200, 350)), 0)
            for venue in TWO
        },
        troubles=tuple(_troubles(rng, seconds, processes)),
        clients=tuple(_client(rng, number, seconds, processes) for number in range(CLIENTS)),
        seconds=seconds,
        processes=processes,
        recorded=True,
    )


def _troubles(rng: Random, seconds: float, processes: int) -> Iterator[Trouble]:
    """A process is killed, or told to end, every 40 to 90 seconds, and comes back."""
    at = WARM + rng.uniform(2.0, 10.0)
    while at < seconds - CALM:
        name = rng.choice(("process/kill", "process/kill", "process/term"))
        yield Trouble(name, round(at, 3), round(rng.uniform(1.0, 9.0), 3), amount=float(rng.randrange(processes)))
        at += rng.uniform(40.0, 90.0)


def _client(rng: Random, number: int, seconds: float, processes: int) -> ClientPlan:
    """It is there for some seconds and away for some, now and then for longer than anything is kept in memory; each
    time it asks another process, where there are several."""
    channels = tuple(
        f"{venue}:{market}:{symbol}:{kind}"
        for venue in TWO
        for market in markets_of(venue)
        for symbol in SYMBOLS[: 1 + (venue == "binance")]
        for kind in ("trade", "candle:1m")
    )
    actions, at = list[Action](), rng.uniform(3.0, 6.0)
    while at < seconds - 44.0:
        process = (str(rng.randrange(processes)),)
        actions += [Action(round(at, 3), "connect", process), Action(round(at + 0.4, 3), "subscribe", channels)]
        at += rng.uniform(1.5, 6.0)
        actions.append(Action(round(at, 3), rng.choice(("abort", "close"))))
        at += rng.uniform(0.2, 3.0) if rng.randrange(3) else rng.uniform(11.0, 20.0)
    actions += [Action(round(at, 3), "connect", ("0",)), Action(round(at + 0.4, 3), "subscribe", channels)]
    return ClientPlan(f"returning-{number}", "reconnecting", tuple(actions), delay=0.02, resumes=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.returning", description="Clients that come back.")
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the first one (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="how many (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="that are one server (default: %(default)s)")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "tests.chaos.returning", *(arguments or sys.argv[1:])])
    count = 0
    for seed in range(options.seed, options.seed + options.seeds):
        begun = monotonic()
        history = run(make_plan(60.0 * options.minutes, seed, options.processes))
        found = list(map(str, violations(history)))
        for line in found[:SHOWN]:
            say(f"VIOLATION {line}")
        say(
            f"seed {seed}, {options.minutes:g} minutes, {options.processes} processes, {summary(history)}: "
            f"{len(found)} violations, {monotonic() - begun:.0f} s, digest {history.digest[:16]}"
        )
        count += len(found)
    return int(bool(count))


def summary(history: History) -> str:
    """What happened, in numbers."""
    told: Counter[str] = Counter()
    for connection in history.connections:
        for event in connection.events:
            if event.kind == "got" and event.value["type"] in ("trade", "gap"):
                told[
                    event.value["payload"].get("reason", "replayed" if "replayed" in event.value["payload"] else "live")
                ] += 1
    counts = ", ".join(f"{count} {name}" for name, count in sorted(told.items()))
    return f"{len(history.plan.troubles)} restarts, {len(history.connections)} connections, {counts}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
