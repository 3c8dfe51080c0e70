"""From a seed to a plan: a value that lists every choice of a run. Each subset of its faults, clients and actions is a
plan as well, which is what shrinking needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import evolve, frozen

from tests.chaos.venues import COMPOSITE, TWO, can_have, markets_of

SECONDS = 132.0
"""Of a run, before its clients leave."""
WARM = 14.0
"""Seconds before the first trouble."""
LAST_TROUBLE = 78.0
"""When the last one is over, at the latest."""
OVERLAPPING = 6
SYMBOLS = ("XRP-USDT", "SOL-USDT")
"""Of those that trade every second, with ticks so coarse that a second is dozens of frames and not hundreds."""
KINDS = ("ticker", "trade", "order_book:5", "order_book:10", "order_book:20", "candle:1m")


@frozen
class Action:
    """What a client does at a time (s): ``do`` is one of ``clients.ACTIONS``, ``what`` its argument."""

    at: float
    do: str
    what: tuple[str, ...] = ()


@frozen
class ClientPlan:
    """A client. ``delay`` and ``jitter`` (s) of its line, ``rate`` (bytes a second) at which it reads, ``kernel`` what
    its kernel holds, ``trickle`` the seconds between two bytes that it sends. One that
    ``resumes`` subscribes with the cursor of the last message it has."""

    name: str
    kind: str
    actions: tuple[Action, ...]
    delay: float = 0.02
    jitter: float = 0.0
    split: bool = False
    rate: float | None = None
    kernel: int = 128 * 1024
    trickle: float = 0.0
    resumes: bool = False


@frozen
class Trouble:
    """Something that goes wrong from ``begin`` on, for ``seconds``: a fault of a venue, or what ``troubles.py`` does
    to network and clocks (those names have a slash). ``amount`` is its delay, step or number of bytes, ``to`` a new
    base."""

    name: str
    begin: float
    seconds: float
    exchange: str = ""
    symbol: str | None = None
    market: str | None = None
    amount: float = 0.0
    to: str | None = None

    @property
    def end(self) -> float:
        return self.begin + self.seconds

    def concerns(self, exchange: str, market: str = "", symbol: str = "") -> bool:
        """Whether it can touch that instrument's data at all."""
        return (
            self.exchange in ("", exchange)
            and (self.market is None or not market or self.market == market)
            and (self.symbol is None or not symbol or self.symbol == symbol)
        )


@frozen
class VenueLine:
    """How far a venue is, and how wrong its clock: ``skew_ms``, growing by ``drift_ppm``."""

    delay: float
    jitter: float
    split: bool
    skew_ms: int
    drift_ppm: int


@frozen
class Plan:
    """Everything that is chosen. ``origin_ms``: the time of day at the start; ``wall_ppm``: the drift of the server's
    wall clock, ``wall_skew_ms`` its error at the start."""

    seed: int
    origin_ms: int
    wall_skew_ms: int
    wall_ppm: int
    lines: Mapping[str, VenueLine]
    troubles: tuple[Trouble, ...]
    clients: tuple[ClientPlan, ...]
    seconds: float = SECONDS
    processes: int = 1
    """That are one server."""
    catalogue_every: float | None = None
    """Seconds between two readings of a catalogue; None: the server's own."""
    recorded: bool = False
    """Whether the server records, and remembers little else."""

    def process_of(self, client: str) -> int:
        """The number of the process to which a client of that name connects."""
        return next((at for at, each in enumerate(self.clients) if each.name == client), 0) % self.processes

    def stalls(self, client: str) -> list[tuple[float, float]]:
        """When the process stands still to which a client of that name connects."""
        own = float(self.process_of(client))
        return [(each.begin, each.end) for each in self.troubles if (each.name, each.amount) == ("process/stop", own)]

    @property
    def venues(self) -> tuple[str, ...]:
        """Those that the run has."""
        return tuple(self.lines)


