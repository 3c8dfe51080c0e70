"""What a market lists, as one process leaves it in Redis for the others."""

from __future__ import annotations

import re
import zlib
from typing import Final

import msgspec
from msgspec import msgpack
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.cluster.channels import Channels, unanswered
from cryptodash.cluster.lease import Lease
from cryptodash.cluster.wire import UNREADABLE, VERSION, BadFrame
from cryptodash.core.instruments import Catalogue, Instrument, MarketType

_log = Logger(namespace="cryptodash.cluster")


class MarketCatalogue(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a market lists, and what else its venue's catalogue holds: each by the venue's name and why."""

    version: int
    instruments: list[Instrument]
    not_listed: list[tuple[str, str]]


MOST_UNPACKED: Final = 64 * 1024 * 1024
_encode_catalogue = msgpack.Encoder().encode
_decode_catalogue = msgpack.Decoder(MarketCatalogue).decode


def pack_catalogue(catalogue: MarketCatalogue) -> bytes:
    """Compressed, for a key of its own."""
    return zlib.compress(_encode_catalogue(catalogue), 1)


def unpack_catalogue(data: bytes, exchange: str, market: MarketType) -> MarketCatalogue:
    """Raises ``BadFrame``; of another market as well."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, MOST_UNPACKED)
        if unpacker.unconsumed_tail or unpacker.unused_data or not unpacker.eof:
            raise BadFrame("a catalogue is too long, or not whole")
        found = _decode_catalogue(text)
    except (*UNREADABLE, zlib.error) as error:
        raise BadFrame(f"catalogue: {error}") from None
    if found.version != VERSION:
        raise BadFrame(f"version {found.version}, not {VERSION}")
    for each in found.instruments:
        _check(each, exchange, market)
    return found


_is_number = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII).fullmatch


def _check(instrument: Instrument, exchange: str, market: MarketType) -> None:
    sizes = (
        instrument.tick_size,
        instrument.step_size,
        instrument.min_qty,
        instrument.min_notional,
        instrument.contract_size,
    )
    if (instrument.exchange, instrument.market) != (exchange, market) or not all(
        (*instrument.symbol, instrument.native)
    ):
        raise BadFrame(f"catalogue: {str(instrument.symbol)[:80]} is no instrument of {exchange} {market}")
    if any(each is not None and not _is_number(each) for each in sizes):
        raise BadFrame(f"catalogue: {str(instrument.symbol)[:80]} has a size that is no number")


class CatalogueStore:
    """One venue's catalogues in Redis: written by who holds the lease, read by the others."""

    def __init__(self, exchange: str, catalogue: Catalogue, channels: Channels, lease_key: bytes, lease: Lease) -> None:
        self._exchange = exchange
        self._catalogue = catalogue
        self._channels = channels
        self._lease_key = lease_key
        self._lease = lease

    def write(self, market: MarketType) -> Deferred[bool]:
        """Keep what the market lists there; fires with whether it was."""
        catalogue = self._catalogue
        if self._lease.fence is None or not catalogue.loaded(market):
            return succeed(False)
        others = [(name, why) for each, name, why in catalogue.not_listed() if each is market]
        packed = pack_catalogue(MarketCatalogue(VERSION, list(catalogue.listed(market).values()), others))
        written = self._channels.store_fenced(self._lease_key, self._lease.token, self._key(market), packed)
        return written.addCallbacks(bool, _not_written)

    def read(self, market: MarketType) -> Deferred[MarketCatalogue | None]:
        """Fires with what is there; None for nothing that can be used, or where Redis does not answer."""
        return self._channels.stored(self._key(market)).addCallbacks(lambda data: self._read(market, data), unanswered)

    def _read(self, market: MarketType, data: bytes | None) -> MarketCatalogue | None:
        if data is None:
            return None
        try:
            return unpack_catalogue(data, self._exchange, market)
        except BadFrame as error:
            _log.warn(
                "the catalogue of {exchange} {market}: {error}", exchange=self._exchange, market=market, error=error
            )
            return None

    def _key(self, market: MarketType) -> bytes:
        return self._channels.key("catalogue", self._exchange, market.value)


def _not_written(failure: Failure) -> bool:
    unanswered(failure)
    return False
