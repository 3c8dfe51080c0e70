"""Kraken's catalogue in our words. Source: docs.kraken.com, "Get Tradable Asset Pairs"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.decode import Name, decoder, step, symbol
from cryptodash.exchanges.adapter.elements import NotListed, kept, tradable
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.venues.kraken.names import modern
from cryptodash.exchanges.venues.kraken.rest import POOL, SPOT, TOKENIZED, Answer

_PATH = "/0/public/AssetPairs"


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """All pairs of a class of assets are one page; without a class those of currencies ("Get Tradable Asset Pairs",
    "aclass_base")."""
    return (
        RestRequest(Purpose.CATALOGUE, market, _PATH, pool=POOL),
        RestRequest(Purpose.CATALOGUE, market, _PATH, (("aclass_base", TOKENIZED),), pool=POOL),
    )


Places = Annotated[int, Meta(ge=0, le=18)]


# {"error":[],"result":{"XBTUSDT":{"altname":"XBTUSDT","wsname":"XBT/USDT","aclass_base":"currency","base":"XXBT",...,
#  "quote":"USDT",...,"cost_decimals":5,"pair_decimals":1,"lot_decimals":8,...,"ordermin":"0.00005","costmin":"0.5",
#  "tick_size":"0.1","status":"online",...}}}
class _Pair(Struct, gc=False):
    wsname: Name
    lot_decimals: Places
    pair_decimals: Places
    status: Name
    tick_size: str = ""
    least_size: str = field(name="ordermin", default="")
    least_cost: str = field(name="costmin", default="")
    base_class: object = field(name="aclass_base", default="")
    base: object = ""


class _Kind(Struct, gc=False):
    """A pair without ``wsname`` is not to be had by streams."""

    wsname: object = None


_pairs = decoder(Answer[dict[str, Raw]])
_kind = decoder(_Kind)
_pair = decoder(_Pair)

STATUS: Mapping[str, str] = {
    "online": "trading",
    "limit_only": "trading",  # market orders are refused, limit orders still match
    "post_only": "halted",  # nothing that would match is taken
    "cancel_only": "halted",
    "reduce_only": "halted",  # only what closes a position is taken: nothing promises a trade
    "maintenance": "halted",
    "work_in_progress": "pre_open",
    "delisted": "delisted",
}
"""Our word for each of the venue's (docs.kraken.com, "Get Tradable Asset Pairs" and, for the last three, the
``instrument`` channel); one we do not know is ``halted``."""

CLASSES: Mapping[str, str] = {"": "crypto", "currency": "crypto", TOKENIZED: "equity"}
"""``aclass_base``. Source: "Get Tradable Asset Pairs"."""

FIAT = ("ZUSD", "ZEUR", "ZGBP", "ZCAD", "ZAUD", "ZJPY", "CHF")
"""Bases that are money of states: in the ids of the first years they begin with Z ("Get Asset Info")."""


def read_catalogue(exchange: str, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
    def read(item: tuple[str, Raw]) -> Instrument:
        if _kind(item[1]).wsname is None:
            raise NotListed("no wsname: its streams cannot be had")
        return _instrument(exchange, item[0], _pair(item[1]))

    return kept(_pairs(body).result.items(), read, _name_of), None


def _name_of(item: tuple[str, Raw]) -> str:
    """How streams call the pair."""
    wsname = _kind(item[1]).wsname
    return "/".join(map(modern, wsname.split("/"))) if isinstance(wsname, str) else item[0]


def _instrument(exchange: str, key: str, pair: _Pair) -> Instrument:
    """Sizes are counted in steps of the last decimal place."""
    base, slash, quote = pair.wsname.partition("/")
    base, quote = modern(base), modern(quote)
    tick_size, step_size = step(pair.tick_size) or _unit(pair.pair_decimals), _unit(pair.lot_decimals)
    name, tick_size, step_size = tradable(symbol(base, quote) if slash else None, tick_size, step_size)
    words = VenueWords()
    status = words.read("status", pair.status, STATUS, "halted")
    underlying = words.read("aclass_base", str(pair.base_class), CLASSES, "")
    return Instrument(
        exchange,
        SPOT,
        name,
        f"{base}/{quote}",
        tick_size,
        step_size,
        min_qty=step(pair.least_size),
        min_notional=step(pair.least_cost),
        status=status,
        venue_status=pair.status,
        other_names=(key,),
        underlying_type="fx" if pair.base in FIAT else underlying,
        unknown_words=words.unknown,
    )


def _unit(places: int) -> Number:
    """One in the last of so many decimal places."""
    return Number(f"0.{'0' * (places - 1)}1" if places else "1")