def make_plan(seed: int, venues: Sequence[str] = TWO, processes: int = 1) -> Plan:
    """The plan of a seed. Other venues than the two, and several processes, have other seeds: ``5`` of these is another
    run than ``5`` of those."""
    kind = "" if venues == TWO else f"{'+'.join(venues)}:"
    kind += "" if processes == 1 else f"{processes} processes:"
    rng = Random(f"chaos:{kind}{seed}")
    lines = {
        venue: VenueLine(
            delay=rng.choice((0.003, 0.02, 0.06, 0.15)),
            jitter=rng.choice((0.0, 0.0, 0.01, 0.08)),
            split=not rng.randrange(4),
            skew_ms=rng.choice((0, 0, -200, 350, -4_000, 9_000)),
            drift_ppm=rng.choice((0, 0, 50, -80, 200)),
        )
        for venue in venues
    }
    return Plan(
        seed=seed,
        origin_ms=1_700_000_000_000 + rng.randrange(86_400_000),
        wall_skew_ms=rng.choice((0, 0, 300, -1_500, 20_000)),
        wall_ppm=rng.choice((0, 0, 100, -300)),
        lines=lines,
        troubles=make_troubles(rng, venues) if processes == 1 else make_process_troubles(rng, venues, processes),
        clients=make_clients(rng, venues),
        processes=processes,
    )


# --- troubles


def _lasting(rng: Random, name: str, exchange: str, **more: Any) -> Trouble:
    return Trouble(name, 0.0, rng.uniform(4.0, 24.0), exchange, **more)


def _symbol(name: str) -> Callable[[Random, str], Trouble]:
    return lambda rng, exchange: _lasting(rng, name, exchange, symbol=rng.choice(SYMBOLS))


def _venue(name: str) -> Callable[[Random, str], Trouble]:
    return lambda rng, exchange: _lasting(rng, name, exchange)


def _either(name: str) -> Callable[[Random, str], Trouble]:
    return lambda rng, exchange: _lasting(rng, name, exchange, symbol=rng.choice((None, *SYMBOLS)))


LASTING: Mapping[str, Callable[[Random, str], Trouble]] = {
    "silent": _symbol("silent"),
    "silent-venue": _venue("silent-venue"),
    "duplicate": _either("duplicate"),
    "reorder": _either("reorder"),
    "old-snapshot": _either("old-snapshot"),
    "crossed": _symbol("crossed"),
    "garbage": _either("garbage"),
    "future-id": _either("future-id"),
    "future-time": _either("future-time"),
    "429": _venue("429"),
    "418": _venue("418"),
    "slow": lambda rng, exchange: _lasting(rng, "slow", exchange, amount=rng.choice((0.4, 1.0, 3.0, 6.0))),
    "slow-symbol": lambda rng, exchange: _lasting(
        rng, "slow", exchange, amount=rng.choice((0.4, 1.0, 3.0, 6.0)), symbol=rng.choice(SYMBOLS)
    ),
    "clock": lambda rng, exchange: _lasting(rng, "clock", exchange, amount=rng.choice((-30.0, -2.0, 0.8, 2.5, 45.0))),
    "maintenance": _venue("maintenance"),
    "cut24h": _venue("cut24h"),
    "net/deaf": _venue("net/deaf"),
    "net/delay": lambda rng, exchange: _lasting(rng, "net/delay", exchange, amount=rng.choice((0.2, 0.7, 3.5))),
    "net/stall": lambda rng, exchange: _lasting(rng, "net/stall", exchange),
}
"""Those that go on for a while."""

