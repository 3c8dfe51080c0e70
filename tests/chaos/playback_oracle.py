"""What was played against what was live: every message byte for byte, in order, and where one is missing a hole that
was told. The judge knows nothing of tapes: only what two clients got."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from attrs import define, field

from cryptodash.core.time import parse_time
from tests.chaos.playback import Got, Played

_OWN = re.compile(rb',"(?:source|replay_id|recorded_state)":"[^"]*"').sub
_STATE = re.compile(rb'"state":"[a-z]+"').sub
EDGE_US = 2_000
"""A hole's times are whole milliseconds on the wire."""

Levels = dict[str, dict[Decimal, str]]


def channel_of(message: Mapping[str, Any]) -> str:
    """The channel that a message is of, as text."""
    payload = message["payload"]
    named = payload.get("channel", payload)
    kind = named.get("channel_type", message["type"]).replace("_snapshot", "").replace("_delta", "")
    symbol = named["symbol"]
    detail = named.get("interval", "") if kind == "candle" else ""
    return f"{named['exchange']}:{named['market_type']}:{symbol['base']}-{symbol['quote']}:{kind}{detail}"


def without_own(body: bytes) -> bytes:
    """What both have: without source and replay_id; of a status without its state, which is compared by itself."""
    body = _OWN(b"", body)
    return _STATE(b"", body) if body.startswith(b'{"type":"status"') else body


def told_state(payload: Mapping[str, Any]) -> tuple[object, ...]:
    state = payload.get("recorded_state", payload["state"])
    return state, payload.get("cause"), tuple(payload.get("fields", ())), payload["since"]


class Book:
    """A client's book. ``take`` raises where a delta does not fit, or the book is crossed."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.levels: Levels = {"bids": {}, "asks": {}}

    def take(self, message: Mapping[str, Any]) -> int:
        """The digest of what it is then."""
        payload = message["payload"]
        sequence = int(payload["sequence"])
        if message["type"] == "order_book_snapshot":
            self.levels = {
                side: {Decimal(each["price"]): each["quantity"] for each in payload[side]} for side in self.levels
            }
        else:
            assert self.sequence is not None and sequence == self.sequence + 1, f"{sequence} after {self.sequence}"
            for side, levels in self.levels.items():
                levels |= {Decimal(each["price"]): each["quantity"] for each in payload[f"{side}_upserts"]}
                for price in payload["deletes"][side]:
                    levels.pop(Decimal(price), None)
        self.sequence = sequence
        bids, asks = self.levels["bids"], self.levels["asks"]
        is_merged = payload["exchange"] == "composite"  # several venues' quotes may cross each other
        assert is_merged or not bids or not asks or max(bids) < min(asks), "crossed"
        return hash((sequence, *(tuple(sorted(levels.items())) for levels in self.levels.values())))


@define
class Findings:
    """``equal``: messages that are the live ones, by kind; ``states``: values told as of a moment; ``missing``: live
    messages that lie in a hole that was told; ``holes``: (reason, from, to) in us."""

    equal: Counter[str] = field(factory=Counter)
    states: Counter[str] = field(factory=Counter)
    missing: Counter[str] = field(factory=Counter)
    holes: set[tuple[str, int, int]] = field(factory=set)
    places: list[tuple[int, int]] = field(factory=list)
    """Of each message its place in the order of what was played, and of what was live."""
    wrong: list[str] = field(factory=list)


@define
class _Live:
    time: int
    place: int
    """In the order of all that came."""
    got: Got
    bare: bytes
    book: int = 0
    """Of a message of a book: the digest of the client's book behind it."""


def compare(played: Played) -> Findings:
    """What is wrong is listed in ``wrong``."""
    findings = Findings()
    live = _live_by_channel(played)
    told: defaultdict[str, list[Got]] = defaultdict(list)
    for got in played.played[1:-1]:
        payload = got.value["payload"]
        if payload.get("source") != "recorded" or b'"state":"live"' in got.body or "replay_id" not in payload:
            findings.wrong.append(f"called what it is not: {got.body[:200]!r}")
        told[channel_of(got.value)].append(got)
    order = {id(got): place for place, got in enumerate(played.played)}
    for channel in sorted({*live, *told}):
        _Channel(channel, live.get(channel, []), told.get(channel, []), played, findings, order).judge()
    findings.places.sort()
    for before, after in pairwise(findings.places):
        if after[1] < before[1]:
            findings.wrong.append(f"not in the live order: {played.played[after[0]].body[:200]!r}")
            break
    return findings


def _live_by_channel(played: Played) -> dict[str, list[_Live]]:
    found: defaultdict[str, list[_Live]] = defaultdict(list)
    books: defaultdict[str, Book] = defaultdict(Book)
    subscribed = [each.at for each in played.live if each.body.startswith(b'{"type":"info"')]
    for place, got in enumerate(played.live):
        if got.value["type"] in ("info", "error"):
            continue
        channel = channel_of(got.value)
        digest = books[channel].take(got.value) if got.value["type"].startswith("order_book") else 0
        latest = bisect_right(subscribed, got.at)
        is_present = latest > 0 and got.at - subscribed[latest - 1] < 0.0001
        if (is_present and got.value["type"] != "status") or "replayed" in got.value["payload"]:
            continue  # sent to this client alone, for it had come
        time = played.origin_ms * 1000 + round(got.at * 1e6)
        found[channel].append(_Live(time, place, got, without_own(got.body), digest))
    return found


