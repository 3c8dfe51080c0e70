"""Fetches the pages of one market's catalogue, list after list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import Factory, define

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of, not_listed_of
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.left_out import INSTRUMENT, SWEEP

MAX_PAGES = 100
"""Of one list."""


class Fetcher(Protocol):
    """``RestClient``, as far as it is used here."""

    async def fetch(self, request: RestRequest) -> bytes:
        """The body of the answer. Raises ``UpstreamError``."""


@define
class Pages:
    """What a reading brought: ``found``; ``odd``, listings that cannot be read, and ``others``, which are none of ours,
    each by its name and why; ``missing``, what was listed when a list that is refused now was last given."""

    found: list[Instrument] = Factory(list)
    volumes: list[ContractVolumes] = Factory(list)
    odd: list[tuple[str, str]] = Factory(list)
    others: list[tuple[str, str]] = Factory(list)
    missing: set[str] = Factory(set)

    def add(self, other: Pages) -> None:
        self.found += other.found
        self.odd += other.odd
        self.others += other.others


class CataloguePages:
    """The first list must be had. A further one may be lacking while the venue refuses it (``rejected``), and one of
    traded volumes, which list nothing, whatever it fails of: those of before are then used. What is lacking, and rows
    of volumes that cannot be read, are said to ``left_out`` (as ``LeftOutElements.add``)."""

    def __init__(
        self,
        venue: IVenue,
        market: MarketType,
        rest: Fetcher,
        left_out: Callable[[str, Iterable[tuple[str, str]], str], None],
    ) -> None:
        self._venue = venue
        self._market = market
        self._rest = rest
        self._left_out = left_out
        self._lacking: set[RestRequest] = set()
        self._names: dict[RestRequest, set[str]] = {}
        """What each further list held when it was last given."""
        self._volumes: list[ContractVolumes] = []

    async def read(self) -> Pages:
        """Raises ``UpstreamError``, and ``BadFrame`` for a page that cannot be read."""
        first, *further = self._venue.catalogue_requests(self._market)
        pages = await self._list(first)
        for request in further:
            try:
                more = await self._list(request)
            except (UpstreamError, BadFrame) as error:
                if not _may_lack(request, error):
                    raise
                self._lack(request, error)
                pages.missing |= self._names.get(request, set())
                continue
            self._lacking.discard(request)
            if request.volumes:
                self._volumes = more.volumes
                self._left_out(SWEEP, more.odd, self._market.value)
            else:
                self._names[request] = {*(each.native for each in more.found), *(name for name, _ in more.odd)}
                pages.add(more)
        pages.volumes = self._volumes
        return pages

    async def _list(self, first: RestRequest) -> Pages:
        pages, count = Pages(), 0
        request: RestRequest | None = first
        while request is not None:
            count += 1
            if count > MAX_PAGES:
                raise UpstreamError("disconnected", f"the catalogue of {self._venue.id} {self._market} has no end")
            body = await self._rest.fetch(request)
            page, request = reading(self._venue.read_catalogue, request, body)
            for each in page:
                if isinstance(each, ContractVolumes):
                    pages.volumes.append(each)
                else:
                    pages.found.append(each)
            pages.odd += left_out_of(page)
            pages.others += not_listed_of(page)
        return pages

    def _lack(self, request: RestRequest, error: Exception) -> None:
        if request not in self._lacking:
            self._lacking.add(request)
            what = "&".join("=".join(each) for each in request.params)
            kind = SWEEP if request.volumes else INSTRUMENT
            self._left_out(kind, [(f"{request.path}?{what}", str(error))], self._market.value)


def _may_lack(request: RestRequest, error: UpstreamError | BadFrame) -> bool:
    return request.volumes or (isinstance(error, UpstreamError) and error.cause == "rejected")