SUDDEN: Mapping[str, Callable[[Random, str], Trouble]] = {
    "drop": lambda rng, exchange: Trouble("drop", 0.0, 0.1, exchange),
    "half-open": lambda rng, exchange: Trouble("half-open", 0.0, 0.1, exchange),
    "skip": lambda rng, exchange: Trouble("skip", 0.0, 0.3, exchange, symbol=rng.choice((None, *SYMBOLS))),
    "net/cut": lambda rng, exchange: Trouble("net/cut", 0.0, 0.1, exchange, amount=rng.randrange(1, 4_000)),
    "net/freeze": lambda rng, exchange: Trouble("net/freeze", 0.0, 0.1, exchange),
    "wall/step": lambda rng, exchange: Trouble("wall/step", 0.0, 0.1, amount=rng.choice((-3600, -5, 0.7, 30, 3600))),
}
"""Those that happen at a moment."""


def make_troubles(rng: Random, venues: Sequence[str] = TWO) -> tuple[Trouble, ...]:
    """Six at least that all go on at one moment, and some more before, meanwhile and after."""
    moment = rng.uniform(34.0, 52.0)
    found = []
    for name in rng.sample(sorted(LASTING), OVERLAPPING):
        trouble = LASTING[name](rng, _one_that_can(rng, venues, name))
        begin = max(WARM, moment - trouble.seconds * rng.uniform(0.05, 0.95))
        found.append(_at(trouble, begin, max(trouble.seconds, moment - begin + 0.5)))
    for name in rng.choices(sorted(SUDDEN), k=rng.randrange(1, 5)):
        found.append(_at(SUDDEN[name](rng, _one_that_can(rng, venues, name)), rng.uniform(WARM, LAST_TROUBLE - 2.0)))
    return tuple(sorted(found, key=lambda each: each.begin))


SIGNALS: Mapping[str, Callable[[Random], float]] = {
    "process/kill": lambda rng: rng.uniform(0.5, 12.0),
    "process/stop": lambda rng: rng.choice((0.3, 1.5, 3.0, 4.5, 6.0, 12.0)),
    "process/term": lambda rng: rng.uniform(4.0, 10.0),
    "redis/pause": lambda rng: rng.choice((0.5, 1.5, 3.0, 10.0)),
    "redis/down": lambda rng: rng.choice((0.3, 2.0, 10.0)),
    "redis/flush": lambda rng: 0.1,
    "redis/read-only": lambda rng: rng.choice((1.0, 6.0)),
    "redis/cut": lambda rng: 0.1,
    "redis/slow": lambda rng: rng.choice((2.0, 8.0)),
}
"""What happens to processes and to what joins them, and for how long (s)."""


def make_process_troubles(rng: Random, venues: Sequence[str], processes: int) -> tuple[Trouble, ...]:
    """A few things that happen to processes and to Redis, one upon the other, and a few of the venues' troubles."""
    found = []
    at = rng.uniform(WARM, 26.0)
    while at < LAST_TROUBLE - 14.0:
        name = rng.choice(sorted(SIGNALS))
        found.append(Trouble(name, round(at, 3), round(SIGNALS[name](rng), 3), amount=float(rng.randrange(processes))))
        at += rng.uniform(0.2, 16.0)
    for name in rng.choices(sorted(SUDDEN), k=rng.randrange(3)):
        found.append(_at(SUDDEN[name](rng, _one_that_can(rng, venues, name)), rng.uniform(WARM, LAST_TROUBLE - 2.0)))
    return tuple(sorted(found, key=lambda each: each.begin))


def _one_that_can(rng: Random, venues: Sequence[str], name: str) -> str:
    return rng.choice([each for each in venues if can_have(each, name)])


def _at(trouble: Trouble, begin: float, seconds: float | None = None) -> Trouble:
    lasting = round(min(seconds or trouble.seconds, LAST_TROUBLE - begin), 3)
    return Trouble(
        trouble.name, round(begin, 3), lasting, trouble.exchange, trouble.symbol, trouble.market, trouble.amount
    )


# --- clients


