"""How book frames follow each other, and how a REST snapshot is joined to them: one function per ``Chaining``.

The rule of each venue is written beside its ``book_rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptodash.exchanges.adapter.book_rules import Chaining
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_states import id_of


def _by_range(depth: Depth, last: int | None, joining: bool) -> bool:
    """An id range that leaves none out and goes beyond."""
    return id_of(depth.first) <= id_of(last) + 1 and id_of(depth.last) > id_of(last)


def _by_previous(depth: Depth, last: int | None, joining: bool) -> bool:
    """It names its predecessor, since ids are shared by all symbols. The first one after a snapshot need only overlap
    it, or begin with the very next id. An equal id is a sign of life."""
    if id_of(depth.last) == id_of(last):
        return False
    if depth.previous == last:
        return True
    return joining and _begins_by(depth, id_of(last)) and id_of(depth.last) > id_of(last)


def _begins_by(depth: Depth, last: int) -> bool:
    """Whether a frame that names its predecessor leaves none out after this id. A sign of life, which names itself, may
    have the very next id: that of the frame before it, which was lost."""
    return id_of(depth.first) <= last + 1 and (depth.previous is None or depth.previous <= last)


def _by_counter(depth: Depth, last: int | None, joining: bool) -> bool:
    return id_of(depth.last) == id_of(last) + 1


def _always(depth: Depth, last: int | None, joining: bool) -> bool:
    """Nothing in the frame can tell."""
    return True


FOLLOWS: dict[Chaining, Callable[[Depth, int | None, bool], bool]] = {
    Chaining.RANGE: _by_range,
    Chaining.PREVIOUS: _by_previous,
    Chaining.COUNTER: _by_counter,
    Chaining.CONNECTION: _always,
    Chaining.CHECKSUM: _always,
}
"""Whether a frame goes on exactly where ``last`` ended; ``joining``: that is a snapshot's id."""


def _joins_range(frames: Sequence[Depth], last: int) -> bool:
    """Between the snapshot and the first frame there is no id."""
    return id_of(frames[0].first) <= last + 1


def _joins_previous(frames: Sequence[Depth], last: int) -> bool:
    """The first frame that goes to the snapshot's id or beyond covers it, begins with the next id, or names it as its
    predecessor."""
    first = next(frame for frame in frames if id_of(frame.last) >= last)
    return _begins_by(first, last) or first.previous == last


def _joins_counter(frames: Sequence[Depth], last: int) -> bool:
    """The first frame is the snapshot's next, or older."""
    return id_of(frames[0].last) <= last + 1


JOINS: dict[Chaining, Callable[[Sequence[Depth], int], bool]] = {
    Chaining.RANGE: _joins_range,
    Chaining.PREVIOUS: _joins_previous,
    Chaining.COUNTER: _joins_counter,
}
"""Whether buffered frames, the newest of which has at least the id ``last``, can be joined to a snapshot with that
id."""
