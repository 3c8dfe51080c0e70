"""Coinbase's Advanced Trade as the simulator speaks it: spot, and what needs no key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import HostSpec, IDialect, IRecordingReader
from cryptodash.simulator.dialects.coinbase.instruments import MARKETS
from cryptodash.simulator.dialects.coinbase.recordings import CoinbaseRecordings
from cryptodash.simulator.dialects.coinbase.rest import CoinbaseHost
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.limits import HostLimits
from cryptodash.simulator.market import MarketSpec

# docs.cdp.coinbase.com, "WebSocket rate limits" (8 connections and 8 messages a second, of an address) and "REST rate
# limits" (public: 10 a second). No page bounds the subscriptions of a connection.
LIMITS = HostLimits(
    messages=8, streams=1_000_000, connects=8, weight=10, weight_window=1_000, connect_window=1_000, of_address=True
)


@implementer(IDialect)
class CoinbaseDialect:
    """Spot. The venue bans no address with a status of its own: the fault that does so is left out."""

    exchange = "coinbase"
    hosts: Sequence[HostSpec] = (
        HostSpec("coinbase", (MarketType.SPOT,), ("/",), "/api/v3/brokerage", LIMITS, CoinbaseHost),
    )
    markets: Mapping[MarketType, MarketSpec] = MARKETS
    faults: Collection[str] = FAULTS.keys() - {"418", "rename", "wrong-contract"}
    recordings: IRecordingReader | None = CoinbaseRecordings()


DIALECT = CoinbaseDialect()
