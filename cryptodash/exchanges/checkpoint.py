"""What a recording asks of an open venue, so that it can be read from the middle on."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial

from zope.interface import implementer

from cryptodash.core.checkpoints import BookImage, FiguresImage, ICheckpointSource, TakeImage
from cryptodash.core.instruments import Instrument
from cryptodash.exchanges.engine import Engine


@implementer(ICheckpointSource)
class Checkpoint:
    """``unread``: the connections of which something has come in that the engine was not given yet. Once it has
    ``ended`` nothing comes in any more, and nothing is known."""

    def __init__(self, engine: Engine, unread: Container[str], ended: Callable[[], bool]) -> None:
        self._engine = engine
        self._unread = unread
        self._ended = ended

    def instruments(self) -> Iterable[Instrument]:
        return () if self._ended() else self._engine.instruments().values()

    def images(self) -> Sequence[TakeImage]:
        return () if self._ended() else [partial(self._taken, each) for each in self._engine.images(self._unread)]

    def _taken(self, take: TakeImage) -> BookImage | FiguresImage | None:
        return None if self._ended() else take()
