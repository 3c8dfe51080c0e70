"""Binance's catalogues in our words. Sources: developers.binance.com, "Exchange Information" of spot and of USD-M."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.exchanges.adapter.decode import MAX_NAME, Name, decoder, step, symbol
from cryptodash.exchanges.adapter.elements import NotListed, kept, named, tradable
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.venues.binance.rest import PERPETUAL, POOL, SPOT


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """The whole catalogue is one page (weight 20 on spot, 1 on USD-M)."""
    if market is SPOT:
        # permissionSets are the larger part of the answer, and of no use here.
        params = (("showPermissionSets", "false"),)
        return (RestRequest(Purpose.CATALOGUE, SPOT, "/api/v3/exchangeInfo", params, weight=20, pool=POOL[SPOT]),)
    return (RestRequest(Purpose.CATALOGUE, PERPETUAL, "/fapi/v1/exchangeInfo", pool=POOL[PERPETUAL]),)


# {"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"}
# {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}
# {"filterType":"NOTIONAL","minNotional":"5.00000000",...}         older: {"filterType":"MIN_NOTIONAL",
#  "minNotional":"10.00000000",...}
# {"notional":"5","filterType":"MIN_NOTIONAL"}                      USD-M
class _Filter(Struct, gc=False):
    kind: str = field(name="filterType")
    tick_size: str = field(name="tickSize", default="")
    step_size: str = field(name="stepSize", default="")
    min_qty: str = field(name="minQty", default="")
    min_notional: str = field(name="minNotional", default="")
    notional: str = ""


class _Kind(Struct, gc=False):
    """Whether a listing is ours to read: one that is not may hold whatever it likes."""

    on_spot: object = field(name="isSpotTradingAllowed", default=True)
    contract: object = field(name="contractType", default="")


PERPETUALS = ("PERPETUAL", "TRADIFI_PERPETUAL", "PERPETUAL_DELIVERING")
"""``contractType`` of what has no date. TRADIFI_PERPETUAL: on shares, metals, currencies ("Exchange Information",
2026); PERPETUAL_DELIVERING: one that is being settled for good."""


class _Listing(Struct, gc=False):
    native: Name = field(name="symbol")
    status: Name
    base: Name = field(name="baseAsset")
    quote: Name = field(name="quoteAsset")
    filters: list[_Filter]
    underlying: object = field(name="underlyingType", default="")


class _ExchangeInfo(Struct, gc=False):
    symbols: list[Raw]


_exchange_info = decoder(_ExchangeInfo)
_kind = decoder(_Kind)
_listing = decoder(_Listing)

STATUS: Mapping[MarketType, Mapping[str, str]] = {
    SPOT: {
        "TRADING": "trading",
        "PRE_TRADING": "pre_open",
        "BREAK": "halted",
        "HALT": "halted",
        "END_OF_DAY": "halted",
        "CANCEL_ONLY": "halted",
    },
    PERPETUAL: {
        "TRADING": "trading",
        "PENDING_TRADING": "pre_open",
        "PRE_SETTLE": "halted",
        "SETTLING": "halted",
        "PRE_DELIVERING": "delisted",
        "DELIVERING": "delisted",
        "DELIVERED": "delisted",
        "CLOSE": "delisted",
    },
}
"""Our word for each of the venue's; one we do not know is ``halted``, because only ``TRADING`` promises trades.
Sources: spot, "ENUM definitions", "Symbol status"; CANCEL_ONLY from its change log (2026-07). USD-M: "Common
Definition", "Contract status"."""

UNDERLYING: Mapping[str, str] = {
    "": "crypto",  # spot, where the venue says nothing
    "COIN": "crypto",
    "INDEX": "index",
    "EQUITY": "equity",
    "KR_EQUITY": "equity",
    "HK_EQUITY": "equity",
    "COMMODITY": "commodity",
    "FOREX": "fx",
    "FX": "fx",
    "PREMARKET": "pre_market",
}
"""``underlyingType``. Source: USD-M, "Exchange Information"; those but COIN and INDEX as live catalogues of 2026 have
them."""


def read_catalogue(exchange: str, market: MarketType, body: bytes) -> Sequence[Instrument]:
    """On USD-M only contracts without a date; on spot only what may be traded there."""

    def read(listing: Raw) -> Instrument:
        kind = _kind(listing)
        if market is SPOT and not kind.on_spot:
            raise NotListed("isSpotTradingAllowed is false")
        if market is PERPETUAL and kind.contract not in PERPETUALS:
            raise NotListed(f"no perpetual: contractType {str(kind.contract)[:MAX_NAME]!r}")
        return _instrument(exchange, market, _listing(listing))

    return kept(_exchange_info(body).symbols, read, named("symbol"))


def _instrument(exchange: str, market: MarketType, listing: _Listing) -> Instrument:
    filters = {each.kind: each for each in listing.filters}
    none = _Filter("")
    price, lot = filters.get("PRICE_FILTER", none), filters.get("LOT_SIZE", none)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL", none)
    name, tick_size, step_size = tradable(
        symbol(listing.base, listing.quote), step(price.tick_size), step(lot.step_size)
    )
    words = VenueWords()
    status = words.read("status", listing.status, STATUS[market], "halted")
    underlying = words.read("underlyingType", str(listing.underlying), UNDERLYING, "")
    return Instrument(
        exchange,
        market,
        name,
        listing.native,
        tick_size,
        step_size,
        min_qty=step(lot.min_qty),
        min_notional=step(notional.min_notional or notional.notional),
        status=status,
        venue_status=listing.status,
        underlying_type=underlying,
        unknown_words=words.unknown,
    )