def channels_of(venues: Sequence[str]) -> list[str]:
    """All that clients may ask for; of all venues also what is derived of them."""
    of_all = [f"{COMPOSITE}:spot:{SYMBOLS[0]}:{kind}" for kind in ("bbo", "order_book:5", "order_book:10")]
    return [
        f"{venue}:{market}:{symbol}:{kind}"
        for venue in venues
        for market in markets_of(venue)
        for symbol in SYMBOLS[: 1 + (venue == "binance")]
        for kind in (KINDS if venues == TWO else (*KINDS, "bbo"))
    ] + (of_all if venues != TWO else [])


def _channels(rng: Random, count: int, venues: Sequence[str]) -> tuple[str, ...]:
    """Names of channels: ``binance:spot:BTC-USDT:order_book:10``, some with a rate: ``...@2``."""
    found = rng.sample(channels_of(venues), count)
    return tuple(
        f"{each}@{rng.choice((0.5, 2, 10))}" if ":trade" not in each and not rng.randrange(8) else each
        for each in found
    )


def _stay(rng: Random, channels: tuple[str, ...]) -> list[Action]:
    begin = round(rng.uniform(0.2, 6.0), 3)
    found = [Action(begin, "connect"), Action(begin + 0.3, "subscribe", channels)]
    found += [Action(float(at), "ping") for at in range(20, int(SECONDS), 30)]
    return found


