"""A dialect as a stranger writes it: a made-up venue, its words, and nothing of what the simulator gives for free."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import read_table
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec
from cryptodash.simulator.session import ClientSession

PERPETUAL, SPOT = MarketType.PERPETUAL, MarketType.SPOT

TABLE = """
BTC USDT 2 1 5 1 9000
ETH USDT 2 1 4 1 7200
"""


class Fills:
    """``{"fill":4000000001,"of":"BTC_USDT","px":"117642.15","qty":"0.00500"}``"""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        spec = self._instrument.spec
        return [
            f'{{"fill":{fill.id},"of":"{spec.native}","px":"{spec.price(fill.price)}","qty":"{spec.size(fill.size)}"}}'
            for fill in self._instrument.changes.trades
        ]


class AcmeHost(VenueHost):
    """``{"want":"BTC_USDT"}`` on ``/feed``; ``GET /list``."""

    def market_of(self, path: str) -> MarketType | None:
        return next(iter(self.markets)) if path == "/feed" else None

    def received(self, session: ClientSession, text: str) -> None:
        native = json.loads(text)["want"]
        self.subscribe(session, native, "trade", native, lambda instrument: Fills(instrument))  # type: ignore[arg-type]
        self.reply(session, '{"ok":true}')

    def answer(self, path: str, query: Mapping[str, str]) -> HttpAnswer:
        self.ledger.spend(1, self.clock.wall_ms())
        (market,) = self.markets.values()
        return HttpAnswer(200, json.dumps([each.native for each in market.specs]).encode())


LIMITS = HostLimits(messages=2, streams=10, connects=5, weight=100, weight_window=1_000)


@implementer(IDialect)
class AcmeDialect:
    exchange = "acme"
    hosts: Sequence[HostSpec] = (
        HostSpec("acme-perpetual", (PERPETUAL,), ("/feed",), "/", LIMITS, AcmeHost),
        HostSpec("acme-spot", (SPOT,), ("/feed",), "/", LIMITS, AcmeHost),
    )
    markets: Mapping[MarketType, MarketSpec] = {
        market: MarketSpec(read_table("acme", market, TABLE, native_name=lambda base, quote: f"{base}_{quote}"))
        for market in (SPOT, PERPETUAL)
    }
    faults: Collection[str] = FAULTS.keys() - {"old-snapshot", "crossed", "delist", "future-id", "future-time"}
    recordings: IRecordingReader | None = None


DIALECT = AcmeDialect()
