"""Recording in a run: tapes on the disk, written and read when the run's clock says so, and a kill that tears their end
off."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from cryptodash.core.errors import Refused
from cryptodash.core.recorded import Item, Question
from cryptodash.core.topics import Channel
from cryptodash.hub import replay_buffers
from cryptodash.recording import service, sorter
from cryptodash.recording.answers import answer
from cryptodash.recording.draft import Buffers
from cryptodash.recording.past import Past
from cryptodash.recording.recording import Recording
from cryptodash.recording.sorting import sort_all
from cryptodash.recording.tape_writer import TapeWriter
from cryptodash.recording.writer_thread import TICK_S, BlockQueue
from tests.chaos.plan import SYMBOLS

RECORDED: Final[Mapping[str, str]] = {
    "RECORD": ",".join(f"{kind}" for symbol in SYMBOLS for kind in (f"trade:*:*:{symbol}", f"candle:*:*:{symbol}:1m")),
    "RECORD_KEEP_GB": "0",
}
KEPT_S: Final = 10
KEPT: Final = {Channel.TRADE: 20, Channel.LIQUIDATION: 5, Channel.CANDLE: 1}
"""So little is kept in memory that even a short absence needs the tape."""
AT_ONCE: Final = 60
"""Items of an answer that come together."""


@contextmanager
def recording() -> Iterator[str]:
    """A directory for tapes, while whatever records writes by the clock of its run."""
    with (
        tempfile.TemporaryDirectory(prefix="chaos-tapes-") as directory,
        patch.object(service, "WriterThread", SimulatedWriter),
        patch.object(sorter, "spawning", sorted_at_once),
        patch.object(replay_buffers, "KEPT_SECONDS", KEPT_S),
        patch.dict(replay_buffers.ALWAYS_KEPT, KEPT),
    ):
        yield directory


class SimulatedWriter:
    """In the place of the writer's thread."""

    def __init__(
        self, queue: BlockQueue, writers: Mapping[str, TapeWriter], buffers: Buffers, ended: Callable[[], None]
    ) -> None:
        self._queue, self._writers, self._buffers, self._ended = queue, writers, buffers, ended
        self._reactor: Any = ended.__self__._reactor  # type: ignore[attr-defined]
        self._is_over = False

    def start(self) -> None:
        self._turn()

    def is_alive(self) -> bool:
        return not self._is_over

    def _turn(self) -> None:
        while (found := self._queue.get(0.0)) is not None:
            tape, block = found
            self._writers[tape].write(block)
            self._buffers.give_back(block.draft)
            self._queue.done()
        if self._queue.is_over:
            for writer in self._writers.values():
                writer.close()
            self._is_over = True
            self._ended()
            return
        for writer in self._writers.values():
            writer.tick()
        self._reactor.callLater(TICK_S, self._turn)


def sorted_at_once(reactor: Any) -> sorter.Spawn:
    """In the place of the process that sorts closed segments."""

    def spawn(protocol: ProcessProtocol, root: Path) -> Any:
        sort_all(root, least_free=0)
        reactor.callLater(0.5, protocol.processEnded, Failure(ProcessDone(0)))
        return SortedAlready()

    return spawn


class SortedAlready:
    def signalProcess(self, name: str) -> None:
        raise ProcessExitedAlready


def torn_off(server: Any) -> None:
    """The process was killed: what it had not written is gone, the block that it was writing is not whole, and its
    place may be taken."""
    recorder = server.getServiceNamed("recorder")
    for writer in recorder.writers.values():
        segment = writer._open
        if segment is not None and segment.end:
            segment.file.write(b"CDtb\x01\x00\x00\x00 and no more")
            segment.file.close()
    recorder._place.release()


def read_in_turn(server: Any, directory: str, reactor: Any, random: Random) -> None:
    """What the server reads of tapes comes by the clock of the run."""
    server.hub.past = Past(SimulatedTapes(Path(directory), reactor, Random(random.random())))


class SimulatedTapes:
    """``core.recorded.ITapes``, without processes."""

    def __init__(self, directory: Path, reactor: Any, random: Random) -> None:
        self._directory, self._reactor, self._random = directory, reactor, random

    def ask(self, question: Question, client: Hashable, wait_s: float = 0.0) -> SimulatedAnswer:
        return SimulatedAnswer(self._directory, question, self._reactor, self._random)


class SimulatedAnswer:
    def __init__(self, directory: Path, question: Question, reactor: Any, random: Random) -> None:
        self._directory, self._question, self._reactor, self._random = directory, question, reactor, random
        self._recording: Recording | None = None
        self._items: Iterator[Item] = iter(())
        self._is_cancelled = False

    def more(self) -> Deferred[Sequence[Item]]:
        asked: Deferred[Sequence[Item]] = Deferred()
        self._reactor.callLater(self._random.choice((0.01, 0.05, 0.2)), self._tell, asked)
        return asked

    def _tell(self, asked: Deferred[Sequence[Item]]) -> None:
        if self._is_cancelled:
            asked.errback(Refused("cancelled", "the answer was cancelled", 503))
            return
        if self._recording is None:
            self._recording = Recording(self._directory)
            self._items = answer(self._recording, self._question)
        found = list(islice(self._items, AT_ONCE))
        if not found:
            self._recording.close()
        asked.callback(found)

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._recording is not None:
            self._recording.close()
