"""Readers for frames of any stream: for tests that read recorded frames without subscribing to anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cryptodash.exchanges.adapter.decode import check_text, reading
from cryptodash.exchanges.adapter.messages import Message, Reader
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue


class EveryReader(Mapping[str, Reader]):
    """Has a reader for whatever stream of the endpoint is asked for. Raises ``BadFrame`` for a name that is none of the
    venue's."""

    def __init__(self, venue: IVenue, endpoint: str) -> None:
        self._venue = venue
        self._endpoint = endpoint

    def __getitem__(self, name: str) -> Reader:
        return self._venue.reader(StreamSpec(self._endpoint, name, frozenset()))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read(venue: IVenue, endpoint: str, frame: bytes) -> Sequence[Message]:
    """What a frame says, of whatever stream. Raises ``BadFrame``."""
    reading(check_text, frame)
    return reading(venue.read, endpoint, frame, EveryReader(venue, endpoint))
