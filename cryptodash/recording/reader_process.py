"""One process that reads tapes, as the reactor sees it: one answer at a time, pulled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from cryptodash.core.errors import Refused
from cryptodash.core.recorded import Item, Question
from cryptodash.recording.reader_wire import BadFrame, End, Failed, Frames, encode_question

SILENT_S: Final = 30.0
"""Seconds that a process which is asked for more may say nothing."""
MOST_COMPLAINT: Final = 2_000
"""Characters of a process's stderr that are kept."""


def cannot_be_read(message: str) -> Refused:
    return Refused("recording_failed", f"the recording cannot be read: {message}", 503)


def cancelled() -> Refused:
    return Refused("cancelled", "the answer was cancelled", 503)


class PulledAnswer:
    """``core.recorded.Answer``: what came of it and was not asked for yet is a frame or two. Without a process as long
    as it waits for its turn."""

    def __init__(self, question: Question, reactor: IReactorTime, cancelled: Callable[[PulledAnswer], object]) -> None:
        self.question = question
        self._reactor = reactor
        self._cancelled = cancelled
        self._process: ReaderProcess | None = None
        self._items: deque[Item] = deque()
        self._is_over = False
        self._error: Refused | None = None
        self._asked: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    async def more(self) -> Sequence[Item]:
        if not self._items and not self._is_over:
            self._asked = Deferred()
            if self._process is not None:
                self._pull(self._process)
            await self._asked
        if not self._items and self._error is not None:
            raise self._error
        found = list(self._items)
        self._items.clear()
        return found

    def cancel(self) -> None:
        if not self._is_over:
            self._items.clear()
            self.end(cancelled())
            self._cancelled(self)

    # -- for the process, and for who gives it one

    def begin(self, process: ReaderProcess) -> None:
        """It is its turn."""
        self._process = process
        if self._asked is not None:
            self._pull(process)
        else:
            process.pause()

    def took(self, items: Sequence[Item]) -> None:
        if items and not self._is_over:
            self._items.extend(items)
            self._answer()

    def end(self, error: Refused | None = None, items: Sequence[Item] = ()) -> None:
        """Nothing more comes than these last items. What has come already is told before an error."""
        if not self._is_over:
            self._items.extend(items)
            self._is_over, self._error, self._process = True, error, None
            self._answer()

    def _pull(self, process: ReaderProcess) -> None:
        self._timer = self._reactor.callLater(SILENT_S, self._silent)
        process.resume()

    def _silent(self) -> None:
        self._timer = None
        self.end(cannot_be_read(f"nothing came for {SILENT_S:g} s"))
        self._cancelled(self)

    def _answer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._process is not None:
            self._process.pause()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.callback(None)


class Owner(Protocol):
    """Who started the process."""

    def idle(self, process: ReaderProcess) -> None:
        """It has answered."""

    def failed(self, process: ReaderProcess) -> None:
        """It was killed, for it said what it should not."""

    def ended(self, process: ReaderProcess) -> None:
        """It is gone, and reaped."""


class ReaderProcess(ProcessProtocol):
    """``cryptodash.recording.reader_program``: its answers as they come."""

    transport: Any
    """An ``IProcessTransport``, once it has been started."""

    def __init__(self, owner: Owner) -> None:
        self.answer: PulledAnswer | None = None
        self._owner = owner
        self._frames = Frames()
        self._complaint = ""
        self._is_paused = False
        self._is_killed = False

    def ask(self, answer: PulledAnswer) -> None:
        """One question; not before the last one is answered."""
        self.answer = answer
        self.transport.write(encode_question(answer.question))
        answer.begin(self)

    def pause(self) -> None:
        if not self._is_paused and not self._is_killed:
            self._is_paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.transport.resumeProducing()

    def close(self) -> None:
        """It has answered, and ends by itself."""
        self.resume()
        self.transport.closeStdin()

    def kill(self) -> None:
        """It ends whatever it does; what it says is thrown away."""
        if self._is_killed:
            return
        self._is_killed = True
        self.answer = None
        self.resume()  # it is gone for the reactor only when its pipes have been read to their end
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    # -- ProcessProtocol

    def outReceived(self, data: bytes) -> None:
        if self._is_killed:
            return
        try:
            told = self._frames.feed(data)
        except BadFrame as error:
            self._fail(str(error))
            return
        last = told[-1] if told and isinstance(told[-1], (End, Failed)) else None
        items = [each for each in told if not isinstance(each, (End, Failed))]
        if self.answer is None or len(told) > len(items) + (last is not None):
            if told:
                self._fail("its reader says something that nobody asked for")
        elif last is None:
            self.answer.took(items)
        else:
            self._finish(items, last)

    def _finish(self, items: list[Item], last: End | Failed) -> None:
        answer, self.answer = self.answer, None
        assert answer is not None
        self.resume()
        self._owner.idle(self)
        answer.end(cannot_be_read(last.message) if isinstance(last, Failed) else None, items)

    def errReceived(self, data: bytes) -> None:
        self._complaint = (self._complaint + data.decode(errors="replace"))[-MOST_COMPLAINT:]

    def _fail(self, message: str) -> None:
        answer = self.answer
        self.kill()
        self._owner.failed(self)
        if answer is not None:
            answer.end(cannot_be_read(message))

    def processEnded(self, reason: Failure) -> None:
        answer, self.answer = self.answer, None
        self._owner.ended(self)
        if answer is not None:
            lines = self._complaint.strip().splitlines()
            answer.end(cannot_be_read(f"its reader has ended ({lines[-1] if lines else reason.getErrorMessage()})"))