class _Channel:
    """One channel: what was told is gone through beside what was live."""

    def __init__(
        self,
        name: str,
        live: Sequence[_Live],
        told: Sequence[Got],
        played: Played,
        findings: Findings,
        order: Mapping[int, int],
    ) -> None:
        self._name, self._findings, self._order = name, findings, order
        begin, end = played.begin_ms * 1000, played.end_ms * 1000
        self._before = [each for each in live if each.time <= begin]
        self._live = [each for each in live if begin < each.time <= end]
        self._told = told
        self._holes = [_hole_of(each) for each in told if each.value["payload"].get("reason") == "recording"]
        findings.holes |= set(self._holes)

    def judge(self) -> None:
        statuses = [each for each in self._told if each.value["type"] == "status"]
        values = [each for each in self._told if each.value["type"] != "status" and _hole_of(each) not in self._holes]
        self._values([each for each in self._live if each.got.value["type"] != "status"], values)
        self._statuses([each for each in self._live if each.got.value["type"] == "status"], statuses)
        trades = Counter(each.value["payload"]["id"] for each in values if each.value["type"] == "trade")
        live = Counter(each.got.value["payload"]["id"] for each in self._live if each.got.value["type"] == "trade")
        if twice := [name for name, count in trades.items() if count > live[name]]:
            self._wrong(f"trades more often than live: {twice[:5]}")

    def _values(self, live: Sequence[_Live], told: Sequence[Got]) -> None:
        at, book, states = 0, Book(), 0
        for got in told:
            kind, bare = got.value["type"], without_own(got.body)
            found = self._next(live, at, bare)
            try:
                digest = book.take(got.value) if kind.startswith("order_book") else 0
            except AssertionError as error:
                self._wrong(f"{error}: {got.body[:200]!r}")
                return
            if found is not None:
                if digest and digest != live[found].book:
                    self._wrong(f"another book than the live one at {got.body[:200]!r}")
                at = found + 1
                if not self._is_missing(
                    live[found].time
                ):  # else it may be told later, as what was true behind the hole
                    self._findings.places.append((self._order[id(got)], live[found].place))
                self._findings.equal[kind] += 1
            elif self._is_state(live, at, bare, digest) or _is_made_when_asked(got.value):
                states += 1
                self._findings.states[kind] += 1
            else:
                self._wrong(f"never told live, or not here: {got.body[:300]!r}")
                return
        self._skip(live, at, len(live))
        if states > (1 + len(self._holes)) * (5 if ":candle" in self._name else 1):
            self._wrong(f"{states} values as of a moment, and {len(self._holes)} holes")

    def _next(self, live: Sequence[_Live], at: int, bare: bytes) -> int | None:
        """Where it comes live; what is passed over has to lie in holes."""
        for index in range(at, len(live)):
            if live[index].bare == bare:
                self._skip(live, at, index)
                return index
            if not self._is_missing(live[index].time):
                return None
        return None

    def _is_state(self, live: Sequence[_Live], at: int, bare: bytes, book: int) -> bool:
        """A value that the live client had as well, at the beginning or in a hole."""
        had = [*self._before, *live[:at]]
        for each in live[at:]:
            if not self._is_missing(each.time):
                break
            had.append(each)
        return any(each.book == book if book else each.bare == bare for each in reversed(had))

    def _skip(self, live: Sequence[_Live], begin: int, end: int) -> None:
        for each in live[begin:end]:
            if self._is_missing(each.time):
                self._findings.missing[each.got.value["type"]] += 1
            else:
                self._wrong(f"not played, and no hole: {each.time} {each.got.body[:300]!r}")
                return

    def _statuses(self, live: Sequence[_Live], told: Sequence[Got]) -> None:
        """By transition, which its ``since`` names: each once in the live order, and none left out but in a hole."""
        before = [each for each in self._before if each.got.value["type"] == "status"][-1:]
        transitions = [(told_state(each.got.value["payload"]), each) for each in (*before, *live)]
        at = 0
        for got in told:
            wanted = told_state(got.value["payload"])
            found = next((index for index in range(at, len(transitions)) if transitions[index][0] == wanted), None)
            if found is None:
                self._wrong(f"a status that was not live here: {got.body[:300]!r}")
                return
            self._none_left_out(transitions[at + 1 : found], wanted)
            at = found
            its = transitions[found][1]
            if its.bare == without_own(got.body) and not self._is_missing(its.time) and its not in before:
                self._findings.places.append((self._order[id(got)], its.place))
            self._findings.equal["status"] += 1
        self._none_left_out(transitions[at + 1 :], None if not told else transitions[at][0])

    def _none_left_out(self, transitions: Sequence[tuple[object, _Live]], told: object) -> None:
        for state, each in transitions:
            if state != told and not self._is_missing(each.time):
                self._wrong(f"a change of state that was not played: {each.got.body[:300]!r}")
                return

    def _is_missing(self, time: int) -> bool:
        return any(begin - EDGE_US <= time <= end + EDGE_US for _, begin, end in self._holes)

    def _wrong(self, what: str) -> None:
        self._findings.wrong.append(f"{self._name}: {what}")


def _is_made_when_asked(message: Mapping[str, Any]) -> bool:
    """The quote of several venues is, of theirs as they are then: one that is told as of a moment may be another than
    those before and after it. It has to be made of what it says that they are."""
    payload = message["payload"]
    if (message["type"], payload["exchange"]) != ("bbo", "composite"):
        return False
    bid, ask = (payload["venues"][payload[f"{side}_exchange"]] for side in ("bid", "ask"))
    return (bid["bid"], bid["bid_size"], ask["ask"], ask["ask_size"]) == tuple(
        payload[name] for name in ("bid", "bid_size", "ask", "ask_size")
    )


def _hole_of(got: Got) -> tuple[str, int, int]:
    payload = got.value["payload"]
    if got.value["type"] != "gap" or payload["reason"] != "recording":
        return "", 0, 0
    return payload["hole"], parse_time(payload["from"]) * 1000, parse_time(payload["to"]) * 1000
