"""Bybit's catalogue in our words. Source: bybit-exchange.github.io/docs/v5, "Get Instruments Info"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import unquote

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.exchanges.adapter.decode import MAX_NAME, Name, decoder, step, symbol
from cryptodash.exchanges.adapter.elements import NotListed, kept, named, tradable
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.venues.bybit.rest import CATEGORY, PERPETUAL, POOL, SPOT, Answer

_PATH = "/v5/market/instruments-info"


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """Spot answers in one page whatever the limit; linear is paged, and lists what is not launched yet only where it is
    asked for by its status ("Get Instruments Info": by default Trading and PendingOpen)."""
    params = (("category", CATEGORY[market]), ("limit", "1000"))
    first = RestRequest(Purpose.CATALOGUE, market, _PATH, params, pool=POOL)
    if market is SPOT:
        return (first,)
    return first, RestRequest(Purpose.CATALOGUE, market, _PATH, (*params, ("status", "PreLaunch")), pool=POOL)


class _PriceFilter(Struct, gc=False):
    tick_size: str = field(name="tickSize", default="")


class _LotSizeFilter(Struct, gc=False):
    qty_step: str = field(name="qtyStep", default="")
    base_precision: str = field(name="basePrecision", default="")
    min_qty: str = field(name="minOrderQty", default="")
    min_notional: str = field(name="minNotionalValue", default="")
    min_amount: str = field(name="minOrderAmt", default="")


# {"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",...,
#  "priceFilter":{...,"tickSize":"0.10"},"lotSizeFilter":{...,"minOrderQty":"0.001","qtyStep":"0.001",...,
#  "minNotionalValue":"5"},...,"settleCoin":"USDT",...}
#  linear
# {"symbolId":9,"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","innovation":"0","status":"Trading",...,
#  "lotSizeFilter":{"basePrecision":"0.000001",...,"minOrderQty":"0.000011",...,"minOrderAmt":"5",...},
#  "priceFilter":{"tickSize":"0.1"},...}      spot
class _Kind(Struct, gc=False):
    """Whether a contract is ours to read: one that is not may hold whatever it likes."""

    contract: object = field(name="contractType", default="")
    settle: object = field(name="settleCoin", default="")


class _Listing(Struct, gc=False):
    native: Name = field(name="symbol")
    status: Name
    base: Name = field(name="baseCoin")
    quote: Name = field(name="quoteCoin")
    price: _PriceFilter = field(name="priceFilter")
    lot: _LotSizeFilter = field(name="lotSizeFilter")
    # None of these may keep a contract from being listed, whatever it holds.
    number: object = field(name="symbolId", default=None)
    kind: object = field(name="symbolType", default="")
    is_pre_market: object = field(name="isPreListing", default=False)
    pre_market: object = field(name="preListingInfo", default=None)


class _Page(Struct, gc=False):
    listings: list[Raw] = field(name="list")
    cursor: Annotated[str, Meta(max_length=1024)] = field(name="nextPageCursor", default="")


_page = decoder(Answer[_Page])
_kind = decoder(_Kind)
_listing = decoder(_Listing)

STATUS: Mapping[str, str] = {
    "Trading": "trading",
    "PreLaunch": "pre_open",  # but see ``_status``
    "PendingOpen": "pre_open",  # listed, not tradable yet
    "Settling": "halted",
    "Delivering": "delisted",
    "Closed": "delisted",
}
"""Our word for each of the venue's; one we do not know is ``halted``, because only ``Trading`` promises trades. Source:
"Enums Definitions", "status"; PendingOpen from the change log (2026-09)."""

UNDERLYING: Mapping[str, str] = {
    "": "crypto",
    "innovation": "crypto",
    "adventure": "crypto",
    "xstocks": "equity",
    "mstocks": "equity",
    "stock": "equity",
    "etf": "equity",
    "commodity": "commodity",
    "forex": "fx",
    "index": "index",
}
"""``symbolType``. Source: "Enums Definitions", "symbolType", and the change log of 2026."""


def read_catalogue(exchange: str, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
    """A page. Of linear contracts those without a date."""
    page = _page(body).result

    def read(listing: Raw) -> Instrument:
        kind = _kind(listing)
        if request.market is PERPETUAL and kind.contract != "LinearPerpetual":
            raise NotListed(f"no perpetual: contractType {str(kind.contract)[:MAX_NAME]!r}")
        if request.market is PERPETUAL and kind.settle not in ("USDT", "USDC"):
            raise NotListed(f"not settled in its quote: settleCoin {str(kind.settle)[:MAX_NAME]!r}")
        return _instrument(exchange, request.market, _listing(listing))

    return kept(page.listings, read, named("symbol")), _next_page(request, page.cursor)


def _next_page(request: RestRequest, cursor: str) -> RestRequest | None:
    """The cursor comes percent-encoded, and a request's parameters are encoded when sent.
    A cursor that does not move on ends the list."""
    cursor = unquote(cursor)
    if not cursor or dict(request.params).get("cursor") == cursor:
        return None
    params = (*(each for each in request.params if each[0] != "cursor"), ("cursor", cursor))
    return RestRequest(Purpose.CATALOGUE, request.market, request.path, params, pool=POOL)


def _instrument(exchange: str, market: MarketType, listing: _Listing) -> Instrument:
    """``basePrecision`` is a step, not a number of digits."""
    lot = listing.lot
    name, tick_size, step_size = tradable(
        symbol(listing.base, listing.quote), step(listing.price.tick_size), step(lot.qty_step or lot.base_precision)
    )
    words = VenueWords()
    status = _status(listing, words)
    underlying = words.read("symbolType", str(listing.kind).lower(), UNDERLYING, "")
    return Instrument(
        exchange,
        market,
        name,
        listing.native,
        tick_size,
        step_size,
        min_qty=step(lot.min_qty),
        min_notional=step(lot.min_notional or lot.min_amount),
        status=status,
        venue_status=listing.status,
        underlying_type="pre_market" if listing.is_pre_market is True else underlying,
        venue_id="" if listing.number is None else str(listing.number),
        unknown_words=words.unknown,
    )


def _status(listing: _Listing, words: VenueWords) -> str:
    """What is not launched is traded none the less in the last phase of its pre-market, which stands in
    ``preListingInfo``: ``{"curAuctionPhase":"ContinuousTrading",...}`` ("Enums Definitions", "curAuctionPhase")."""
    phase = listing.pre_market.get("curAuctionPhase") if isinstance(listing.pre_market, dict) else None
    if listing.status == "PreLaunch" and phase == "ContinuousTrading":
        return "trading"
    return words.read("status", listing.status, STATUS, "halted")
