"""The query of a REST request. It is a plain mapping of names to texts; a name that stands in the URL several times
has its last text there, and all of them for whoever asks for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RestQuery(dict[str, str]):
    """A query with repeated names: ``?id=1&id=2``."""

    def __init__(self, every: Mapping[str, Sequence[str]]) -> None:
        super().__init__({name: texts[-1] for name, texts in every.items() if texts})
        self.every = every


def all_of(query: Mapping[str, str], name: str) -> Sequence[str]:
    """All texts of a name in the order of the URL; none if it does not stand there."""
    if isinstance(query, RestQuery):
        return query.every.get(name, ())
    return (query[name],) if name in query else ()
