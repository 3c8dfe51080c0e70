"""One run: a recording, three clients, some REST at the end.

Time passes in equal steps, whatever timers the server has, and no timer that people would choose (tenths, halves and
whole seconds) falls onto a step: a rounding error in how the server adds its times cannot move anything to another
step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.golden.captures import Capture
from tests.golden.messages import Transcript, normalised
from tests.golden.peers import Client, Request
from tests.golden.server import Stage

STEP = 13 / 1024
"""Seconds. Sums of it are exact; a multiple of it that is a whole second comes only every 13 s."""
WARM_UP = 8.0
"""Seconds for catalogue and subscriptions, before and after the first clients come."""
TAIL = 8.0
"""Seconds after the last frame: long enough for streams to be told stale."""
RECOVERY = 40.0
"""Seconds without a frame after a cut: longer than the longest wait before a reconnect, which is a random one."""
GOODBYE = 6.0
DEPTHS = (5, 50, 1000)
BOOK_RATES = {5: 1, 50: 3}
RATES = {"ticker": 2, "candle": 0.5}

Channel = dict[str, Any]


class Run:
    """Plays a capture once; ``transcript`` is what came of it."""

    def __init__(self, capture: Capture, folder: Path) -> None:
        self.transcript = Transcript()
        self._capture = capture
        self._stage = Stage(folder / capture.file, dict(capture.settings))
        self._steps = 0
        self._clients: dict[str, Client] = {}
        self.frames = len(self._stage.frames)

    def play(self) -> Transcript:
        """From the server's start to its end."""
        self._pass(WARM_UP)
        self._connect("full").say("subscribe", *self._everything(), id=1)
        self._connect("rated").say("subscribe", *map(rated, self._everything()), id="one")
        self._pass(WARM_UP)
        assert not self._stage.missing, f"nobody wants {sorted(self._stage.missing)}"
        self._play_frames(self._events())
        self._pass(1.0)
        self._ask()
        self._pass(TAIL)
        self._end()
        return self.transcript

    # -- what happens when

    def _events(self) -> list[tuple[int, Callable[[], None]]]:
        """What the clients do after how many frames."""
        half, quarter = self.frames // 2, ceil(self.frames / 4)
        return [
            *([(half, self._cut)] if self._capture.cut else []),
            (half, self._late_begins),
            (half + quarter, self._late_resyncs),
            (half + quarter, self._rated_changes_its_mind),
            (half + ceil(3 * self.frames / 8), self._late_ends),
        ]

    def _late_begins(self) -> None:
        """A third client comes in the middle: its first values are what the server holds by then."""
        known = [*self._stage.channels, *(deep(each, 5) for each in self._stage.channels if is_book(each))]
        unknown = {**self._stage.channels[0], "symbol": {"base": "NOT", "quote": "THERE"}}
        self._connect("late").say("subscribe", *known, unknown)

    def _late_resyncs(self) -> None:
        late = self._clients["late"]
        late.say("resync", self._main())
        late.say("ping", id=7)

    def _late_ends(self) -> None:
        late = self._clients["late"]
        late.say("unsubscribe", self._main(), id=8)
        late.say("list")

    def _rated_changes_its_mind(self) -> None:
        """A subscription sent again replaces its rate."""
        self._clients["rated"].say("subscribe", {**self._everything()[-1], "max_rate": 4})

    def _cut(self) -> None:
        self._stage.cut()
        self._pass(RECOVERY)
        assert not self._stage.missing, "the server has not come back"

    # -- who wants what

    def _main(self) -> Channel:
        """The channel that the third client resyncs and ends: a book if there is one."""
        return next(filter(is_book, self._stage.channels), self._stage.channels[0])

    def _everything(self) -> list[Channel]:
        """All that the recording can feed, but trades last have no rate; books in every depth."""
        books = [each for each in self._stage.channels if is_book(each)]
        rest = [each for each in self._stage.channels if not is_book(each)]
        rest.sort(key=lambda each: each["channel_type"] != "trade")
        return [*rest, *(deep(each, depth) for depth in DEPTHS for each in books), *books]

    def _connect(self, name: str) -> Client:
        take = partial(self.transcript.message, name)
        self._clients[name] = Client(self._stage.network, self._stage.port, take, self._capture.compress)
        return self._clients[name]

    # -- time

    def _pass(self, seconds: float) -> None:
        for _ in range(ceil(seconds / STEP)):
            self._step()

    def _step(self) -> None:
        self._stage.network.advance(STEP)
        self._stage.network.settle()
        self._steps += 1

    def _play_frames(self, events: list[tuple[int, Callable[[], None]]]) -> None:
        """Each frame with the first step that is not before its time. An event that lets time pass delays the rest."""
        begun = self._steps
        for sent, seconds in enumerate(self._stage.frames):
            begun += self._happen(events, sent)
            while self._steps < begun + ceil(seconds / STEP):
                self._step()
            self._stage.send()
        self._happen(events, self.frames)

    def _happen(self, events: list[tuple[int, Callable[[], None]]], sent: int) -> int:
        """The events after so many frames; how many steps they took."""
        before = self._steps
        for after, event in events:
            if after == sent:
                event()
        return self._steps - before

    # -- the end

    def _ask(self) -> None:
        """REST about every channel, once. Not about candles: older ones are no part of a recording."""
        for channel in self._stage.channels:
            for path in paths(channel):
                request = Request(self._stage.network, self._stage.port, path)
                while not request.over:
                    self._step()
                self.transcript.add(f"rest {path}", "response", normalised(request.answer))

    def _end(self) -> None:
        """The server's shutdown, and what it tells its clients."""
        stopped = self._stage.stop()
        self._pass(GOODBYE)
        assert stopped.called, "the server does not stop"
        for name, client in self._clients.items():
            self.transcript.add(f"{name} close", "close", str(client.closed))


def is_book(channel: Channel) -> bool:
    return bool(channel["channel_type"] == "order_book")


def deep(channel: Channel, depth: int) -> Channel:
    return {**channel, "depth": depth}


def rated(channel: Channel) -> Channel:
    """The channel at a rate; trades and some books have none."""
    rate = BOOK_RATES.get(channel.get("depth", 0)) if is_book(channel) else RATES.get(channel["channel_type"])
    return channel if rate is None else {**channel, "max_rate": rate}


def paths(channel: Channel) -> list[str]:
    """The REST requests for what the channel is about."""
    symbol = f"{channel['symbol']['base']}-{channel['symbol']['quote']}"
    query = {"exchange": channel["exchange"], "market_type": channel["market_type"], "symbol": symbol}
    extra: dict[str, list[tuple[str, dict[str, object]]]] = {
        "order_book": [("orderbook", {"depth": 5}), ("orderbook", {})],
        "ticker": [("ticker", {})],
        "trade": [("trades", {"limit": 100})],
        "candle": [],
    }
    return [f"/api/{name}?{urlencode({**query, **more})}" for name, more in extra[channel["channel_type"]]]
