"""Which right each route needs, and the one place that asks for it: before the route sees the request."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, Protocol, TypeVar

from twisted.web.http import Request

from cryptodash.api.access.access import Access
from cryptodash.api.access.bearer import bearer_token
from cryptodash.api.access.grant import EVERYTHING, NOTHING, Grant, forbidden
from cryptodash.api.addresses import Addresses, address_group
from cryptodash.core.errors import Refused


class Right(enum.Enum):
    """What a route asks of who asks it."""

    OPEN = "nothing"
    STATUS = "nothing, and without a token of all channels it says nothing but its status"
    READ = "a token that may read something; the route looks at what"
    OPERATE = "the scope admin; without PROTECT_OPS also a token that may read everything"


class Door:
    """Judges the requests of REST."""

    def __init__(self, access: Access, addresses: Addresses) -> None:
        self._access = access
        self._addresses = addresses

    def address(self, request: Request) -> str:
        """Whom the request is counted for."""
        peer = getattr(request.getClientAddress(), "host", "")
        forwarded = ",".join(request.requestHeaders.getRawHeaders("x-forwarded-for", []))
        return address_group(self._addresses.client(peer or "", forwarded))

    def grant(self, request: Request, right: Right) -> Grant:
        """What the request may do. Raises ``Refused``: ``unauthorized`` (401), ``forbidden`` (403), ``rate_limited``
        (429)."""
        if not self._access.is_on or right is Right.OPEN:
            return EVERYTHING
        token = bearer_token(request.requestHeaders.getRawHeaders("authorization", []))
        if token is None:
            if right is Right.STATUS:
                return NOTHING
            self._access.count("missing")
            raise Refused("unauthorized", "this needs the header Authorization: Bearer <token>", 401)
        grant = self._access.check(token, self.address(request))
        if not self._suffices(grant, right):
            raise self.forbid("this")
        return grant

    def forbid(self, what: object) -> Refused:
        """A good token that does not allow this; counted."""
        self._access.count("forbidden")
        return forbidden(what)

    def _suffices(self, grant: Grant, right: Right) -> bool:
        if right is Right.OPERATE:
            return grant.is_admin or (grant.reads_all and not self._access.protects_ops)
        return right is Right.STATUS or grant.reads_some


class Guarded(Protocol):
    """An object whose routes have a door."""

    door: Door


G = TypeVar("G", bound=Guarded)
Handler = Callable[..., Awaitable[None]]

NEEDS: Final = "needs"
"""The attribute of a route's function that says which right it needs. One without it is a fault: tests look."""


def needs(right: Right) -> Callable[[Handler], Handler]:
    """Decorates a route: it is called with the grant behind the request, or not at all."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(self: G, request: Request, *words: Any, **named: Any) -> None:
            await handler(self, request, self.door.grant(request, right), *words, **named)

        setattr(guarded, NEEDS, right)
        return guarded

    return decorate
