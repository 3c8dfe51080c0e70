"""The recording, for clients that come back: what it has behind their cursors.

After a restart all of them come at once, some with hundreds of channels: they take turns, so that nobody is told of a
gap only because others ask as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred

from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import UNKNOWN, Answer, Entry, ITapes, Item, Missing, ReadAfter
from cryptodash.core.topics import Topic

WAIT_S: Final = 20.0
"""Seconds that an answer waits for a reader. What is told meanwhile is kept for longer."""
ASKED_OF_ONE: Final = 8
"""Answers of one client that are read or wait for a reader. The others wait for these."""
MOST_OF_ONE: Final = 1_000
"""Those that wait, of one client: as many channels as a connection may have."""
MOST: Final = 20_000
"""And of all."""


class Past:
    """``hub.interfaces.IPast`` over whatever reads tapes."""

    def __init__(self, tapes: ITapes) -> None:
        self._tapes = tapes
        self._clients: dict[str, _Turns] = {}
        self._waiting = 0

    def after(self, topic: Topic, cursor: Cursor, client: str) -> Continued:
        turns = self._clients.get(client)
        if self._waiting >= MOST or (turns is not None and len(turns.waiting) >= MOST_OF_ONE):
            raise TryLater("too_many_replays", "too many channels wait for the recording", round(WAIT_S))
        return Continued(self, ReadAfter(topic.text, cursor.time, cursor.id), client)

    # -- for its answers

    def ask(self, question: ReadAfter, client: str) -> Answer:
        return self._tapes.ask(question, client, WAIT_S)

    def enter(self, client: str) -> Deferred[None] | None:
        """None: it is the client's turn, until it leaves; else that has to be waited for."""
        turns = self._clients.setdefault(client, _Turns())
        if turns.taken < ASKED_OF_ONE:
            turns.taken += 1
            return None
        turn: Deferred[None] = Deferred()
        turns.waiting.append(turn)
        self._waiting += 1
        return turn

    def leave(self, client: str, turn: Deferred[None] | None) -> None:
        """``turn``: it still waits for that."""
        turns = self._clients[client]
        if turn is not None:
            turns.waiting.remove(turn)
            self._waiting -= 1
            turn.errback(Refused("cancelled", "nothing more is wanted"))
        elif turns.waiting:
            self._waiting -= 1
            turns.waiting.popleft().callback(None)
        else:
            turns.taken -= 1
            if not turns.taken:
                del self._clients[client]


@define(eq=False)
class _Turns:
    """Of one client: how many it has taken, and who waits."""

    taken: int = 0
    waiting: deque[Deferred[None]] = field(factory=deque)


class Continued:
    """``hub.interfaces.PastAnswer``."""

    def __init__(self, past: Past, question: ReadAfter, client: str) -> None:
        self._past, self._question, self._client = past, question, client
        self._answer: Answer | None = None
        self._turn: Deferred[None] | None = None
        self._has_entered = False
        self._is_over = False

    async def more(self) -> Sequence[bytes | None]:
        if self._is_over:
            return ()
        try:
            if self._answer is None:
                await self._take_turn()
                self._answer = self._past.ask(self._question, self._client)
            found = [_told(each) for each in await self._answer.more()]
        except Exception:
            self.cancel()
            raise
        if not found:
            self._leave()
        return found

    def cancel(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
        self._leave()

    async def _take_turn(self) -> None:
        self._has_entered = True
        self._turn = self._past.enter(self._client)
        if self._turn is not None:
            await self._turn
            self._turn = None

    def _leave(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._has_entered:
            turn, self._turn = self._turn, None
            self._past.leave(self._client, turn)


def _told(item: Item) -> bytes | None:
    if isinstance(item, Entry):
        return item.body
    if isinstance(item, Missing) and item.reason == UNKNOWN:
        raise Refused("not_recorded", "the recording does not reach back to the cursor")
    return None
