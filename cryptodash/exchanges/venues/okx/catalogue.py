"""OKX's catalogue in our words. Source: www.okx.com/docs-v5, "Get instruments"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, multiply
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.adapter.decode import MAX_NAME, Name, amount, decoder, step, symbol
from cryptodash.exchanges.adapter.elements import NotListed, kept, named, tradable
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.venues.okx.rest import INSTRUMENTS, KIND, PERPETUAL, TICKERS, Answer
from cryptodash.exchanges.venues.okx.ticker_streams import TickerFields


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """The whole catalogue of an ``instType`` is one page. The volumes of swaps, in contracts and in base, tell whether
    the sizes of their contracts are right."""
    params = (("instType", KIND[market]),)
    listed = RestRequest(Purpose.CATALOGUE, market, INSTRUMENTS, params, pool=INSTRUMENTS)
    if market is not PERPETUAL:
        return [listed]
    return [listed, RestRequest(Purpose.CATALOGUE, market, TICKERS, params, pool=TICKERS, volumes=True)]


# {"baseCcy":"BTC","ctMult":"","ctType":"","ctVal":"","ctValCcy":"","instId":"BTC-USDT","instType":"SPOT",
#  "lotSz":"0.00000001","minSz":"0.00001","quoteCcy":"USDT","settleCcy":"","state":"live","tickSz":"0.1","uly":"",...}
# {"baseCcy":"","ctMult":"1","ctType":"linear","ctVal":"0.01","ctValCcy":"BTC","instId":"BTC-USDT-SWAP",
#  "instType":"SWAP","lotSz":"0.01","minSz":"0.01","quoteCcy":"","settleCcy":"USDT","state":"live","tickSz":"0.1",...}
class _Kind(Struct, gc=False):
    """Whether a listing is ours to read: one that is not may hold whatever it likes."""

    kind: object = field(name="instType", default="")
    contract: object = field(name="ctType", default="")


class _Listing(Struct, gc=False):
    native: Name = field(name="instId")
    state: Name
    tick: str = field(name="tickSz")
    lot: str = field(name="lotSz")
    least: str = field(name="minSz", default="")
    base: str = field(name="baseCcy", default="")
    quote: str = field(name="quoteCcy", default="")
    contract_value: str = field(name="ctVal", default="")
    contract_multiplier: str = field(name="ctMult", default="")
    contract_currency: str = field(name="ctValCcy", default="")
    settlement: str = field(name="settleCcy", default="")
    underlying: str = field(name="uly", default="")
    # None of these may keep a contract from being listed, whatever it holds.
    number: object = field(name="instIdCode", default=None)
    category: object = field(name="instCategory", default="")
    rule: object = field(name="ruleType", default="")


_listings = decoder(Answer[Raw])
_kind = decoder(_Kind)
_listing = decoder(_Listing)
_ticker = decoder(TickerFields)

STATUS: Mapping[str, str] = {
    "live": "trading",
    "preopen": "pre_open",  # listed, and live from ``listTime``
    "suspend": "halted",
    "rebase": "halted",  # swaps: cannot be traded while they are counted anew, or renamed
    "post_only": "halted",  # swaps: every order that would trade is refused
    "settling": "halted",
    "test": "halted",  # cannot be traded
    "expired": "delisted",
}
"""Our word for each ``state`` of "Get instruments" and of the instruments channel; one we do not know is ``halted``,
because only ``live`` promises trades. Source: www.okx.com/docs-v5, "Get instruments", "state"; post_only and rebase of
swaps from its change log (2026)."""

CATEGORIES: Mapping[str, str] = {
    "": "crypto",  # before there were others
    "1": "crypto",
    "3": "equity",
    "4": "commodity",
    "5": "fx",
}
"""``instCategory``, that of the base. Source: "Get instruments", "instCategory"; 6 (bonds) has no word of ours."""

PRE_MARKET = "pre_market"
"""The ``ruleType`` of what is traded before it is listed ("Get instruments", "ruleType")."""


def read_catalogue(exchange: str, request: RestRequest, body: bytes) -> Sequence[Instrument | ContractVolumes]:
    """Spot pairs, or linear swaps. Inverse ones are settled in their base, and no perpetual of ours."""
    if request.path == TICKERS:
        return kept(_listings(body).data, _volumes, named("instId"))

    def read(listing: Raw) -> Instrument:
        kind = _kind(listing)
        if kind.kind != KIND[request.market]:
            raise NotListed(f"another market: instType {str(kind.kind)[:MAX_NAME]!r}")
        if request.market is PERPETUAL and kind.contract != "linear":
            said = str(kind.contract)[:MAX_NAME]
            raise NotListed("settled in its base" if said == "inverse" else f"announced only: ctType {said!r}")
        return _instrument(exchange, request.market, _listing(listing))

    return kept(_listings(body).data, read, named("instId"))


def _volumes(ticker: Raw) -> ContractVolumes | None:
    """Of the last 24 h; None for what has not been traded."""
    traded = _ticker(ticker)
    contracts, base = amount(traded.volume), amount(traded.volume_currency)
    return None if contracts is None or base is None else ContractVolumes(traded.native, contracts, base)


def _instrument(exchange: str, market: MarketType, listing: _Listing) -> Instrument:
    """What is announced but not listed yet has no tick, no step and no size of a contract. The steps of a swap are
    contracts."""
    contract = _contract_size(listing) if market is PERPETUAL else None
    if market is PERPETUAL and contract is None:
        raise NotListed("announced only: no contract size")
    name, tick_size, lot = tradable(
        _swap_symbol(listing) if market is PERPETUAL else symbol(listing.base, listing.quote),
        step(listing.tick),
        _quantity(listing.lot, contract),
    )
    words = VenueWords()
    status = words.read("state", listing.state, STATUS, "halted")
    underlying = words.read("instCategory", str(listing.category), CATEGORIES, "")
    return Instrument(
        exchange,
        market,
        name,
        listing.native,
        tick_size,
        lot,
        min_qty=_quantity(listing.least, contract),
        status=status,
        venue_status=listing.state,
        contract_size=contract,
        underlying_type="pre_market" if listing.rule == PRE_MARKET else underlying,
        venue_id="" if listing.number is None else str(listing.number),
        unknown_words=words.unknown,
    )


def _swap_symbol(listing: _Listing) -> Symbol | None:
    """A swap has no base and quote of its own. Its contracts are of its base; its quote stands in the name of its
    underlying, and is what it settles in, but where that is several currencies at once."""
    base, _, quote = listing.underlying.rpartition("-")
    of_underlying = base == listing.contract_currency
    return symbol(listing.contract_currency, quote if of_underlying else listing.settlement)


def _contract_size(listing: _Listing) -> Number | None:
    """Base quantity of one contract."""
    return _quantity(listing.contract_value, step(listing.contract_multiplier or "1"))


def _quantity(text: str, factor: Number | None) -> Number | None:
    number = step(text)
    return number if number is None or factor is None else step(multiply(number, factor))
