"""How Binance writes amounts, percentages and times that are computed."""

from __future__ import annotations

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.decimal_text import fixed
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import HOUR

SPOT = MarketType.SPOT


def quote_places(spec: InstrumentSpec) -> int:
    """Decimals of a turnover: 8 on spot, price and size decimals together on USD-M (``4000.12345``)."""
    return 8 if spec.market is SPOT else spec.price_decimals + spec.size_decimals


def quote_amount(spec: InstrumentSpec, amount: int) -> str:
    return spec.quote_amount(amount, quote_places(spec))


def percent(change: int, base: int) -> str:
    scaled = abs(change) * 100_000 // base
    return fixed(-scaled if change < 0 else scaled, 3, 3)


def mean_price(spec: InstrumentSpec, bar: Bar) -> str:
    places = spec.places[0]
    scaled = bar.turnover * spec.tick * 10**8 // bar.volume if bar.volume else bar.close * spec.tick * 10**8
    return fixed(scaled, spec.price_decimals + 8, places)


def turnover_24h(spec: InstrumentSpec, day: Bar) -> str:
    return spec.quote_amount(day.turnover, 8 if spec.market is SPOT else 2)


FUNDING_HOURS = 8
"""Funding is settled at 00:00, 08:00 and 16:00 UTC."""


def next_funding(now: int) -> int:
    return now - now % (FUNDING_HOURS * HOUR) + FUNDING_HOURS * HOUR


def eight_decimals(instrument: SimulatedInstrument, ticks: int) -> str:
    return fixed(ticks * instrument.spec.tick, instrument.spec.price_decimals, 8)
