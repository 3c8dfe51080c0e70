"""What has no stream at Binance and is asked for again and again: open interest, and how often funding is settled.

Source: developers.binance.com, USD-M "Market Data Endpoints" ("Open Interest", "Get Funding Rate Info").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.instruments import Instrument
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import Name, Time, amount, decoder, misdirected
from cryptodash.exchanges.adapter.elements import kept, left_out_of, named
from cryptodash.exchanges.adapter.messages import FundingIntervals, Mark, Message
from cryptodash.exchanges.adapter.plan import Part, Poll, Purpose, RestRequest
from cryptodash.exchanges.venues.binance.rest import PERPETUAL, POOL

_FUNDING = "/fapi/v1/fundingInfo"
USUAL_HOURS = 8
"""From one settlement to the next, of every perpetual that the table does not name."""
FUNDING_POLL = Poll(
    RestRequest(Purpose.POLL, PERPETUAL, _FUNDING, pool=POOL[PERPETUAL]), 300.0, frozenset({Part.FUNDING}), kept=True
)
"""All symbols at once. It costs no weight, but counts against 500 requests in five minutes."""


def interest_poll(topic: Topic, instrument: Instrument) -> Poll:
    params, path = (("symbol", instrument.native),), "/fapi/v1/openInterest"
    request = RestRequest(Purpose.POLL, PERPETUAL, path, params, 1, topic, instrument.native, pool=POOL[PERPETUAL])
    return Poll(request, 30.0, frozenset({Part.INTEREST}))


def read_poll(request: RestRequest, body: bytes) -> Sequence[Message]:
    return _read_funding(body) if request.path == _FUNDING else _read_interest(request, body)


# {"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}
class _Interest(Struct, gc=False):
    interest: str = field(name="openInterest")
    time: Time
    native: Name = field(name="symbol", default="")


_interest = decoder(_Interest)


def _read_interest(request: RestRequest, body: bytes) -> Sequence[Message]:
    data = _interest(body)
    stream = f"{request.native.lower()}@openInterest"
    if data.native and data.native != request.native:
        raise misdirected(stream, data.native)
    return (Mark(stream, data.time, full=False, open_interest=amount(data.interest)),)


# [{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.02500000","adjustedFundingRateFloor":"-0.02500000",
#  "fundingIntervalHours":8,"disclaimer":false}]     the documents' example
class _Funding(Struct, gc=False):
    native: Name = field(name="symbol")
    hours: Annotated[int, Meta(gt=0, le=168)] = field(name="fundingIntervalHours")


_fundings = decoder(list[Raw])
_funding = decoder(_Funding)


def _read_funding(body: bytes) -> Sequence[Message]:
    """Only those whose cap, floor or interval was adjusted are in it. What cannot be read is not the usual one."""
    rows = kept(_fundings(body), _funding, named("symbol"))
    hours: dict[str, int | None] = {each.native: each.hours for each in rows}
    hours.update((native, None) for native, _ in left_out_of(rows))
    return rows.told(_FUNDING, (FundingIntervals(_FUNDING, hours, USUAL_HOURS),))
