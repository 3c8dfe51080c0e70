"""``RESULTS.md``: the machine, the verdicts, and a table for each row."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

from benchmarks.contestants import CONTESTANTS
from benchmarks.results import Results
from benchmarks.targets import ABSOLUTES, GROWTH, MOST_GROWTH, TARGETS, growth

UNITS: Sequence[tuple[str, str, str]] = (
    ("saturated/", "Saturated fan-out", "deliveries per second; rows are clients / events per turn"),
    (
        "mixed",
        "Mixed fan-out",
        "deliveries per CPU-second of the server: 200 topics, 1,000 clients on 20 random topics each, 5,000 events/s",
    ),
    (
        "books",
        "Book fan-out",
        "deliveries per CPU-second of the server: 50 books of depth 50, 10 changes a second each, 1,000 clients on all",
    ),
    (
        "ingest",
        "Ingest",
        "venue frames per second, from the socket to the encoded event (ours sends a ticker also for each trade; "
        "picows + msgspec only decodes)",
    ),
    (
        "overload/",
        "Overload",
        "a venue that sends twice as many frames as one core can read (80 % quotes of 200 symbols, 10 % trades, 10 % "
        "changes of books): how old trades and tickers are when a client gets them, since they were due at the venue",
    ),
    (
        "latency/",
        "Latency",
        "microseconds from the venue's send to the client's receive, 500 clients; "
        "rows are events per second / percentile",
    ),
    (
        "stalled/",
        "A client that never reads",
        "microseconds, and KiB by which the server grew; 1,000 clients, 2,000 events/s",
    ),
    ("handshakes", "Handshakes", "upgrades per second, 64 at a time"),
    ("memory", "Idle clients", "KiB of the server's resident memory per client"),
    ("cold", "Cold start", "seconds from the start of the process to the first ticker at a client"),
    ("growth/", "Growth", "CPU nanoseconds of the server per delivery"),
    (
        "recording/",
        "Recording",
        "CPU time of the server, its writer's thread included, per frame of the venue (80 % quotes, 10 % trades, 10 % "
        "changes of 8 books, 10,000 a second, all of it wanted by one client); bytes of tape per event, of each "
        "channel as if it were alone on the tape; and how fast one thread packs and writes",
    ),
    (
        "day/",
        "A recorded day",
        "GB of tape a day, records a second, topics held and CPU of five simulated venues, each market that they list "
        "(about 50 each) on every channel, estimated from ten minutes: a figure of the simulator's activity",
    ),
    (
        "tape/",
        "A long tape",
        "a tape of 10 GB made by repetition of a recorded flood: milliseconds from the request until the first "
        "recorded message of 16 topics, its pages dropped from the cache first, by a process that reads it and by "
        "`replay` on /ws; and events a second, as fast as they are read",
    ),
    (
        "cluster/latency/",
        "Several processes: latency",
        "microseconds from the venue's send to the client's receive, to a few clients of the process that has the "
        "venue open, and to as many of another one, by Redis",
    ),
    (
        "cluster/clients/",
        "Several processes: many clients, beside Centrifugo",
        "the same trades a second (first number) at the same moments to the same clients. All clients are at processes "
        "that have not got the venue, or the node that events do not come in at, if there is more than one. CPU time "
        "is that of all server processes, Redis's own apart; all of them have one core",
    ),
    (
        "cluster/ingest/",
        "Several processes: ingest",
        "CPU time of all server processes per frame of the venue (80 % quotes, 10 % trades, 10 % changes of 8 books), "
        "all of it wanted by one client of each process without the venue, or of the only one",
    ),
)


def machine() -> dict[str, str]:
    """Where this runs."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next(
        (f"{int(line.split()[1]) // 2**20} GiB" for line in _lines("/proc/meminfo") if line.startswith("MemTotal")),
        "unknown",
    )
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    return {
        "CPU": f"{model}, {os.cpu_count()} cores",
        "memory": memory,
        "kernel": f"{platform.system()} {platform.release()}",
        "load before": load,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def render(
    results: Results, here: Mapping[str, str], versions: Mapping[str, str], rounds: int, notes: Sequence[str]
) -> str:
    """The whole page."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        "# Benchmark results",
        f"Written by `make bench` on {now}; "
        f"{rounds} rounds, contestants in turn (A B A B), medians with least and most.",
        "The server runs on one core, the load on another. Servers that wait "
        "for their turn are stopped. Each run checks that every client got\n"
        "every message, and sampled clients that they came in order; "
        "a run that fails has no figure. Figures of other machines or days say nothing\n"
        "about each other; the ratios do.",
        _table(
            ("", ""),
            [(name, value) for name, value in here.items()]
            + [("versions", ", ".join(f"{n} {v}" for n, v in versions.items()))],
        ),
        "Accepted sockets have SO_SNDBUF 128 KiB, except with uWebSockets and Node, "
        "which give no access to it, and Centrifugo. Pings are off everywhere.",
        "## Targets",
        _table(("row", "against", "asked", "measured", ""), _verdicts(results)),
    ]
    for prefix, title, unit in UNITS:
        rows = [row for row in results.values if row.startswith(prefix)]
        if rows:
            parts += [f"## {title}", f"{unit[0].upper()}{unit[1:]}.", _values(results, rows)]
    parts += _listed("Left out", [*notes, *(f"{name}: {reason}" for name, reason in results.left_out.items())])
    parts += _listed("Runs that failed", results.faults)
    return "\n\n".join(parts) + "\n"


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _title(contestant: str) -> str:
    return CONTESTANTS[contestant].title if contestant in CONTESTANTS else contestant


def _verdicts(results: Results) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for target in TARGETS:
        ratio = target.ratio(results)
        lines.append(
            (
                target.text,
                _title(target.peer),
                target.asked,
                "" if ratio is None else f"{ratio:.2f}x",
                target.verdict(ratio),
            )
        )
    for absolute in ABSOLUTES:
        value = absolute.value(results)
        shown = "" if value is None else f"{value:,.1f} {absolute.unit}"
        verdict = "not measured" if value is None else "met" if value <= absolute.most else "**missed**"
        lines.append((absolute.text, "", f"<= {absolute.most:g} {absolute.unit}", shown, verdict))
    for prefix, text in GROWTH:
        ratio = growth(results, prefix)
        verdict = "not measured" if ratio is None else "met" if ratio <= MOST_GROWTH else "**missed**"
        lines.append((text, "cheapest size", f"<= {MOST_GROWTH:g}x", "" if ratio is None else f"{ratio:.2f}x", verdict))
    return lines


def _values(results: Results, rows: Sequence[str]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in results.values[row]))
    body = [(row.partition("/")[2] or row, *(_cell(results.values[row].get(name)) for name in names)) for row in rows]
    return _table(("", *map(_title, names)), body)


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return "-"
    return (
        f"{_number(median(values))} ({_number(min(values))} - {_number(max(values))})"
        if len(values) > 1
        else _number(values[0])
    )


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])
