"""The client without its socket: frames and link events in, frames to send and events for the user out.

The caller tells ``opened``, ``received`` for each text frame, ``closed``, and ``tick`` about once a second; after each
it sends ``frames_to_send`` and hands on the events that it was given. The clock is an argument.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptodash.client.book import Book
from cryptodash.client.channels import CHANNEL_OF, EVERY_SYMBOL, Channel, Key, folded, key_told
from cryptodash.client.decoding import decode, objects, words
from cryptodash.client.errors import MalformedFrame
from cryptodash.client.freshness import Clock, Link
from cryptodash.client.requests import Requests
from cryptodash.client.subscription import Subscription
from cryptodash.client.values import Gap, Notice, Rejected, StatusChange, Value

PING_AFTER = 1.0
"""Seconds without a frame after which the server is asked whether it is there."""
PING_EVERY = 2.0
"""Seconds between two pings while frames come: an answer that stays away tells that they are old."""
MOST_CHANNELS = 1_000
"""That a server lets one connection have, and name in one request."""
STALLED_AFTER = 2.0
"""Seconds without a ``tick`` after which the program itself stood still, and what is read may be as old."""

Event = Value | Book | Gap | StatusChange | Rejected | Notice
"""What a user may be told. A ``Book`` is the one object of its subscription, which has changed."""


class ClientState:
    """``pings`` false: the caller sends none, and silence alone is judged."""

    def __init__(self, clock: Clock, *, link: Link | None = None, pings: bool = True) -> None:
        self._clock = clock
        self.link = link or Link(clock)
        self.subscriptions: dict[Key, Subscription] = {}
        """By the key of the channel as the user wrote it."""
        self.retry_ms: int | None = None
        """What the server asked for, on the way to the end of this connection."""
        self.session: str | None = None
        self.source: str | None = None
        """``live``, ``simulated``, ``replay`` or ``custom``, as the greeting says."""
        self.malformed = 0
        """Frames that could not be read."""
        self.ignored = 0
        """Messages of unknown types, and of channels that are not subscribed."""
        self._by_wire: dict[Key, Subscription] = {}
        self._pings = pings
        self._pinged = self._ticked = 0.0
        self._requests = Requests()
        self._greeted = False

    # what the user wants

    def subscribe(self, channels: Iterable[Channel], since: str | None = None) -> None:
        """Also while there is no connection: it is asked for as soon as there is one. A repeat brings status and value
        again, and replaces ``max_rate``. ``since``: the cursor of the last message that the user has of a channel that
        is new. ``ValueError`` over a thousand channels."""
        wanted = []
        for channel in channels:
            found = self.subscriptions.get(channel.key)
            if found is None:
                if len(self.subscriptions) >= MOST_CHANNELS:
                    raise ValueError(f"a connection has {MOST_CHANNELS} channels at most")
                found = self.subscriptions[channel.key] = Subscription(channel, self.link)
                found.cursor = since
                self._by_wire[found.key] = found
            found.channel = channel
            wanted.append(found)
        if self._greeted:
            self._requests.ask("subscribe", wanted)

    def unsubscribe(self, channels: Iterable[Channel]) -> None:
        """What is not subscribed is passed over."""
        gone = [found for channel in channels if (found := self.subscriptions.get(channel.key)) is not None]
        for each in gone:
            self._forget(each)
        if self._greeted and gone:
            self._requests.ask("unsubscribe", gone)

    def resync(self, channels: Iterable[Channel]) -> None:
        """Ask for what the server knows of each now."""
        wanted = [found for channel in channels if (found := self.subscriptions.get(channel.key)) is not None]
        if self._greeted and wanted:
            self._requests.ask("resync", wanted)

    def renew(self, token: str) -> None:
        """Give another token on this connection, before the first one ends."""
        self._requests.ask("auth", token=token)

    def book(self, channel: Channel) -> Book | None:
        found = self.subscriptions.get(channel.key)
        return None if found is None else found.book

    def newest(self, channel: Channel) -> Value | None:
        found = self.subscriptions.get(channel.key)
        return None if found is None else found.newest

    # what happens

    def opened(self) -> None:
        """A connection is there; the greeting comes."""
        self.link.is_up, self.link.heard, self.link.asked = True, self._clock(), None
        self._pinged = self._ticked = self._clock()
        self._greeted, self.retry_ms = False, None
        self._requests.clear()

    def closed(self, reason: str = "") -> None:
        """The connection is lost: nothing is live. ``reason``: what the server gave, which may hold ``retry_ms``."""
        self.link.is_up, self.link.asked, self._greeted = False, None, False
        self._requests.clear()
        for each in self.subscriptions.values():
            each.lost()
        try:
            found = json.loads(reason)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            self._hear_retry(found)

    def received(self, text: str | bytes) -> list[Event]:
        """A text frame. ``MalformedFrame`` if it cannot be read: then what is held cannot be trusted any more, and the
        caller ends this connection."""
        self.link.heard = self._clock()
        self._note_stall(self.link.heard)
        try:
            kind, payload = decode(text)
            return self._take(kind, payload)
        except MalformedFrame:
            self.malformed += 1
            self.closed()
            raise

    def tick(self) -> None:
        """Ping if it is time."""
        now, link = self._clock(), self.link
        self._note_stall(now)
        self._ticked = now
        if not (self._pings and self._greeted) or link.asked is not None:
            return
        if now - self._pinged >= PING_EVERY or now - link.heard >= PING_AFTER:
            self._pinged = link.asked = now
            self._requests.ask("ping")

    def frames_to_send(self) -> list[str]:
        """What is to be sent now, in order; each once."""
        return self._requests.to_send()

    # the insides

    def _note_stall(self, now: float) -> None:
        """Where the program stood still, what waited meanwhile is as old: ask, as if that had been at the beginning."""
        if self._pings and self._greeted and self.link.asked is None and now - self._ticked > STALLED_AFTER:
            self.link.asked, self._pinged, self._ticked = self._ticked, now, now
            self._requests.ask("ping")

    def _take(self, kind: str, payload: Mapping[str, Any]) -> list[Event]:
        if payload.get("source") == "recorded":  # nobody here has asked for it, and nothing of it is of now
            self.ignored += 1
            return []
        if kind in CHANNEL_OF:
            return self._take_value(kind, payload)
        reader = self._READERS.get(kind)
        if reader is None:
            self.ignored += 1
            return []
        return reader(self, payload)

    def _take_value(self, kind: str, payload: Mapping[str, Any]) -> list[Event]:
        found = self._find(payload, CHANNEL_OF[kind])
        if found is None:
            self.ignored += 1
            return []
        if found.book is None:
            value = found.take_value(kind, payload)
            return [] if value is None else [value]
        if found.take_book(kind, payload):
            self._requests.ask("resync", (found,))
        return [found.book]

    def _find(self, about: Mapping[str, Any], channel_type: str | None = None) -> Subscription | None:
        key = key_told(about, channel_type)
        found = self._by_wire.get(key)
        if found is None and key[0] == "ticker":
            return self._by_wire.get((*key[:3], EVERY_SYMBOL, ""))
        return found

    def _take_status(self, payload: Mapping[str, Any]) -> list[Event]:
        found = self._find(_channel_in(payload))
        if found is None:
            self.ignored += 1
            return []
        change = found.take_status(payload)
        return [change] if found.book is None else [change, found.book]

    def _take_gap(self, payload: Mapping[str, Any]) -> list[Event]:
        found = self._find(_channel_in(payload))
        return [] if found is None else [found.take_gap(payload)]

    def _take_info(self, payload: Mapping[str, Any]) -> list[Event]:
        self._hear_retry(payload)
        if "session" in payload and not self._greeted:
            self._greeted = True
            self.session, self.source = words(payload, "session"), words(payload, "source")
            if self.subscriptions:
                self._requests.ask("subscribe", self.subscriptions.values())
            return [Notice("info", payload)]
        request = self._requests.answered(payload)
        if request is None:
            return [Notice("info", payload)]
        if request.op == "subscribe":
            return self._accept(request.about, payload)
        if request.op == "ping":
            self.link.asked = None
        elif request.op == "resync":
            for each in filter(self._is_held, request.about):
                each.answered()
        return []

    def _accept(self, asked: tuple[Subscription, ...], payload: Mapping[str, Any]) -> list[Event]:
        """The server writes a symbol in its own letters; from then on its messages are found by these."""
        by_key = {folded(each.channel.key): each for each in asked}
        for about in objects(payload, "accepted"):
            key = key_told(about)
            found = by_key.pop(folded(key), None)
            if found is None or not self._is_held(found):
                continue
            self._by_wire.pop(found.key, None)
            found.key, found.accepted = key, True
            self._by_wire[key] = found
            found.answered()
        reasons = {each.get("index"): each for each in objects(payload, "rejected")}
        events: list[Event] = []
        for index, each in enumerate(asked):
            if self._is_held(each) and folded(each.channel.key) in by_key:
                reason = reasons.get(index, {})
                self._forget(each)
                events.append(Rejected(each.channel, str(reason.get("code")), str(reason.get("message"))))
        return events

    def _take_error(self, payload: Mapping[str, Any]) -> list[Event]:
        self._hear_retry(payload)
        events: list[Event] = [Notice("error", payload)]
        op, about = self._requests.answered(payload) or ("", ())
        for each in about:  # nothing of the request was applied
            if op == "resync":
                each.resyncing = False  # the next delta asks again
            elif op == "subscribe" and self._is_held(each) and not each.accepted:
                self._forget(each)
                events.append(Rejected(each.channel, str(payload.get("code")), str(payload.get("message"))))
        return events

    def _hear_retry(self, payload: Mapping[str, Any]) -> None:
        told = payload.get("retry_ms")
        if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
            self.retry_ms = told

    def _is_held(self, each: Subscription) -> bool:
        return self.subscriptions.get(each.channel.key) is each

    def _forget(self, each: Subscription) -> None:
        self.subscriptions.pop(each.channel.key, None)
        self._by_wire.pop(each.key, None)
        each.lost()

    _READERS: Mapping[str, Callable[[ClientState, Mapping[str, Any]], list[Event]]] = {
        "status": _take_status,
        "gap": _take_gap,
        "info": _take_info,
        "error": _take_error,
    }


def _channel_in(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    found = payload.get("channel")
    if not isinstance(found, dict):
        raise MalformedFrame("no channel")
    return found
