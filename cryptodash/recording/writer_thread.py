"""The one thread that writes: blocks come by a bounded queue, so that the reactor never waits for a disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import Condition, Thread
from typing import Final

from twisted.logger import Logger

from cryptodash.recording.draft import Buffers
from cryptodash.recording.tape_writer import Block, TapeWriter

MOST_WAITING: Final = 64 * 2**20
"""Bytes of blocks in the queue, before they are packed."""
LONGEST_WAIT_S: Final = 2.0
"""How old the oldest block in the queue may be: over it the next ones are lost."""
TICK_S: Final = 0.25

_log = Logger(namespace="cryptodash.recording.writer_thread")


class BlockQueue:
    """Between the reactor and the writer's thread. ``monotonic`` tells seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._waiting: deque[tuple[str, Block, float]] = deque()
        self._size = 0
        self._changed = Condition()
        self._is_closed = False

    def put(self, tape: str, block: Block) -> bool:
        """False where there is no room."""
        now = self._monotonic()
        with self._changed:
            oldest = self._waiting[0][2] if self._waiting else now
            if self._is_closed or self._size + block.size > MOST_WAITING or now - oldest > LONGEST_WAIT_S:
                return False
            self._waiting.append((tape, block, now))
            self._size += block.size  # nobody is woken: it costs both threads more than a look each quarter of a second
        return True

    def get(self, timeout: float) -> tuple[str, Block] | None:
        """The next one; None where none is there after that time. It counts as waiting until ``done``."""
        with self._changed:
            if not self._waiting and not self._is_closed:
                self._changed.wait(timeout)
            return (self._waiting[0][0], self._waiting[0][1]) if self._waiting else None

    def done(self) -> None:
        """The one that was got is written."""
        with self._changed:
            _, block, _ = self._waiting.popleft()
            self._size -= block.size

    def close(self) -> None:
        """Take no more; what waits is written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    @property
    def is_over(self) -> bool:
        with self._changed:
            return self._is_closed and not self._waiting

    @property
    def bytes(self) -> int:
        return self._size


class WriterThread(Thread):
    """Writes until the queue is closed and empty; ``ended`` is called in the end, in this thread. ``buffers`` get back
    what blocks were made in."""

    def __init__(
        self, queue: BlockQueue, writers: Mapping[str, TapeWriter], buffers: Buffers, ended: Callable[[], None]
    ) -> None:
        super().__init__(name="recording", daemon=True)
        self._queue = queue
        self._writers = writers
        self._buffers = buffers
        self._ended = ended

    def run(self) -> None:
        try:
            while not self._queue.is_over:
                self._turn()
            for writer in self._writers.values():
                writer.close()
        finally:
            self._ended()

    def _turn(self) -> None:
        found = self._queue.get(TICK_S)
        if found is not None:
            tape, block = found
            try:
                self._writers[tape].write(block)
                self._buffers.give_back(block.draft)
            except Exception:  # a fault of ours must not end the recording of what comes after it
                _log.failure("a block of {tape} could not be made", tape=tape)
            finally:
                self._queue.done()
        for writer in self._writers.values():
            writer.tick()
