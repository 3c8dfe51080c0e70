"""What an operator asks of several processes that are one server: whichever is asked answers for all.

Streams and ledgers are those of all processes, each entry with its ``process``; metrics those of the processes on this
machine, with a label ``process``, so that one scrape of a shared address has all of them and two machines do not tell
the same twice. Who did not answer in a second is named.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from cryptodash.api.http.answers import Stored, packing
from cryptodash.api.http.operator_answers import OwnAnswers
from cryptodash.api.http.recent import Recent
from cryptodash.api.slices import Slices
from cryptodash.core import codec
from cryptodash.core.interfaces import IPeers
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock

STEP_BYTES: Final = 128 * 1024
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one process's report, unpacked."""

T = TypeVar("T")


class _Streams(msgspec.Struct):
    streams: list[msgspec.Raw]


class _Quality(msgspec.Struct):
    as_of: str
    exchanges: list[msgspec.Raw]
    streams: list[msgspec.Raw]


class Unreadable(Exception):
    """What a process said is no report."""


class ClusterAnswers:
    """``own``: this process's; ``exchanges``: those that are enabled."""

    def __init__(
        self, own: OwnAnswers, exchanges: Collection[str], peers: IPeers, clock: Clock, slices: Slices
    ) -> None:
        self._own = own
        self._exchanges = exchanges
        self._peers = peers
        self._clock = clock
        self._slices = slices
        self._streams = Recent(clock, lambda: Deferred.fromCoroutine(self._gather_streams()))
        self._metrics = Recent(clock, lambda: Deferred.fromCoroutine(self._gather_metrics()))
        self._quality: dict[str | None, Recent[Stored]] = {}
        peers.answer_with("streams", self._own_streams)
        peers.answer_with("quality", self._own_quality)
        peers.answer_with("metrics", self._own_metrics)

    async def streams(self) -> Stored:
        return await self._streams.get()

    async def quality(self, exchange: str | None) -> Stored:
        recent = self._quality.get(exchange)
        if recent is None:
            recent = self._quality[exchange] = Recent(
                self._clock,
                lambda: Deferred.fromCoroutine(self._gather_quality(exchange)),
                lambda _: self._own.quality_is_kept(exchange),
            )
        return await recent.get()

    async def metrics(self) -> bytes:
        return await self._metrics.get()

    # -- for the others

    async def _own_streams(self, about: str) -> bytes:
        return await (await self._own.streams()).compressed(self._slices)

    async def _own_quality(self, about: str) -> bytes:
        if about and about not in self._exchanges:
            return b""
        return await (await self._own.quality(about or None)).compressed(self._slices)

    async def _own_metrics(self, about: str) -> bytes:
        return await self._slices.outcome(packing(await self._own.metrics(), 1))

    # -- of all

    async def _gather_streams(self) -> Stored:
        own = await self._own.streams()
        found, missing = await self._gather("streams", "", _streams)
        listed = [_streams(own.body), *(each for _, each in found)]
        streams = b",".join(each for report in listed for each in report.streams)
        return Stored(b'{"streams":[%s]%s}' % (streams, _said_of(missing)), level=1)

    async def _gather_quality(self, exchange: str | None) -> Stored:
        own = await self._own.quality(exchange)
        found, missing = await self._gather("quality", exchange or "", _quality)
        listed = [_quality(own.body), *(each for _, each in found)]
        exchanges = b",".join(each for report in listed for each in report.exchanges)
        streams = b",".join(each for report in listed for each in report.streams)
        body = b'{"as_of":%s,"exchanges":[%s],"streams":[%s]%s}'
        return Stored(body % (codec.encode(listed[0].as_of), exchanges, streams, _said_of(missing)), level=1)

    async def _gather_metrics(self) -> bytes:
        own = await self._own.metrics()
        found, missing = await self._gather("metrics", "", lambda text: text, on_this_host=True)
        return await self._slices.outcome(merging_metrics([(self._peers.process, own), *found], missing))

    async def _gather(
        self, what: str, about: str, read: Callable[[bytes], T], *, on_this_host: bool = False
    ) -> tuple[list[tuple[str, T]], list[str]]:
        """What the others said, by process, and of whom nothing is known."""
        reports = await self._peers.gather(what, about, on_this_host=on_this_host)
        found, missing = list[tuple[str, T]](), list(reports.missing)
        for process, packed in reports.found.items():
            try:
                found.append((process, read(await self._slices.outcome(unpacking(packed)))))
            except Unreadable:
                missing.append(process)
        return found, missing


def unpacking(packed: bytes) -> Steps[bytes]:
    """Steps whose outcome is what gzip has packed. Raises ``Unreadable``, also where that is too long."""
    unpacker, size = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), 0
    parts = list[bytes]()
    try:
        while packed and not unpacker.eof:
            parts.append(unpacker.decompress(packed, STEP_BYTES))
            packed = unpacker.unconsumed_tail
            size += len(parts[-1])
            if size > MOST_BYTES:
                raise Unreadable(f"more than {MOST_BYTES} bytes")
            yield
    except zlib.error as error:
        raise Unreadable(str(error)) from None
    if not unpacker.eof:
        raise Unreadable("it is not whole")
    return b"".join(parts)


def _streams(body: bytes) -> _Streams:
    return _decoded(_decode_streams, body)


def _quality(body: bytes) -> _Quality:
    return _decoded(_decode_quality, body)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


_decode_streams = msgspec.json.Decoder(_Streams).decode
_decode_quality = msgspec.json.Decoder(_Quality).decode


def _said_of(missing: Sequence[str]) -> bytes:
    return b',"missing":%s' % codec.encode(missing) if missing else b""


# -- Prometheus text

_SAMPLE: Final = re.compile(
    rb'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)', re.ASCII
)
_HEAD: Final = re.compile(rb"# (?:HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) [^\n]*", re.ASCII)
MISSING: Final = (
    b"# HELP cryptodash_cluster_missing Always 1, for each process on this machine that did not say its metrics in "
    b"time.\n# TYPE cryptodash_cluster_missing gauge\n"
)


def merging_metrics(texts: Iterable[tuple[str, bytes]], missing: Sequence[str]) -> Steps[bytes]:
    """Steps whose outcome is one text of those of several processes: each family once, its samples with a label
    ``process``. Lines that are none are left out."""
    heads: dict[bytes, list[bytes]] = {}
    samples: dict[bytes, list[bytes]] = {}
    for process, text in texts:
        label = b'process="%s"' % _escaped(process)
        known, family = set(heads), b""
        for line in text.split(b"\n"):
            head = _HEAD.fullmatch(line)
            if head is not None:
                if head[1] != family:
                    family = head[1]
                    yield
                if family not in known:
                    heads.setdefault(family, []).append(line)
                continue
            sample = _SAMPLE.fullmatch(line)
            if sample is not None and family:
                labels = label + b"," + sample[2] if sample[2] else label
                samples.setdefault(family, []).append(b"%s{%s} %s" % (sample[1], labels, sample[3]))
    lines = list[bytes]()
    for family, head_lines in heads.items():
        lines += head_lines
        lines += samples.get(family, ())
        yield
    absent = b"".join(b'cryptodash_cluster_missing{process="%s"} 1\n' % _escaped(each) for each in missing)
    return b"\n".join(lines) + b"\n" + (MISSING + absent if absent else b"")


def _escaped(label: str) -> bytes:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode()
