"""Recorded frames of OKX: their streams, their requests, and the REST snapshots that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from zope.interface import implementer

from cryptodash.core.errors import NumberRejected
from cryptodash.core.instruments import MarketType
from cryptodash.core.numbers import Number, divide
from cryptodash.simulator.dialect import (
    IBookSnapshots,
    IRecordingReader,
    ITextHeartbeats,
    Levels,
    RecordedBook,
    SnapshotRequest,
    StreamRequest,
)
from cryptodash.simulator.dialects.okx import answers
from cryptodash.simulator.dialects.okx.channels import argument_of

_prices = re.compile(r'\["(?:[0-9]{13}",")?([0-9]+\.[0-9]+)","|"(?:px|last)":"([0-9]+\.[0-9]+)"')
"""``["78722.3",`` of a level, ``["1786538760000","64040.2",`` of a candle; ``px`` of a trade, ``last`` of a ticker."""
_native = re.compile(r'"instId":"([^"]*)"').search
_CONNECTION = "00000000"


@implementer(IRecordingReader, IBookSnapshots, ITextHeartbeats)
class OkxRecordings:
    """Frames that say what they are about, ``{"arg":{"channel":"books","instId":"BTC-USDT"},...}``."""

    perpetual_words = ("swap", "perp")

    def read_request(self, message: Mapping[str, Any]) -> StreamRequest | None:
        """``{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}``"""
        op, args = message.get("op"), message.get("args")
        if op not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return None
        names = tuple(answers.name_of(found) for each in args if (found := argument_of(each)) is not None)
        if not names:
            return None
        asked_by = message.get("id")
        request_id = asked_by if isinstance(asked_by, str) else None
        first, *further = (answers.ack(request_id, op, name, _CONNECTION) for name in names)
        begun, ended = (names, ()) if op == "subscribe" else ((), names)
        return StreamRequest(begun, ended, first, tuple(further))

    def answer_text(self, text: str) -> str | None:
        return answers.PONG if text == answers.PING else None

    def read_data(
        self, message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        argument = argument_of(message.get("arg")) if isinstance(message, Mapping) and "data" in message else None
        return None if argument is None else (answers.name_of(argument), text)

    def native_of(self, stream: str) -> str:
        found = _native(stream)
        return found[1].upper() if found is not None else ""

    def prices_in(self, text: str) -> Iterable[str]:
        return (level or field for level, field in _prices.findall(text))

    def read_snapshot_request(self, url: str) -> SnapshotRequest | None:
        """``https://www.okx.com/api/v5/market/books?instId=BTC-USDT-SWAP&sz=400``"""
        asked = urlsplit(url)
        if asked.path != "/api/v5/market/books":
            return None
        query = parse_qs(asked.query)
        native, limit = query.get("instId", [""])[0], query.get("sz", ["1"])[0]
        market = MarketType.PERPETUAL if native.endswith("-SWAP") else MarketType.SPOT
        return SnapshotRequest(market, native, int(limit))

    def book_snapshot(self, book: RecordedBook) -> str:
        """As after a subscription: ``{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[
        {"asks":[["78729.9","0.5","0","1"],...],"bids":[...],"ts":"1787612486207","checksum":0,"seqId":80274874876,
        "prevSeqId":-1}]}``. Sizes of swaps are contracts, as the venue has them."""
        if book.sequence is None or (book.market is MarketType.PERPETUAL) is not (book.contract_size is not None):
            raise ValueError("a book without an id, or of contracts of no size")
        name = answers.name_of({"channel": "books", "instId": book.native})
        bids, asks = (_levels(side, book.contract_size) for side in (book.bids, book.asks))
        row = f'"asks":{asks},"bids":{bids},"ts":"{book.time}","checksum":0,"seqId":{book.sequence},"prevSeqId":-1'
        return f'{{"arg":{{{name}}},"action":"snapshot","data":[{{{row}}}]}}'


def _levels(side: Levels, contract: Number | None) -> str:
    """How many orders a level has no checkpoint says: one."""
    try:
        sizes = [size if contract is None else divide(size, contract) for _, size in side]
    except (ArithmeticError, NumberRejected) as error:
        raise ValueError("sizes that are no contracts") from error
    rows = [f'["{price}","{size}","0","1"]' for (price, _), size in zip(side, sizes, strict=True)]
    return "[" + ",".join(rows) + "]"
