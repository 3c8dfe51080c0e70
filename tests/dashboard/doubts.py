"""Pages that note when they begin to doubt, beside another client that notes when the server said it. The reactor is
an argument."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.endpoints import TCP4ClientEndpoint

from cryptodash.core.time import SystemClock
from tests.dashboard.remote import pause

NOTES: Final = Path(__file__).with_name("doubts.js").read_text(encoding="utf-8")
PLACE: Final = {"exchange": "binance", "market_type": "spot", "symbol": "BTC-USDT"}
CHANNELS: Final = (
    {"channel_type": "ticker", **PLACE},
    {"channel_type": "trade", **PLACE},
    {"channel_type": "order_book", "depth": 50, **PLACE},
    {"channel_type": "candle", "interval": "1m", **PLACE},
    {"channel_type": "ticker", **PLACE, "exchange": "bybit"},
)
LOOK_S: Final = 0.25
OTHERS_S: Final = 3.0
"""For the other marks of the views, and for the other views, once there is one on each that matters."""
STILL_MS: Final = 800
"""Silence of so many streams at once is the machine's."""
NOTED: Final = "({first: doubts.first, said: doubts.said, saidOfPrice: doubts.saidOfPrice})"
GOOD: Final = ("live", "quiet", "connecting")

ALERT: Final = {
    "alerts": [
        {
            "id": "1",
            "kind": "above",
            "level": 1e9,
            "exchange": "binance",
            "market": "spot",
            "symbol": "BTC-USDT",
            "state": "armed",
        }
    ]
}
VIEWS: Final[Mapping[str, str]] = {
    "markets": "#/markets?q=BTC-USDT&m=all",
    "market": "#/market/binance/spot/BTC-USDT",
    "compare": "#/compare/spot/BTC-USDT",
    "health": "#/health",
    "alerts": "#/alerts",
}
THERE: Final[Mapping[str, str]] = {
    "markets": "document.querySelectorAll('.markets tbody tr .state.good').length > 3",
    "market": "document.querySelectorAll('.tape tbody tr:not([hidden])').length > 3",
    "compare": "/^([0-9]+) of \\1 /.test(document.querySelector('.left-out').innerText)",
    "health": "/[0-9]+ streams/.test(document.querySelector('main').innerText)",
    "alerts": "/^[0-9,.]+$/.test(document.querySelector('.alerts tbody td.number').innerText)",
}
HIDDEN: Final = "hidden"
"""The market view in a tab behind another one: all that is seen of it is its title."""
OF_PRICES: Final = ("alerts", HIDDEN)
"""Views that show no 24 h figures: a doubt of these alone is none of theirs."""


