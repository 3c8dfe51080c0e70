"""The recording, for clients that come back: what it has behind their cursors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import define

from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused
from cryptodash.core.recorded import UNKNOWN, Answer, Entry, ITapes, Item, Missing, ReadAfter
from cryptodash.core.topics import Topic

WAIT_S: Final = 20.0
"""Seconds that a client waits for its turn, when too many read already: as after a restart, when all come at once. What
is told meanwhile is kept for longer."""


@define(eq=False)
class Past:
    """``hub.interfaces.IPast`` over whatever reads tapes."""

    tapes: ITapes

    def after(self, topic: Topic, cursor: Cursor, client: str) -> Continued:
        return Continued(self.tapes.ask(ReadAfter(topic.text, cursor.time, cursor.id), client, WAIT_S))


@define(eq=False)
class Continued:
    """``hub.interfaces.PastAnswer``."""

    answer: Answer

    async def more(self) -> Sequence[bytes | None]:
        return [_told(each) for each in await self.answer.more()]

    def cancel(self) -> None:
        self.answer.cancel()


def _told(item: Item) -> bytes | None:
    if isinstance(item, Entry):
        return item.body
    if isinstance(item, Missing) and item.reason == UNKNOWN:
        raise Refused("not_recorded", "the recording does not reach back to the cursor")
    return None
