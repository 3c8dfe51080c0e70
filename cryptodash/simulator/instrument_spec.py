"""What a simulated venue says of an instrument in its catalogue: names, tick and step size, how it writes numbers.

Prices are whole ticks and sizes whole steps everywhere in the simulator; ``InstrumentSpec`` turns them into the venue's
decimal text.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, field, frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.decimal_text import fixed


@frozen
class InstrumentSpec:
    """One instrument of one simulated venue.

    A tick is ``tick`` units of ``10**-price_decimals`` quote, a step ``step`` units of ``10**-size_decimals`` base.
    ``asset`` and ``multiplier`` say what the base is made of (``1000SHIB`` is a thousand SHIB); the asset's value is in
    ``assets.py``. ``trades_per_hour`` is the mean rate of random trades. ``kind`` is ``perpetual``, ``spot`` or
    ``future``; an instrument that is not ``trading`` is in the catalogue only. ``underlying`` is what its price is of
    (``crypto``, ``equity``, ``commodity``, ``fx``); one that is not ``launched`` is announced and trades later.
    ``places`` are the decimals of a price and of a size on the wire, where the venue pads to more than its steps have.
    """

    exchange: str
    market: MarketType
    base: str
    quote: str
    native: str
    price_decimals: int
    tick: int
    size_decimals: int
    step: int
    asset: str
    multiplier: int = 1
    trades_per_hour: int = 3600
    kind: str = "spot"
    trading: bool = True
    underlying: str = "crypto"
    launched: bool = True
    places: tuple[int, int] = field()

    @places.default
    def _places(self) -> tuple[int, int]:
        return (self.price_decimals, self.size_decimals)

    def price(self, ticks: int) -> str:
        """A price in the venue's padded text."""
        return fixed(ticks * self.tick, self.price_decimals, self.places[0])

    def size(self, steps: int) -> str:
        """A size in the venue's padded text."""
        return fixed(steps * self.step, self.size_decimals, self.places[1])

    def quote_amount(self, amount: int, places: int) -> str:
        """A turnover (ticks times steps) in quote currency."""
        return fixed(amount * self.tick * self.step, self.price_decimals + self.size_decimals, places)

    def reference_ticks(self, base_value: int, quote_value: int) -> int:
        """The price in ticks of a base and a quote worth so many (scaled) dollars; at least 2."""
        return max(2, base_value * self.multiplier * int(10**self.price_decimals) // (quote_value * self.tick))


def multiplied(asset: str, multiplier: int) -> str:
    """The usual base name: ``BTC``, or ``1000SHIB`` for a contract on a thousand."""
    return asset if multiplier == 1 else f"{multiplier}{asset}"


def joined(base: str, quote: str) -> str:
    """The usual native name: ``BTCUSDT``."""
    return base + quote


def read_table(
    exchange: str,
    market: MarketType,
    table: str,
    *,
    places: tuple[int, int] | None = None,
    base_name: Callable[[str, int], str] = multiplied,
    native_name: Callable[[str, str], str] = joined,
) -> tuple[InstrumentSpec, ...]:
    """Instruments from a table, one a line:

    asset, quote, price decimals, units of a tick, size decimals, units of a step, trades per hour

    ``1000xSHIB`` as the asset is a contract on a thousand of it. ``places`` as in ``InstrumentSpec``. ``base_name`` is
    told asset and multiplier, ``native_name`` base and quote.
    """
    found = []
    for line in table.strip().splitlines():
        name, quote, *numbers = line.split()
        price_decimals, tick, size_decimals, step, trades_per_hour = map(int, numbers)
        factor, _, asset = name.rpartition("x")
        multiplier = int(factor or 1)
        base = base_name(asset, multiplier)
        spec = InstrumentSpec(
            exchange=exchange,
            market=market,
            base=base,
            quote=quote,
            native=native_name(base, quote),
            price_decimals=price_decimals,
            tick=tick,
            size_decimals=size_decimals,
            step=step,
            asset=asset,
            multiplier=multiplier,
            trades_per_hour=trades_per_hour,
            kind=market.value,
        )
        found.append(spec if places is None else evolve(spec, places=places))
    return tuple(found)
