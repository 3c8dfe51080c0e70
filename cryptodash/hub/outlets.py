"""Who gets the messages of one topic (or of one view of a book)."""

from __future__ import annotations

from twisted.logger import Logger

from cryptodash.hub.interfaces import Batch, IOutlet, Message

_log = Logger(namespace="cryptodash.hub.outlets")


class Outlets:
    """A set of outlets, by identity. False while empty, so that nothing is encoded for nobody.

    An outlet that raises is a fault of ours: it is logged and taken out, because what follows would not fit what it missed, and
    because a broken outlet must neither disturb its neighbours nor fill the log.
    """

    __slots__ = ("_outlets",)

    def __init__(self) -> None:
        self._outlets: dict[int, IOutlet] = {}

    def __len__(self) -> int:
        return len(self._outlets)

    def add(self, outlet: IOutlet) -> None:
        self._outlets[id(outlet)] = outlet

    def remove(self, outlet: IOutlet) -> None:
        """Take it out; one that is not in is no error."""
        self._outlets.pop(id(outlet), None)

    def deliver(self, message: Message) -> None:
        broken = []
        for outlet in self._outlets.values():
            try:
                outlet.deliver(message)
            except Exception:
                broken.append(outlet)
                _log.failure("an outlet failed on {topic}", topic=message.topic)
        for outlet in broken:
            self.remove(outlet)

    def deliver_sweep(self, batch: Batch) -> None:
        broken = []
        for outlet in self._outlets.values():
            try:
                outlet.deliver_sweep(batch)
            except Exception:
                broken.append(outlet)
                _log.failure("an outlet failed on {topic}", topic=batch.topic)
        for outlet in broken:
            self.remove(outlet)
