"""``python -m benchmarks.cluster_soak``: several processes for a while, with many clients: is memory flat, and does
every client get every trade once?

Redis, the simulator in a process of its own, three server processes as an operator starts them, and clients spread over
them (``cluster_soak_clients.py``). Each minute a line per process is printed. It ends with 1 unless every process but
the clients' is flat (``soak.py`` says how that is judged; less than 1 MiB is no growth), and each client got every
trade exactly once, but for those that a ``gap`` stood for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.processes import LOAD_CORE, SERVER_CORE, BenchError, Child, python, raise_file_limit
from benchmarks.redis_server import Redis, redis_server
from benchmarks.soak import (
    COLUMNS,
    EXCHANGES,
    HOSTS,
    LIMIT,
    OFFSETS,
    Watched,
    free_ports,
    growth,
    say,
    twistd,
    wait,
    watch,
    window_of,
)

PROCESSES = 3
PATIENCE_S = 120.0
SMALL_KIB = 1024
FAULTS = {
    "lost": "trades lost",
    "twice": "trades delivered twice",
    "disorder": "trades out of order",
    "dead": "connections lost",
    "errors": "errors told",
}


def servers(stack: ExitStack, redis: Redis) -> tuple[list[Watched], list[int]]:
    """The simulator and the server processes on it, and the servers' ports."""
    first = free_ports(7 + PROCESSES)
    control, ports = first + 6, [first + 7 + index for index in range(PROCESSES)]
    options = ("--port", str(first), "--control-port", str(control), "--exchanges", EXCHANGES)
    simulator = twistd("cluster-soak-simulator", LOAD_CORE, "simulate", *options)
    stack.callback(simulator.end)
    wait(control, "/ledger")
    settings = {"ENABLE_REDIS": "true", "REDIS_URL": redis.url}
    for (name, _), offset in zip(HOSTS, OFFSETS, strict=True):
        settings[f"{name}WS_URL"] = f"ws://127.0.0.1:{first + offset}"
        settings[f"{name}REST_URL"] = f"http://127.0.0.1:{first + offset}"
    watched = []
    for index, port in enumerate(ports):
        run = ("run", "--bind-addr", f"127.0.0.1:{port}", "--exchanges", EXCHANGES)
        child = twistd(f"cluster-soak-{index + 1}", SERVER_CORE, *run, **settings)
        stack.callback(child.end)
        watched.append(Watched(f"server {index + 1}", child, port))
    return [*watched, Watched("simulator", simulator, control=control)], ports


def clients(stack: ExitStack, count: int, ports: Sequence[int]) -> Child:
    """All of them connected, once each server has its catalogues."""
    until = time.monotonic() + PATIENCE_S
    for port in ports:
        while wait(port, "/api/symbols").count('"symbol":"BTC') < len(EXCHANGES.split(",")):
            if time.monotonic() > until:
                raise BenchError("a server has no catalogues")
            time.sleep(0.2)
    command = [python(), "-m", "benchmarks.cluster_soak_clients", str(count), *map(str, ports)]
    child = Child("cluster-soak-clients", command, LOAD_CORE)
    stack.callback(child.end)
    while child.hear(PATIENCE_S)["open"] < count:
        if time.monotonic() > until:
            raise BenchError("not all clients could connect")
    return child


def finish(child: Child) -> dict[str, Any]:
    """What the clients found."""
    child.tell("finish")
    while "judged" not in (said := child.hear(60)):
        pass
    return said


def faults(said: Mapping[str, int]) -> list[str]:
    """What is wrong with what the clients got."""
    found = [f"{said[name]} {text}" for name, text in FAULTS.items() if said[name]]
    return found if said["deliveries"] else [*found, "no trade was delivered"]


def grows(each: Watched, window: float) -> tuple[float, bool]:
    """By which part it has grown within the window, and whether that is too much."""
    part = growth(each.samples, window)
    return part, part >= LIMIT and part * each.samples[-1][1] >= SMALL_KIB


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=3000)
    options = parser.parse_args(arguments)
    seconds = options.minutes * 60
    raise_file_limit()

    try:
        with ExitStack() as stack:
            redis = stack.enter_context(redis_server())
            judged, ports = servers(stack, redis)
            judged.append(Watched("redis", redis.child))
            crowd = clients(stack, options.clients, ports)
            say(COLUMNS)
            watch([*judged, Watched("clients", crowd, crowd=crowd)], seconds, say)
            said = finish(crowd)
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return report(judged, window_of(seconds), said)


def report(judged: Sequence[Watched], window: float, said: Mapping[str, int]) -> int:
    """Say how it ended."""
    too_much = False
    for each in judged:
        part, is_growth = grows(each, window)
        too_much |= is_growth
        word = "GROWS" if is_growth else "flat"
        sys.stdout.write(f"{each.name}: {part:+.1%} over the last {window / 60:g} min: {word}\n")
    sys.stdout.write(json.dumps(said) + "\n")
    wrong = faults(said)
    sys.stdout.write(
        f"{said['deliveries']} deliveries of {said['trades']} trades to {said['clients']} clients, {said['gaps']} gaps "
        f"for {said['covered']}: {'FAILED: ' + ', '.join(wrong) if wrong else 'each trade once'}\n"
    )
    return 1 if wrong or too_much else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
