"""What is different between two readings of a market's catalogue. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from cryptodash.core.instruments import Instrument


@frozen
class CatalogueDiff:
    """``changed`` and ``renamed`` hold what was and what is. An instrument is renamed where the venue knows it by
    something else than its name (``Instrument.venue_id``) and lists it by another name than before; without that, one
    is removed and another added."""

    added: tuple[Instrument, ...] = ()
    removed: tuple[Instrument, ...] = ()
    changed: tuple[tuple[Instrument, Instrument], ...] = ()
    renamed: tuple[tuple[Instrument, Instrument], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.renamed)


def compare(before: Mapping[str, Instrument], after: Mapping[str, Instrument]) -> CatalogueDiff:
    """The difference between two readings by native name, in the order of their catalogues."""
    gone = {name: each for name, each in before.items() if name not in after}
    new = {name: each for name, each in after.items() if name not in before}
    by_id = {each.venue_id: each for each in gone.values() if each.venue_id}
    renamed = tuple((by_id.pop(each.venue_id), each) for each in new.values() if each.venue_id in by_id)
    old_names, new_names = {old.native for old, _ in renamed}, {each.native for _, each in renamed}
    return CatalogueDiff(
        added=tuple(each for name, each in new.items() if name not in new_names),
        removed=tuple(each for name, each in gone.items() if name not in old_names),
        changed=tuple((each, after[name]) for name, each in before.items() if after.get(name, each) != each),
        renamed=renamed,
    )
