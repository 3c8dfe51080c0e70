"""Who gets the messages of one topic (or of one view of a book)."""

from __future__ import annotations

from twisted.logger import Logger

from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, IOutlet, Message

_log = Logger(namespace="cryptodash.hub.outlets")


class Outlets:
    """A set of outlets, by identity. False while empty, so that nothing is encoded for nobody.

    An outlet that raises is a fault of ours: it is logged and taken out, because what follows would not fit what it
    missed, and because a broken outlet must neither disturb its neighbours nor fill the log. It is told so
    (``failed``), that nobody goes on waiting behind it.
    """

    __slots__ = ("_all", "_outlets")

    def __init__(self) -> None:
        self._outlets: dict[int, IOutlet] = {}
        self._all: tuple[IOutlet, ...] = ()

    def __len__(self) -> int:
        return len(self._outlets)

    def add(self, outlet: IOutlet) -> None:
        self._outlets[id(outlet)] = outlet
        self._all = tuple(self._outlets.values())

    def remove(self, outlet: IOutlet) -> None:
        """Take it out; one that is not in is no error."""
        self._outlets.pop(id(outlet), None)
        self._all = tuple(self._outlets.values())

    def deliver(self, message: Message) -> None:
        for outlet in self._all:
            try:
                outlet.deliver(message)
            except Exception:
                self._broke(outlet, message.topic)

    def deliver_sweep(self, batch: Batch) -> None:
        for outlet in self._all:
            try:
                outlet.deliver_sweep(batch)
            except Exception:
                self._broke(outlet, batch.topic)

    def _broke(self, outlet: IOutlet, topic: Topic) -> None:
        _log.failure("an outlet failed on {topic}", topic=topic)
        self.remove(outlet)
        try:
            outlet.failed()
        except Exception:
            _log.failure("an outlet that failed on {topic} cannot be ended", topic=topic)
