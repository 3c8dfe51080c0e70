"""Frames as the server writes them, a state on a clock that moves when told, and what a program would see."""

from __future__ import annotations

import json
from typing import Any

from cryptodash.client.channels import Channel
from cryptodash.client.state import ClientState, Event

TICKER = Channel("ticker", "binance", "BTC-USDT")
BOOK = Channel("order_book", "binance", "BTC-USDT", depth=3)
TRADES = Channel("trade", "binance", "BTC-USDT")
CANDLES = Channel("candle", "binance", "BTC-USDT", interval="1m")
SYMBOL = '"exchange":"binance","market_type":"spot","symbol":{"base":"BTC","quote":"USDT"}'
TIMES = '"timestamp":"2024-01-01T00:00:00.000Z","received":"2024-01-01T00:00:00.010Z"'
GREETING = (
    '{"type":"info","payload":{"message":"Connected to crypto-dash API. Session: 1","session":"1","version":"0",'
    '"source":"simulated","server_time":"2024-01-01T00:00:00.000Z","ping_ms":20000}}'
)


def channel_text(channel: Channel) -> str:
    wire = channel.wire()
    base, _, quote = channel.symbol.partition("-")
    return json.dumps({**wire, "symbol": {"base": base, "quote": quote}})


def status(channel: Channel, state: str, age_ms: int | None = 0, **more: Any) -> str:
    found = {"state": state, **more} | ({} if age_ms is None else {"age_ms": age_ms})
    rest = json.dumps(found)[1:]
    return f'{{"type":"status","payload":{{"channel":{channel_text(channel)},{rest}}}'


def ticker(last: str = "43251.00", bid: str = "43250.50000000", ask: str = "43251.75") -> str:
    return f'{{"type":"ticker","payload":{{{TIMES},{SYMBOL},"bid":{bid},"ask":{ask},"last":{last},"bid_size":1.0}}}}'


def trade(number: int, *, replayed: bool = False) -> str:
    more = ',"replayed":true' if replayed else ""
    return (
        f'{{"type":"trade","payload":{{{TIMES},{SYMBOL},"id":"{number}","price":1.10,"quantity":2,"side":"buy",'
        f'"cursor":"c-{number}"{more}}}}}'
    )


def candle(minute: int, close: str, *, closed: bool = False, corrected: bool = False) -> str:
    more = (f',"cursor":"c-{minute}"' if closed else "") + (',"corrected":true' if corrected else "")
    return (
        f'{{"type":"candle","payload":{{"timestamp":"2024-01-01T00:{minute:02}:00.000Z",{SYMBOL},"interval":"1m",'
        f'"open":1,"high":2,"low":1,"close":{close},"volume":5,"closed":{json.dumps(closed)}{more}}}}}'
    )


def levels(*pairs: tuple[str, str]) -> str:
    return "[" + ",".join(f'{{"price":{price},"quantity":{size}}}' for price, size in pairs) + "]"


def snapshot(sequence: int, bids: str | None = None, asks: str | None = None) -> str:
    bids, asks = bids or levels(("1.10", "5"), ("1.00", "2.50")), asks or levels(("1.20", "1"))
    return (
        f'{{"type":"order_book_snapshot","payload":{{{TIMES},{SYMBOL},"depth":3,"sequence":{sequence},'
        f'"bids":{bids},"asks":{asks},"complete":false}}}}'
    )


def delta(sequence: int, bids: str = "[]", asks: str = "[]", gone: str = '{"bids":[],"asks":[]}') -> str:
    return (
        f'{{"type":"order_book_delta","payload":{{{TIMES},{SYMBOL},"depth":3,"sequence":{sequence},'
        f'"bids_upserts":{bids},"asks_upserts":{asks},"deletes":{gone}}}}}'
    )


class Bench:
    """A state, its clock, and the server's side of it by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.state = ClientState(lambda: self.now)

    def open(self, *channels: Channel) -> None:
        """Connected, greeted, and everything that is subscribed accepted."""
        self.state.subscribe(channels)
        self.state.opened()
        self.hear(GREETING)
        self.accept()

    def accept(self) -> list[dict[str, Any]]:
        """Answer what was asked, with all of it accepted; what was asked."""
        asked = self.asked()
        for each in asked:
            payload: dict[str, Any] = {"message": "", "id": each["id"]}
            if each["op"] == "subscribe":
                payload["accepted"] = each["channels"]
            self.hear(json.dumps({"type": "info", "payload": payload}))
        return asked

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.state.frames_to_send()]

    def hear(self, *frames: str) -> list[Event]:
        return [event for frame in frames for event in self.state.received(frame)]