class Witness(WebSocketClientProtocol):
    """Another client of the server: what it says about the streams, and when, whatever a page shows of it."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = SystemClock()
        self._heard = 0
        self.states: dict[str, str] = {}
        self.pauses: list[tuple[int, int]] = []
        """When nothing at all came: from and to, epoch ms."""
        self.said: dict[str, Any] | None = None
        """The first status in doubt since ``reset``: ``at`` in epoch ms, ``words``."""

    @classmethod
    async def connect(cls, reactor: Any, port: int) -> Witness:
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/ws", reactor=reactor)
        factory.protocol = cls
        return await TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=5).connect(factory)

    def onOpen(self) -> None:
        self.sendMessage(json.dumps({"op": "subscribe", "channels": CHANNELS}).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        before, self._heard = self._heard, self._clock.wall_ms()
        if before and self._heard - before > STILL_MS:
            self.pauses.append((before, self._heard))
        if b'"status"' not in payload:
            return
        message = json.loads(payload)
        if message["type"] != "status":
            return
        status = message["payload"]
        channel = status["channel"]
        self.states[f"{channel['exchange']} {channel['channel_type']}"] = status["state"]
        if status["state"] not in GOOD and self.said is None:
            words = f"{channel['channel_type']} {status['state']} {status.get('cause', '')}".strip()
            self.said = {"at": self._clock.wall_ms(), "words": words}

    @property
    def content(self) -> bool:
        """Whether every stream was heard of, and none is in doubt."""
        return len(self.states) == len(CHANNELS) and all(state in ("live", "quiet") for state in self.states.values())

    def reset(self) -> None:
        self.said = None
        self.pauses.clear()


@frozen
class Doubted:
    """What one view showed of one fault; times in seconds since it began, None: never."""

    fault: str
    view: str
    said: float | None
    """When the server said it: of a fault of the link, 0."""
    words: str
    """The state and cause that it said."""
    marks: Mapping[str, float]
    """When the title, the header and the content were first marked."""

    @property
    def first(self) -> float | None:
        return min(self.marks.values(), default=None)

    @property
    def beyond(self) -> float | None:
        """How long the page took beyond the rule of the server."""
        return None if self.first is None or self.said is None else self.first - self.said


def table(rows: Sequence[Doubted], *, head: bool) -> str:
    """All of it as text, with the names of the columns above it or without."""

    def number(value: float | None) -> str:
        return "      \N{EN DASH}" if value is None else f"{value:7.2f}"

    names = (
        "seconds from each fault until the server said it, and until a page showed it:",
        f"{'fault':<16}{'view':<9}{'server':>7}{'title':>8}{'header':>8}{'content':>8}{'beyond':>8}  server's words",
    )
    lines = (
        f"{each.fault:<16}{each.view:<9}{number(each.said)}"
        + "".join(f" {number(each.marks.get(kind))}" for kind in ("title", "header", "content"))
        + f" {number(each.beyond)}  {each.words}".rstrip()
        for each in rows
    )
    return "\n".join((*names, *lines) if head else lines)


class Pages:
    """One tab a view, all of them open at once."""

    def __init__(self, reactor: Any, browser: Any) -> None:
        self._reactor = reactor
        self._browser = browser
        self._clock = SystemClock()
        self.tabs: dict[str, Any] = {}

    async def open(self, url: str, views: Sequence[str]) -> None:
        for view in views:
            page = self.tabs[view] = await self._browser.open(self._reactor)
            page.excuse("WebSocket connection to|ERR_|status of 503|Failed to fetch")
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=NOTES)
            if view == "alerts":
                store = f"localStorage.setItem('cryptodash.1', {json.dumps(json.dumps(ALERT))})"
                await page.call("Page.addScriptToEvaluateOnNewDocument", source=store)
            name = "market" if view == HIDDEN else view
            await page.goto(url + VIEWS[name])
            await page.wait_for(THERE[name], 30)
            if view == HIDDEN:
                await page.cover()
        await self.calm()

    async def close(self) -> None:
        for page in self.tabs.values():
            await page.close()

    def now(self) -> int:
        """Epoch ms, as the pages note them."""
        return self._clock.wall_ms()

    async def offline(self, on: bool) -> None:
        """The browser has no network any more, and says so to its pages."""
        for page in self.tabs.values():
            rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            await page.call("Network.emulateNetworkConditions", offline=on, **rates)

    async def calm(self, seconds: float = 90.0) -> None:
        """Wait until no view shows any doubt, and reset them."""
        for page in self.tabs.values():
            await page.wait_for("!Object.values(doubts.marks()).some(Boolean)", seconds)
        for page in self.tabs.values():
            await page.evaluate("doubts.reset()")

    async def doubted(
        self, fault: str, began: float, seconds: float, wanted: Collection[str], witness: Witness | None
    ) -> list[Doubted]:
        """What every view noted once those that are wanted have marked a doubt, or after the time. Without a witness
        the link is what is broken, and the server says nothing."""
        deadline = self._reactor.seconds() + seconds
        settled = False
        while self._reactor.seconds() < deadline:
            noted = {view: await page.evaluate(NOTED) for view, page in self.tabs.items()}
            if wanted and not settled and all(noted[view]["first"] for view in wanted):
                settled = True
                deadline = min(deadline, self._reactor.seconds() + OTHERS_S)
            await pause(self._reactor, LOOK_S)
        return [self._row(fault, view, began, each, witness) for view, each in noted.items()]

    def _row(self, fault: str, view: str, began: float, noted: dict[str, Any], witness: Witness | None) -> Doubted:
        said = noted["saidOfPrice" if view in OF_PRICES else "said"]
        if witness is None:
            said = {"at": began, "words": ""}
        if view == "health":  # has no stream of its own
            said = said or (witness and witness.said)
        told = None if said is None else (said["at"] - began) / 1000
        marks = {kind: (each["at"] - began) / 1000 for kind, each in noted["first"].items()}
        return Doubted(fault, view, told, "" if said is None else said["words"], marks)
