"""Acme's REST answers in our words: catalogue, candles, errors. Source: Acme's manual, chapter 5, "REST"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw, Struct, field

from acme_exchange.streams import read_bar
from cryptodash.exchanges.adapter import (
    Bar,
    Instrument,
    MarketType,
    Name,
    Purpose,
    RestRequest,
    Time,
    Topic,
    decoder,
    firewall_refusal,
    in_base,
    kept,
    named,
    positive,
    retry_after,
    symbol,
)

PERPETUAL = MarketType.PERPETUAL
POOL = "acme"
"""One budget for the address: 600 requests a minute, whatever they ask for (5.1)."""


# {"contracts":[{"name":"BTC-PERP","base":"BTC","quote":"USDT","contractSize":"0.001","tick":"0.5","minContracts":"1",
#  "state":"open"}]}
class _Contract(Struct, gc=False):
    name: Name
    base: Name
    quote: Name
    size: str = field(name="contractSize")
    tick: str
    least: str = field(name="minContracts")
    state: Name


class _Contracts(Struct, gc=False):
    contracts: list[Raw]


_contracts = decoder(_Contracts)
_contract = decoder(_Contract)
STATUS: Mapping[str, str] = {"open": "trading", "announced": "pre_open", "ended": "delisted"}
"""Our word for each of the venue's; one we do not know is ``halted``: only ``open`` promises trades (5.3)."""


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """All contracts are one page (5.3)."""
    return [RestRequest(Purpose.CATALOGUE, market, "/v1/contracts", pool=POOL)]


def read_catalogue(body: bytes) -> Sequence[Instrument]:
    """One contract that cannot be read never takes the others with it; one without a usable name cannot be asked
    for."""
    return kept(_contracts(body).contracts, _instrument, named("name"))


def _instrument(raw: Raw) -> Instrument | None:
    contract = _contract(raw)
    name, size, tick = symbol(contract.base, contract.quote), positive(contract.size), positive(contract.tick)
    if name is None:
        return None
    bare = Instrument("acme", PERPETUAL, name, contract.name, tick, size, contract_size=size)
    return Instrument(
        "acme",
        PERPETUAL,
        name,
        contract.name,
        tick,
        size,
        min_qty=positive(in_base(contract.least, bare)),
        status=STATUS.get(contract.state, "halted"),
        venue_status=contract.state,
        contract_size=size,
    )


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    """At most 500 bars (5.2). The answer counts in contracts: its reader needs the instrument."""
    limit = max(1, min(limit, 500))
    end = () if end_ms is None else (("end", str(end_ms)),)
    params = (("contract", instrument.native), ("interval", topic.interval), ("limit", str(limit)), *end)
    return RestRequest(
        Purpose.CANDLES, PERPETUAL, "/v1/candles", params, 1, topic, instrument.native, limit, POOL, instrument
    )


class _Candles(Struct, gc=False):
    candles: list[Raw]


_candles = decoder(_Candles)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    return kept(_candles(body).candles, lambda raw: read_bar(raw, request.instrument), named("openTime"))


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, "/v1/time", pool=POOL)


# {"time":1788548385000}
class _Clock(Struct):
    time: Time


_clock = decoder(_Clock)


def read_probe(request: RestRequest, body: bytes) -> int | None:
    """Whole milliseconds (5.6)."""
    return _clock(body).time


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """Failures have an HTTP status of their own (5.5): 429 with Retry-After, 451 where Acme may not serve."""
    if status < 300:
        return None
    message = f"HTTP {status}"
    if status == 429:
        return "banned", f"{message}: too many requests", retry_after(headers, 60.0)
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", firewall, None
    if status in (403, 451):
        return "blocked", f"{message}: not served from here", None
    if status == 503:
        return "maintenance", message, None
    return ("rejected" if status in (400, 404) else ""), message, None
