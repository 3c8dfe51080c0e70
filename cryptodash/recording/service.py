"""Records what this process does, as long as it lives: the tapes, the thread that writes them, and once a second a look
at all of it. Whatever the disk does, nobody who is served notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Cooperator, LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash import __version__
from cryptodash.core.interfaces import RecordingReport
from cryptodash.core.record_patterns import RecordPattern
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock, WallClockSteps
from cryptodash.hub.interfaces import IDemand, IDirectory, IValues
from cryptodash.recording.checkpoints import Checkpoints
from cryptodash.recording.compression import BEST, NAMES
from cryptodash.recording.draft import Buffers
from cryptodash.recording.files import LEAST_FREE, TapeDirectory, WriterPlace
from cryptodash.recording.frame_tap import FrameTap
from cryptodash.recording.layout import FRAMES, MESSAGES
from cryptodash.recording.open_tape import OpenTape, Turn
from cryptodash.recording.recorded_topics import RecordedTopics
from cryptodash.recording.records import Run
from cryptodash.recording.sorter import Sorter, Spawn
from cryptodash.recording.tape_writer import SEGMENT_BYTES, Block, TapeWriter
from cryptodash.recording.writer_thread import BlockQueue, WriterThread

LOOK_S: Final = 1.0
STALL_S: Final = 3.0
"""A look that comes so late says that the process stood still."""
SLICE_S: Final = 0.002
END_S: Final = 2.0
"""What the writer gets to write the rest at the end."""
GIB: Final = 2**30

_log = Logger(namespace="cryptodash.recording")


class Recorder(Service):
    """``keep``: bytes of each tape that are kept; a tape of none is not written. ``is_ours``: whether this process
    records the exchange; ``fence_of``: under which lease it has it, None: there are none. ``place`` is for tests: where
    the segments go. ``spawn`` starts the process that sorts closed segments; None: they stay as they are."""

    name = "recorder"

    def __init__(
        self,
        directory: Path,
        keep: Mapping[str, int],
        words: Sequence[str | RecordPattern],
        hub: tuple[IDirectory, IDemand, IValues],
        is_ours: Callable[[str], bool],
        reactor: Any,
        clock: Clock,
        random: Random,
        tally: Tally,
        *,
        fence_of: Callable[[str], int | None] = lambda exchange: None,
        process: str = "",
        source: str = "",
        place: Callable[[str], Callable[[], TapeDirectory]] | None = None,
        least_free: int = LEAST_FREE,
        spawn: Spawn | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self.now = _tape_time(clock.monotonic, clock.wall_ms() * 1000)
        """Tape time, us."""
        exchanges = tuple(hub[0].exchanges())
        run = Run(
            random.getrandbits(128).to_bytes(16, "big").hex(), clock.wall_ms(), __version__, process, source, exchanges
        )
        self._place = WriterPlace(directory, process, least_free=least_free)
        self._queue = BlockQueue(clock.monotonic)
        self.tapes: dict[str, OpenTape] = {}
        self.writers: dict[str, TapeWriter] = {}
        turn = Turn()
        self._buffers = Buffers()
        for name in (MESSAGES, FRAMES):
            if keep[name]:
                segment_bytes = max(2**20, min(SEGMENT_BYTES, keep[name] // 16))
                opened = place(name) if place is not None else self._place.tape(name, keep[name], segment_bytes)
                self.writers[name] = TapeWriter(opened, run, clock.monotonic, segment_bytes=segment_bytes)
                self.tapes[name] = OpenTape(self.now, _putting(self._queue, name), turn, self._buffers)
        self._segments = {name: writer.state.segment for name, writer in self.writers.items()}
        self.topics: RecordedTopics | None = None
        if MESSAGES in self.tapes:
            self.topics = RecordedTopics(self.tapes[MESSAGES], *hub, words, is_ours, clock.monotonic, fence_of)
        self._sorter: Sorter | None = None
        if MESSAGES in self.tapes and spawn is not None:
            self._sorter = Sorter(directory, spawn, clock.monotonic)
        self._taps: dict[str, FrameTap] = {}
        self._checkpoints = Checkpoints(self._taps, lambda: self._queue.bytes, self.now)
        self._thread: WriterThread | None = None
        self._steps = WallClockSteps()
        self._looked_at: int | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._cooperator = Cooperator(_slice_of(clock), lambda work: reactor.callLater(0.0, work))
        self._working = False
        self._told = ""
        self._ended: Deferred[None] | None = None
        self._impatience: IDelayedCall | None = None
        self._register(tally)
        _log.info(
            "recording into {directory}: {tapes}, packed by {codec}",
            directory=str(directory),
            tapes=" and ".join(self.tapes) or "nothing",
            codec=NAMES[BEST],
        )

    def tap(self, exchange: str) -> FrameTap | None:
        """Where the frames of a venue go; None where none are recorded."""
        if FRAMES not in self.tapes:
            return None
        return self._taps.setdefault(exchange, FrameTap(exchange, self.tapes[FRAMES]))

    @property
    def report(self) -> RecordingReport:
        """How it does."""
        states = {name: writer.state for name, writer in self.writers.items()}
        return RecordingReport(
            trouble=next((f"{name}: {state.error}" for name, state in states.items() if state.error), ""),
            topics=0 if self.topics is None else len(self.topics.recorded),
            lost_blocks=sum(state.lost_blocks for state in states.values())
            + sum(tape.lost_blocks for tape in self.tapes.values()),
        )

    # -- Service

    def startService(self) -> None:
        super().startService()
        self._thread = WriterThread(self._queue, self.writers, self._buffers, self._writer_ended)
        self._thread.start()
        self._looking.start(LOOK_S, now=True).addErrback(_failed)

    def stopService(self) -> Deferred[None]:
        """Fires when all is written, or after two seconds."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        self._cooperator.stop()
        if self.topics is not None:
            self.topics.stop()
        if self._sorter is not None:
            self._sorter.stop()
        for tape in self.tapes.values():
            tape.close_draft()
        self._queue.close()
        self._ended = Deferred()
        if self._thread is None or not self._thread.is_alive():
            self._finish()
        else:
            self._impatience = self._reactor.callLater(END_S, self._finish)
        return self._ended

    def _writer_ended(self) -> None:
        """In the writer's thread."""
        self._reactor.callFromThread(self._finish)

    def _finish(self) -> None:
        if self._impatience is not None and self._impatience.active():
            self._impatience.cancel()
        ended, self._ended = self._ended, None
        self._place.release()
        if ended is not None:
            ended.callback(None)

    # -- once a second

    def _look(self) -> None:
        now = self.now()
        if self._looked_at is not None and now - self._looked_at > STALL_S * 1e6:
            for tape in self.tapes.values():
                tape.stalled(self._looked_at)
        self._looked_at = now
        step = self._steps.look(self._clock.wall_ms(), self._clock.monotonic())
        for tape in self.tapes.values():
            if step:
                tape.step(step, self._clock.wall_ms())
            tape.look()
        self._tell()
        if self._sorter is not None:
            self._sorter.look(self.writers[MESSAGES].state.segment)
        if not self._working:
            self._working = True
            self._cooperator.cooperate(self._work()).whenDone().addErrback(_failed).addBoth(self._worked)

    def _worked(self, _: object) -> None:
        self._working = False

    def _work(self) -> Iterator[None]:
        lost = any(tape.needs_keyframes for name, tape in self.tapes.items() if name == FRAMES)
        begun = {name for name in self.tapes if self._has_begun(name)}
        yield from self._checkpoints.work(begun=FRAMES in begun, lost=lost)
        if self.topics is not None:
            if MESSAGES in begun:
                self.topics.all_keyframes()
            yield from self.topics.look()

    def _has_begun(self, name: str) -> bool:
        """Whether a segment has begun, or something was lost, since the last time that this was asked. The first one
        begins with what was put into it."""
        tape, state = self.tapes[name], self.writers[name].state
        is_first = state.segment == 1 and not state.lost_blocks
        has = (state.segment != self._segments[name] and not is_first) or tape.needs_keyframes
        self._segments[name] = state.segment
        tape.needs_keyframes = False
        return has

    def _tell(self) -> None:
        """A line for each new trouble, and one for its end."""
        trouble = self.report.trouble
        if trouble and trouble != self._told:
            _log.error("recording has stopped: {trouble}; it is tried again", trouble=trouble)
        elif self._told and not trouble:
            _log.info("recording goes on; what is missing is told as a hole")
        self._told = trouble

    def _register(self, tally: Tally) -> None:
        writers, tapes = self.writers, self.tapes
        tally.gauge(
            "cryptodash_recording_ok",
            "Whether the tape is being written.",
            lambda: {(name,): float(not each.state.error) for name, each in writers.items()},
            "tape",
        )
        tally.gauge(
            "cryptodash_recording_records",
            "Records made since the start.",
            lambda: {(name,): float(each.records) for name, each in tapes.items()},
            "tape",
        )
        tally.gauge(
            "cryptodash_recording_written_bytes",
            "Bytes written since the start, packed.",
            lambda: {(name,): float(each.state.bytes) for name, each in writers.items()},
            "tape",
        )
        tally.gauge(
            "cryptodash_recording_lost_blocks",
            "Blocks lost since the start: the disk was too slow, or failed.",
            lambda: {
                (name,): float(each.state.lost_blocks + tapes[name].lost_blocks) for name, each in writers.items()
            },
            "tape",
        )
        tally.gauge(
            "cryptodash_recording_queue_bytes",
            "Bytes that wait to be written.",
            lambda: {(): float(self._queue.bytes)},
        )


def _tape_time(monotonic: Callable[[], float], wall_us: int) -> Callable[[], int]:
    """Asked for every record: no method in between."""
    began = monotonic()
    return lambda: wall_us + int((monotonic() - began) * 1e6)


def _putting(queue: BlockQueue, name: str) -> Callable[[Block], bool]:
    return lambda block: queue.put(name, block)


def _slice_of(clock: Clock) -> Callable[[], Callable[[], bool]]:
    def begin() -> Callable[[], bool]:
        end = clock.monotonic() + SLICE_S
        return lambda: clock.monotonic() >= end

    return begin


def _failed(failure: Failure) -> None:
    _log.failure("the recorder failed at its look", failure=failure)
