"""What a market lists, as one process leaves it in Redis for the others."""

from __future__ import annotations

import re
import zlib
from typing import Final

import msgspec
from msgspec import msgpack

from cryptodash.cluster.wire import UNREADABLE, VERSION, BadFrame
from cryptodash.core.instruments import Instrument, MarketType


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
