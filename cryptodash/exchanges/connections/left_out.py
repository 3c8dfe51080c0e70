"""What was left out of lists: counted by kind, and each by its name logged once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from cryptodash.core.quality import UNRECORDED, Count, StreamRecords
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.plan import Part

MOST_LOGGED = 20
"""Lines of one kind in the life of a process: whoever sees so many looks at the counter."""
SHOWN = 200

INSTRUMENT, CANDLE, SEED, SWEEP, SAME_SYMBOL = "instrument", "candle", "seed", "sweep", "same_symbol"
CONTRACT_SIZE = "contract_size"
"""An instrument whose contract cannot be of the size that the catalogue says."""

_KINDS = {Part.TRADES: "trade", Part.LIQUIDATIONS: "liquidation", Part.CANDLE: CANDLE, Part.SWEEP: SWEEP}

_log = Logger(namespace="cryptodash.exchanges.connections.left_out")


def kind_of(parts: Iterable[Part]) -> str:
    """The counter's word for the elements of a stream that brings these parts."""
    return next((_KINDS.get(part, part.value) for part in sorted(parts)), "other")


class LeftOutElements:
    """One venue's odd instruments, candles, trades and rows."""

    def __init__(self, exchange: str, tally: Tally, records: StreamRecords = UNRECORDED) -> None:
        self._exchange = exchange
        self._records = records
        self._count = tally.counter(
            "cryptodash_upstream_left_out_total",
            "Instruments, candles, trades and rows left out because they cannot be read",
            "exchange",
            "kind",
        )
        self._logged: dict[str, set[str]] = {}
        self.found: Callable[[str, str, str], None] = lambda kind, name, why: None
        """Told of each."""

    def add(self, kind: str, elements: Iterable[tuple[str, str]], of: str = "") -> None:
        """These were left out, each by its name and why; ``of``: the market, stream or instrument that they are of."""
        for name, why in elements:
            self._count.add(self._exchange, kind)
            if kind == CONTRACT_SIZE:
                self._records.count(Count.IMPLAUSIBLE)
            of_name = " ".join(filter(None, (of, name)))
            self.found(kind, of_name, why)
            self._log(kind, of_name, why)

    def _log(self, kind: str, name: str, why: str) -> None:
        logged = self._logged.setdefault(kind, set())
        if name in logged or len(logged) >= MOST_LOGGED:
            return
        logged.add(name)
        _log.warn(
            "{exchange}: {kind} {name!r} is left out: {why}",
            exchange=self._exchange,
            kind=kind,
            name=name[:SHOWN],
            why=why[:SHOWN],
        )
