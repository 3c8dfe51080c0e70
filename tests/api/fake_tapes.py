"""Tapes that say what a test puts into them, and a client that plays from them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import Item, Question

SECOND = 1_000_000
FROM = 1_704_000_000_000
"""ms; the clock of these tests says a day later."""
AT = FROM * 1000
TRADES = {"channel_type": "trade", "exchange": "binance", "symbol": "BTC-USDT"}


class FakeAnswer:
    """Gives what the test puts into it, when it does."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Item]] = []
        self.asked: Deferred[Sequence[Item]] | None = None
        self.pulled = 0
        self.is_cancelled = False
        self.error: Refused | None = None

    def put(self, *items: Item) -> None:
        self.batches.append(items)
        self._give()

    def end(self) -> None:
        self.put()

    def fail(self, error: Refused) -> None:
        self.error = error
        self._give()

    def more(self) -> Deferred[Sequence[Item]]:
        asked = self.asked = Deferred()
        self._give()
        return asked

    def cancel(self) -> None:
        self.is_cancelled = True
        self.fail(Refused("cancelled", "the answer was cancelled", 503))

    def _give(self) -> None:
        if self.asked is not None and (self.batches or self.error is not None):
            asked, self.asked = self.asked, None
            self.pulled += 1
            if self.batches:
                asked.callback(self.batches.pop(0))
            else:
                assert self.error is not None
                asked.errback(self.error)


class FakeTapes:
    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.answers: list[FakeAnswer] = []
        self.is_full = False

    def ask(self, question: Question, client: Hashable, wait_s: float = 0.0) -> FakeAnswer:
        if self.is_full:
            raise TryLater("too_many_replays", "2 at a time", 5)
        assert client == "10.0.0.1"
        self.questions.append(question)
        self.answers.append(FakeAnswer())
        return self.answers[-1]


class Playing:
    """A client and the tape that it plays from."""

    def __init__(self, world: Any, **how: Any) -> None:
        self.world = world
        self.tapes = FakeTapes()
        self.client = world.client(tapes=self.tapes, **how)

    def replay(self, *channels: Any, **members: Any) -> list[dict[str, Any]]:
        request = {"op": "replay", "from": FROM, "to": FROM + 60_000, "channels": channels or (TRADES,), **members}
        return self.client.ask(request)

    @property
    def answer(self) -> FakeAnswer:
        return self.tapes.answers[-1]

    def got(self) -> list[dict[str, Any]]:
        self.world.flush()
        return self.client.got()