def _fast(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    actions = _stay(rng, _channels(rng, 7, venues))
    return ClientPlan(name, "fast", tuple(actions), delay=rng.choice((0.0, 0.01, 0.04)))


def _slow(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    actions = _stay(rng, _channels(rng, 6, venues))
    rate = rng.choice((5_000.0, 9_000.0, 20_000.0))
    return ClientPlan(name, "slow", tuple(actions), 0.03, 0.0, True, rate, kernel=rng.choice((8, 32)) * 1024)


def _trickling(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    actions = _stay(rng, _channels(rng, 3, venues))
    return ClientPlan(name, "trickling", tuple(actions), 0.02, 0.005, True, trickle=rng.choice((0.002, 0.01)))


def _deaf(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    begin = rng.uniform(8.0, 40.0)
    actions = [
        Action(1.0, "connect"),
        Action(1.2, "subscribe", _channels(rng, 5, venues)),
        Action(begin, "stop_reading"),
    ]
    return ClientPlan(name, "deaf", tuple(actions), kernel=rng.choice((4, 16)) * 1024)


def _reconnecting(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    found: list[Action] = []
    # With one channel its kernel is not full before it is missed.
    channels, at = _channels(rng, rng.choice((1, 5)), venues), rng.uniform(0.5, 4.0)
    while at < SECONDS - 22.0:
        found += [Action(round(at, 3), "connect"), Action(round(at + rng.uniform(0.1, 1.0), 3), "subscribe", channels)]
        at += rng.uniform(3.0, 25.0)
        found.append(Action(round(at, 3), rng.choice(("abort", "close", "freeze"))))
        at += rng.uniform(0.1, 6.0)
    found += [Action(round(at, 3), "connect"), Action(round(at + 0.4, 3), "subscribe", channels)]
    return ClientPlan(name, "reconnecting", tuple(found), delay=0.03, jitter=rng.choice((0.0, 0.05)))


def _changing(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    found, at = [Action(1.0, "connect")], 1.5
    wanted: list[str] = []
    while at < SECONDS - 20.0:
        do = rng.choice(("subscribe", "subscribe", "unsubscribe", "resync", "list", "swap"))
        if do in ("subscribe", "swap"):
            fresh = _channels(rng, rng.randrange(1, 3), venues)
            if do == "swap" and wanted:
                found.append(Action(round(at, 3), "unsubscribe", tuple(wanted)))
                wanted = []
            found.append(Action(round(at, 3), "subscribe", fresh))
            wanted = sorted({*wanted, *fresh})[-7:]
        elif do == "list":
            found.append(Action(round(at, 3), "list"))
        elif wanted:
            some = tuple(rng.sample(wanted, rng.randrange(1, 1 + len(wanted))))
            found.append(Action(round(at, 3), do, some))
            gone = {each.partition("@")[0] for each in some if do == "unsubscribe"}  # with whatever rate
            wanted = [each for each in wanted if each.partition("@")[0] not in gone]
        at += rng.uniform(0.2, 4.0)
    return ClientPlan(name, "changing", tuple(found), delay=rng.choice((0.0, 0.02)))


HOSTILE = (
    "text:{",
    "text:[1,2",
    'text:{"op":"subscribe"}',
    'text:{"op":"subscribe","channels":[{"channel_type":"ticker","exchange":"nowhere","symbol":"BTC-USDT"}]}',
    'text:{"op":"subscribe","channels":[{"channel_type":"ticker","exchange":"binance","symbol":"NOT-THERE"}]}',
    'text:{"op":"subscribe","channels":[{"channel_type":"order_book","exchange":"bybit","symbol":"BTC-USDT","depth":-1}]}',
    'text:{"op":"explode"}',
    "text:\u2603" * 3,
    "binary",
    "unasked-pong",
    "flood-pings",
    "flood-requests",
    "fragments",
    "huge",
    "reserved-bits",
    "unmasked",
    "bad-utf8",
    "bad-opcode",
    "half-a-frame",
)


def _hostile(rng: Random, name: str, venues: Sequence[str]) -> ClientPlan:
    found, at = [], rng.uniform(0.5, 3.0)
    while at < SECONDS - 22.0:
        found += [Action(round(at, 3), "connect"), Action(round(at + 0.2, 3), "subscribe", _channels(rng, 2, venues))]
        for _ in range(rng.randrange(1, 5)):
            at += rng.uniform(0.5, 5.0)
            found.append(Action(round(at, 3), "attack", (rng.choice(HOSTILE),)))
        at += 1.5
        found.append(Action(round(at, 3), "abort"))
        at += 0.2
    return ClientPlan(name, "hostile", tuple(found), split=bool(rng.randrange(2)))


CROWD: Mapping[str, Callable[[Random, str, Sequence[str]], ClientPlan]] = {
    "fast": _fast,
    "slow": _slow,
    "trickling": _trickling,
    "deaf": _deaf,
    "reconnecting": _reconnecting,
    "changing": _changing,
    "hostile": _hostile,
}


def make_clients(rng: Random, venues: Sequence[str] = TWO) -> tuple[ClientPlan, ...]:
    """One of each kind, and a second fast one."""
    crowd = [CROWD[kind](rng, f"{kind}-{index}", venues) for index, kind in enumerate((*CROWD, "fast"))]
    return tuple(evolve(each, resumes=bool(rng.randrange(3))) for each in crowd)


def channel_of(name: str) -> dict[str, Any]:
    """A channel as a client writes it, from its name."""
    name, _, rate = name.partition("@")
    exchange, market, symbol, kind, *detail = name.split(":")
    base, _, quote = symbol.partition("-")
    channel: dict[str, Any] = {
        "channel_type": kind,
        "exchange": exchange,
        "market_type": market,
        "symbol": {"base": base, "quote": quote},
    }
    if detail:
        channel["interval" if kind == "candle" else "depth"] = detail[0] if kind == "candle" else int(detail[0])
    if rate:
        channel["max_rate"] = float(rate)
    return channel


def describe(plan: Plan) -> str:
    """The plan for people: a line for each trouble and client."""
    lines = [f"seed {plan.seed}: origin {plan.origin_ms}, wall {plan.wall_skew_ms} ms {plan.wall_ppm} ppm"]
    lines += [f"  {venue}: {line}" for venue, line in plan.lines.items()]
    lines += [f"  {each}" for each in plan.troubles]
    for client in plan.clients:
        lines.append(
            f"  {client.name}: delay {client.delay} rate {client.rate} kernel {client.kernel} resumes {client.resumes}"
        )
        lines += [f"    {each.at} {each.do} {' '.join(each.what)}" for each in client.actions]
    return "\n".join(lines)
