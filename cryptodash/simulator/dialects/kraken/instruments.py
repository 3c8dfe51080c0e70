"""What the simulated Kraken lists. The numbers of a line are explained at ``read_table``.

A pair has four names: ``BTC/USD`` on WebSocket v2, and in REST the key ``XXBTZUSD``, the ``altname`` ``XBTUSD`` and the
``wsname`` ``XBT/USD``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec, UpdateIds

_SPOT = """
BTC USD 1 1 8 1 21600
ETH USD 2 1 8 1 14400
SOL USD 2 1 8 1 7200
XRP USD 5 1 8 1 7200
DOGE USD 7 1 8 1 3600
ADA USD 6 1 8 1 2400
AVAX USD 2 1 8 1 1200
LINK USD 5 1 8 1 1800
LTC USD 2 1 8 1 1200
DOT USD 4 1 8 1 900
TRX USD 6 1 8 1 900
SUI USD 4 1 8 1 1800
BNB USD 2 1 8 1 900
BCH USD 2 1 8 1 600
NEAR USD 3 1 8 1 480
UNI USD 3 1 8 1 420
ATOM USD 4 1 8 1 360
FIL USD 3 1 8 1 300
PEPE USD 9 1 5 1 1800
SHIB USD 8 1 5 1 900
BTC USDT 1 1 8 1 7200
ETH USDT 2 1 8 1 4800
SOL USDT 2 1 8 1 2400
XRP USDT 5 1 8 1 2400
DOGE USDT 5 1 8 1 1200
ADA USDT 5 1 8 1 600
LINK USDT 5 1 8 1 480
LTC USDT 2 1 8 1 360
BTC USDC 2 1 8 1 1800
ETH USDC 2 1 8 1 1200
ETH BTC 5 1 8 1 900
SOL BTC 7 1 8 1 240
LTC BTC 6 1 8 1 180
NKN USD 5 1 8 1 15
"""

_LAG_MS = 90

# What a real catalogue holds besides: a pair whose orders can only be cancelled.
_CANCEL_ONLY = InstrumentSpec(
    "kraken", MarketType.SPOT, "BCH", "BTC", "BCH/BTC", 5, 1, 8, 1, "BCH", trades_per_hour=60, trading=False
)

# A token that stands for a share: its name has a small letter.
_TOKENIZED = InstrumentSpec(
    "kraken",
    MarketType.SPOT,
    *("AAPLx", "USD", "AAPLx/USD"),
    *(2, 1, 8, 1),
    "AAPL",
    trades_per_hour=240,
    underlying="equity",
)

_LEGACY = {"BTC": "XBT", "DOGE": "XDG"}
_PREFIXED = {"BTC": "XXBT", "DOGE": "XXDG", "ETH": "XETH", "LTC": "XLTC", "XRP": "XXRP", "USD": "ZUSD"}
_PREFIXED_PAIRS = {"BTC/USD", "ETH/USD", "LTC/USD", "XRP/USD", "ETH/BTC", "LTC/BTC"}
"""Pairs of the first years: their REST key is made of the prefixed assets."""


@frozen
class RestNames:
    """How REST names a pair: the key of its answers, ``altname``, ``wsname``, and the ids of its assets."""

    key: str
    altname: str
    wsname: str
    base: str
    quote: str


def asset_id(asset: str) -> str:
    """``XXBT`` for ``BTC``; younger assets have their own name."""
    return _PREFIXED.get(asset, asset)


def asset_altname(asset: str) -> str:
    """``XBT`` for ``BTC``."""
    return _LEGACY.get(asset, asset)


def rest_names(spec: InstrumentSpec) -> RestNames:
    """The names that REST has for a pair."""
    base, quote = asset_altname(spec.base), asset_altname(spec.quote)
    ids = asset_id(spec.base), asset_id(spec.quote)
    key = "".join(ids) if spec.native in _PREFIXED_PAIRS else base + quote
    return RestNames(key, base + quote, f"{base}/{quote}", *ids)


def by_rest_name(specs: Iterable[InstrumentSpec]) -> Mapping[str, InstrumentSpec]:
    """What the parameter ``pair`` may be: the key, ``altname`` or the name of WebSocket v2. ``wsname`` is refused where
    it is none of these (``XBT/USD``), as it is live."""
    found: dict[str, InstrumentSpec] = {}
    for spec in specs:
        names = rest_names(spec)
        found |= {names.key: spec, names.altname: spec, spec.native: spec}
    return found


MARKETS = {
    MarketType.SPOT: MarketSpec(
        (
            *read_table("kraken", MarketType.SPOT, _SPOT, native_name=lambda base, quote: f"{base}/{quote}"),
            _CANCEL_ONLY,
            _TOKENIZED,
        ),
        UpdateIds.PER_INSTRUMENT,
        lag_ms=_LAG_MS,
    ),
}
