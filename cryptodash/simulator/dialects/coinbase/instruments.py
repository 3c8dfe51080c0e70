"""What the simulated Coinbase lists. The numbers of a line are explained at ``read_table``."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.instrument_spec import InstrumentSpec, read_table
from cryptodash.simulator.market import MarketSpec, UpdateIds

_SPOT = """
BTC USD 2 1 8 1 43200
ETH USD 2 1 8 1 25200
SOL USD 2 1 8 1 12600
XRP USD 4 1 6 1 9000
DOGE USD 5 1 1 1 5400
ADA USD 4 1 8 1 2160
AVAX USD 2 1 8 1 1440
LINK USD 3 1 2 1 1620
LTC USD 2 1 8 1 960
DOT USD 3 1 8 1 640
SUI USD 4 1 1 1 2700
BCH USD 2 1 8 1 480
NEAR USD 3 1 3 1 540
UNI USD 3 1 6 1 480
ATOM USD 3 1 2 1 360
FIL USD 3 1 3 1 300
PEPE USD 8 1 0 1 2160
SHIB USD 8 1 0 1 900
BTC USDT 2 1 8 1 1800
ETH USDT 2 1 8 1 1080
SOL USDT 2 1 8 1 540
XRP USDT 4 1 6 1 480
DOGE USDT 5 1 1 1 360
ETH BTC 5 1 8 1 300
SOL BTC 7 1 8 1 120
NKN USD 4 1 1 1 15
"""

# The larger venues lead, so that the order in which a price shows up is a known one.
_LAG_MS = 110


def _product(base: str, quote: str) -> str:
    """``BTC-USD``"""
    return f"{base}-{quote}"


_LISTED = read_table("coinbase", MarketType.SPOT, _SPOT, native_name=_product)

MARKETS = {MarketType.SPOT: MarketSpec(_LISTED, update_ids=UpdateIds.PER_INSTRUMENT, lag_ms=_LAG_MS)}

ALIASES: Mapping[str, str] = {f"{each.base}-USDC": each.native for each in _LISTED if each.quote == "USD"}
"""Products in USDC: other names of the books in USD. Catalogue and REST list them, WebSocket frames have the real name
("WebSocket endpoints": they return the same data as the matching -USD product)."""

_NAMES = {
    "ADA": "Cardano",
    "ATOM": "Cosmos",
    "AVAX": "Avalanche",
    "BCH": "Bitcoin Cash",
    "BTC": "Bitcoin",
    "DOGE": "Dogecoin",
    "DOT": "Polkadot",
    "ETH": "Ethereum",
    "FIL": "Filecoin",
    "LINK": "Chainlink",
    "LTC": "Litecoin",
    "NEAR": "NEAR Protocol",
    "PEPE": "Pepe",
    "SHIB": "Shiba Inu",
    "SOL": "Solana",
    "SUI": "Sui",
    "UNI": "Uniswap",
    "USD": "US Dollar",
    "USDT": "Tether",
}


def currency_name(currency: str) -> str:
    """``Bitcoin``; a currency that has no other name is called by its code."""
    return _NAMES.get(currency, currency)


def depth(spec: InstrumentSpec) -> int:
    """How many levels a side the whole book has: about 22,000 of BTC-USD (a snapshot of 4.6 MB live), of a quiet
    product a few hundred."""
    return min(22_000, 400 + spec.trades_per_hour // 2)
