"""A client of the simulated Coinbase, and its book put together as the venue's documents say."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

HOST = "coinbase"
API = "/api/v3/brokerage"
PRODUCTS = f"{API}/market/products"


def connect(world: Any, *requests: tuple[str, list[str]]) -> Any:
    """A connection that has asked for these channels and their products, one a message."""
    wire = world.connect(HOST, "/")
    for channel, products in requests:
        ask(wire, channel, products)
    return wire


def ask(wire: Any, channel: str, products: list[str], kind: str = "subscribe") -> None:
    wire.say({"type": kind, "product_ids": products, "channel": channel})


def of(frames: list[Any], channel: str) -> list[Any]:
    return [frame for frame in frames if frame.get("channel") == channel]


def gaps(frames: list[Any]) -> list[tuple[int, int]]:
    """(expected, came) wherever the series of a connection does not go on by one."""
    numbers = [frame["sequence_num"] for frame in frames if "sequence_num" in frame]
    return [(last + 1, number) for last, number in pairwise(numbers) if number != last + 1]


class Book:
    """One product's book: a snapshot replaces it, an update sets sizes, and a size of 0 takes a level away, known or
    not."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}
        self.unknown = 0
        """How many levels were taken away that were not there."""

    def take(self, event: Any) -> None:
        if event["type"] == "snapshot":
            self.sides = {"bid": {}, "offer": {}}
        for row in event["updates"]:
            side, price, size = self.sides[row["side"]], Decimal(row["price_level"]), Decimal(row["new_quantity"])
            if size:
                side[price] = size
            else:
                self.unknown += side.pop(price, None) is None

    def best(self, depth: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """(bids, asks), best first."""
        bids, asks = sorted(self.sides["bid"].items(), reverse=True), sorted(self.sides["offer"].items())
        return bids[:depth], asks[:depth]


def decimals(levels: Any) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]
