"""Minutes of five venues, three of which have faults: ``python -m tests.chaos.five --minutes 10``. Exit code 1 if a
value was wrong and shown as live, if a fault is not in the ledger, or if memory grew.

The faults come one after the other at each of the three, so that there is always calm between two of them, and at the
three at about the same time. Clients watch every kind of value of each venue, and what is derived of all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic

from tests.chaos.census import Census, resident_bytes
from tests.chaos.history import History
from tests.chaos.invariants import ledger, violations
from tests.chaos.plan import SYMBOLS, WARM, Action, ClientPlan, Plan, Trouble, VenueLine
from tests.chaos.run import run
from tests.chaos.venues import ALL, COMPOSITE, markets_of

CALM = 62.0
"""Seconds of the end in which nothing goes wrong, so that all must be good again."""
SHOWN = 20

Kind = tuple[str, float, float, str | None]
"""A fault's name, its seconds, its amount, its symbol."""

_OF_ALL: tuple[Kind, ...] = (
    ("skip", 5.0, 0.0, None),
    ("drop", 0.1, 0.0, None),
    ("slow", 16.0, 4.5, None),
    ("maintenance", 12.0, 0.0, None),
    ("reorder", 6.0, 0.0, None),
    ("delist", 20.0, 0.0, SYMBOLS[1]),
)
FAULTY: Mapping[str, tuple[Kind, ...]] = {
    "bybit": _OF_ALL,
    "okx": (*_OF_ALL, ("rename", 30.0, 0.0, SYMBOLS[1]), ("wrong-contract", 40.0, 0.0, SYMBOLS[0])),
    "kraken": (*_OF_ALL, ("wrong-size", 4.0, 0.0, None)),
}
"""Every update of a book of Kraken has a checksum; sequences have gaps at the others."""
NEW_BASE = "SOLANA"
CATALOGUE_EVERY = 20.0
"""So that a listing which is wrong for a while is read meanwhile."""
SHORT: tuple[str, ...] = ("skip", "slow", "drop")
"""Those of a shortened run."""


def make_plan(seconds: float, seed: int = 1, names: Sequence[str] | None = None) -> Plan:
    """``names``: only faults of these names."""
    return Plan(
        seed=seed,
        origin_ms=1_700_000_000_000,
        wall_skew_ms=0,
        wall_ppm=0,
        lines={venue: VenueLine(0.02 + 0.01 * index, 0.0, False, 0, 0) for index, venue in enumerate(ALL)},
        troubles=tuple(sorted(_troubles(seconds, names), key=lambda each: each.begin)),
        clients=tuple(_clients(seconds)),
        seconds=seconds,
        catalogue_every=CATALOGUE_EVERY,
    )


def _troubles(seconds: float, names: Sequence[str] | None) -> Iterator[Trouble]:
    for index, (exchange, kinds) in enumerate(FAULTY.items()):
        wanted = [each for each in kinds if names is None or each[0] in names]
        apart = (seconds - WARM - CALM) / len(wanted)
        for place, (name, lasting, amount, symbol) in enumerate(wanted):
            begin = round(WARM + apart * place + 3.0 * index, 3)
            to = NEW_BASE if name == "rename" else None
            yield Trouble(name, begin, lasting, exchange, symbol, None, amount, to)


def _clients(seconds: float) -> Iterator[ClientPlan]:
    """One for each venue, and one for what is derived of all. Books of Kraken are of the depth that its checksum is
    about."""
    for venue in ALL:
        kinds = ("ticker", "bbo", "trade", "candle:1m", "order_book:10")
        channels = [f"{venue}:{market}:{SYMBOLS[0]}:{kind}" for market in markets_of(venue) for kind in kinds]
        channels += [f"{venue}:{markets_of(venue)[-1]}:{SYMBOLS[1]}:{kind}" for kind in ("ticker", "order_book:5")]
        yield _client(venue, channels, seconds)
    yield _client(COMPOSITE, [f"{COMPOSITE}:spot:{SYMBOLS[0]}:{kind}" for kind in ("bbo", "order_book:10")], seconds)


def _client(name: str, channels: Sequence[str], seconds: float) -> ClientPlan:
    actions = [Action(0.5, "connect"), Action(0.8, "subscribe", tuple(channels))]
    actions += [Action(float(at), "ping") for at in range(20, int(seconds), 60)]
    return ClientPlan(name, "fast", tuple(actions), delay=0.01)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.five", description="Five venues, faults on three.")
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the market (default: %(default)s)")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "tests.chaos.five", *(arguments or sys.argv[1:])])
    begun, census = monotonic(), Census()
    history = run(make_plan(60.0 * options.minutes, options.seed), each_minute=census.take)
    found = [*map(str, violations(history)), *map(str, ledger.check(history)), *census.grown()]
    for line in (*report(history), *census.report()):
        say(line)
    for line in found[:SHOWN]:
        say(f"VIOLATION {line}")
    say(
        f"{options.minutes:g} minutes of {len(ALL)} venues, {len(history.plan.troubles)} faults on {len(FAULTY)}: "
        f"{len(found)} violations, {monotonic() - begun:.0f} s, {resident_bytes() >> 20} MB with all that was written "
        f"down, digest {history.digest[:16]}"
    )
    return int(bool(found))


def report(history: History) -> Iterator[str]:
    """What was judged, and what of each fault is in the ledger."""
    judged: Counter[str] = Counter()
    for connection in history.connections:
        judged.update(event.value["type"] for event in connection.events if event.kind == "got")
    yield "judged: " + ", ".join(f"{count} {kind}" for kind, count in sorted(judged.items()))
    for trouble in history.plan.troubles:
        told = ", ".join(ledger.told(trouble, history.ledger)) or "nothing"
        yield f"{trouble.begin:6.1f} s {trouble.exchange} {trouble.name}: {told}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
