"""What each process says of itself (its metrics, streams, ledger), asked of all, so that whoever is asked answers for
all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from attrs import define, field
from msgspec import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.cluster import wire
from cryptodash.cluster.members import Members
from cryptodash.core.interfaces import IPeers, PeerReports

PATIENCE_S: Final = 1.0
PART_BYTES: Final = 512 * 1024
MOST_PARTS: Final = 32
"""Of one report: 16 MiB."""
MOST_OPEN: Final = 20
"""Questions of this process that wait, and of others that are answered at the same time."""

_log = Logger(namespace="cryptodash.cluster")


class Question(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """``to``: whose reports; all processes hear it."""

    version: int
    number: int
    process: wire.Name
    to: list[wire.Name]
    what: wire.Text
    about: wire.Text = ""


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One of so many ``parts`` of a report."""

    version: int
    number: int
    process: wire.Name
    part: wire.Count
    parts: wire.Count
    content: bytes


@define(eq=False)
class _Asked:
    """A question that waits. ``missing``: who has not answered it."""

    missing: set[str]
    done: Deferred[None]
    parts: dict[str, dict[int, bytes]] = field(factory=dict)


_encode = msgpack.Encoder().encode
_decode_question = msgpack.Decoder(Question).decode
_decode_part = msgpack.Decoder(Part).decode

MakeReport = Callable[[str], Awaitable[bytes]]


@implementer(IPeers)
class Reports:
    """``ask`` publishes to all, ``answer`` to one process."""

    def __init__(
        self,
        members: Members,
        ask: Callable[[bytes], object],
        answer: Callable[[str, bytes], object],
        reactor: IReactorTime,
    ) -> None:
        self._members = members
        self._ask, self._answer = ask, answer
        self._reactor = reactor
        self._makers: dict[str, MakeReport] = {}
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._answering = 0

    @property
    def process(self) -> str:
        return self._members.process

    def answer_with(self, what: str, make: MakeReport) -> None:
        self._makers[what] = make

    async def gather(self, what: str, about: str = "", *, on_this_host: bool = False) -> PeerReports:
        others = self._members.others(on_this_host=on_this_host)
        if not others or len(self._asked) >= MOST_OPEN:
            return PeerReports({}, tuple(others))
        self._number += 1
        number = self._number
        asked = self._asked[number] = _Asked(set(others), Deferred())
        asked.done.addTimeout(PATIENCE_S, self._reactor, onTimeoutCancel=lambda *_: None)
        self._ask(_encode(Question(wire.VERSION, number, self.process, others, what, about)))
        try:
            await asked.done
        finally:
            del self._asked[number]
        whole = [name for name in sorted(asked.parts) if name not in asked.missing]
        found = {name: b"".join(each for _, each in sorted(asked.parts[name].items())) for name in whole}
        return PeerReports(found, tuple(sorted(asked.missing)))

    def took_part(self, data: bytes) -> None:
        """A part of an answer has come."""
        try:
            part = _decode_part(data)
        except wire.UNREADABLE:
            return
        asked = self._asked.get(part.number) if part.version == wire.VERSION else None
        if asked is None or part.process not in asked.missing or not 0 <= part.part < part.parts <= MOST_PARTS:
            return
        if len(part.content) > PART_BYTES:
            return
        parts = asked.parts.setdefault(part.process, {})
        parts[part.part] = part.content
        if len(parts) == part.parts:
            asked.missing.discard(part.process)
            if not asked.missing and not asked.done.called:
                asked.done.callback(None)

    def took_question(self, data: bytes) -> None:
        """Some process asks."""
        try:
            question = _decode_question(data)
        except wire.UNREADABLE:
            return
        make = self._makers.get(question.what)
        is_for_us = question.version == wire.VERSION and self.process in question.to
        if make is not None and is_for_us and self._answering < MOST_OPEN:
            self._answering += 1
            Deferred.fromCoroutine(self._report(question, make)).addErrback(
                lambda failure: _log.failure("a report for another process failed", failure=failure)
            )

    async def _report(self, question: Question, make: MakeReport) -> None:
        try:
            report = await make(question.about)
        finally:
            self._answering -= 1
        parts = [report[at : at + PART_BYTES] for at in range(0, len(report), PART_BYTES)] or [b""]
        for at, content in enumerate(parts[:MOST_PARTS]):  # one that is longer never becomes whole
            part = Part(wire.VERSION, question.number, self.process, at, len(parts), content)
            self._answer(question.process, _encode(part))
