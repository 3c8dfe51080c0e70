"""What has been made up of prices and bars, kept while somebody asks for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

BARS_KEPT = 50_000
"""Made up bars that a simulator keeps, of all its instruments: about 18 MB."""

Made = TypeVar("Made")
Key = tuple[object, int, int]


@define(eq=False)
class BarCache(Generic[Made]):
    """Made up lists of all instruments, ``most`` entries in them at a time: those that nobody has asked for the longest
    go first."""

    most: int = BARS_KEPT
    _made: OrderedDict[Key, list[Made]] = field(factory=OrderedDict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: Key, make: Callable[[], list[Made]]) -> list[Made]:
        """The list of this key (owner, length and open time in ms), made if it is not here."""
        found = self._made.get(key)
        if found is not None:
            self._made.move_to_end(key)
            return found
        made = make()  # may look up others, and so make them
        self._made[key] = made
        self._count += len(made)
        while self._count > self.most and len(self._made) > 1:
            self._count -= len(self._made.popitem(last=False)[1])
        return made
