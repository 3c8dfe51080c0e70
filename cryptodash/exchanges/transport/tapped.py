"""Tells a tap what crosses a venue's connections. Only where there is one: without it nothing stands in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from attrs import evolve

from cryptodash.core.interfaces import IFrameTap
from cryptodash.core.settings import origin_of
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Endpoint
from cryptodash.exchanges.connections.commands import Closed, Connect, Send
from cryptodash.exchanges.transport.rest import RestClient
from cryptodash.exchanges.transport.slices import Work
from cryptodash.exchanges.transport.sockets import Events


class Unread:
    """The connections of which the tap has been told more than has been dealt with."""

    def __init__(self) -> None:
        self._reads: dict[str, int] = {}

    def __contains__(self, connection: object) -> bool:
        return connection in self._reads

    def until(self, connection: str, work: Work) -> Work:
        """The same work; until it is done, the connection is one of these."""
        reads = self._reads
        reads[connection] = reads.get(connection, 0) + 1

        def go_on() -> bool:
            left = work()
            if not left and connection in reads:
                reads[connection] -= 1
                if not reads[connection]:
                    del reads[connection]
            return left

        return go_on

    def forget(self, connection: str) -> None:
        """It has ended."""
        self._reads.pop(connection, None)


def tapped(events: Events, tap: IFrameTap, unread: Unread) -> Events:
    """The same, with the tap told first."""

    def behind(connection: str, frames: Sequence[bytes]) -> Work:
        tap.received(connection, frames)
        return unread.until(connection, events.behind(connection, frames))

    def closed(connection: str, how: Closed) -> None:
        unread.forget(connection)
        tap.closed(connection, how.kind)
        events.closed(connection, how)

    return evolve(events, received=tap.dealing_with(events.received), behind=behind, closed=closed)


def tapped_connect(
    connect: Callable[[Connect], None], tap: IFrameTap, endpoints: Mapping[str, Endpoint]
) -> Callable[[Connect], None]:
    def tell(order: Connect) -> None:
        tap.connecting(order.connection, endpoints[order.endpoint].market, origin_of(order.url))
        connect(order)

    return tell


def tapped_send(send: Callable[[Send], None], tap: IFrameTap) -> Callable[[Send], None]:
    def tell(order: Send) -> None:
        tap.sent(order.connection, order.payload)
        send(order)

    return tell


def tap_answers(client: RestClient, tap: IFrameTap) -> None:
    """Tell of each answer that was good."""

    def answered(request: RestRequest, body: bytes) -> None:
        query = urlencode(request.params)
        tap.answered(request.market, request.purpose.value, request.path + (f"?{query}" if query else ""), body)

    client.answered = answered
