"""Reads tapes in processes of their own, so that the reactor never waits for a disk: how many at once, for whom, and
who waits for his turn."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Final

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import Question
from cryptodash.core.tally import Tally
from cryptodash.recording.reader_process import PulledAnswer, ReaderProcess, cancelled

PROGRAM: Final = "cryptodash.recording.reader_program"
IDLE_S: Final = 60.0
"""A process that has answered waits so long for the next question: starting one costs the reactor some milliseconds."""
MOST_IDLE: Final = 2
MOST_WAITING: Final = 1_000
MOST_WAITING_OF_ONE: Final = 100
RETRY_S: Final = 5

_KEPT: Final = re.compile(
    r"PATH|HOME|TZ|LANG|LC_.*|PYTHON.*|VIRTUAL_ENV|LD_LIBRARY_PATH|COVERAGE_PROCESS_START"
).fullmatch
"""Variables that a reader gets: tapes may come from anybody, and tokens and passwords are none of its business."""

Spawn = Callable[[ReaderProcess], Any]


@frozen
class ReaderLimits:
    """How many answers are read at a time: of all clients, and of one."""

    most: int = 8
    most_of_one: int = 2


@define(eq=False)
class _Waiting:
    answer: PulledAnswer
    client: Hashable
    timer: IDelayedCall


class ReaderProcesses(Service):
    """``core.recorded.ITapes`` over processes. ``reactor`` starts them, and tells time."""

    name = "tape-readers"

    def __init__(self, directory: Path, reactor: Any, tally: Tally, limits: ReaderLimits | None = None) -> None:
        self._directory = directory
        self._reactor = reactor
        self._limits = limits or ReaderLimits()
        self._answers: dict[PulledAnswer, tuple[Hashable, ReaderProcess]] = {}
        """Those that are read, for whom, by which process."""
        self._of_one: Counter[Hashable] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_of_one: Counter[Hashable] = Counter()
        self._idle: dict[ReaderProcess, IDelayedCall] = {}
        self._processes: set[ReaderProcess] = set()
        """All that are not reaped yet."""
        self._ended: Deferred[None] | None = None
        self._is_stopped = False
        self._asked = tally.counter("cryptodash_recording_questions", "Questions about the recording.", "question")
        self._refused = tally.counter(
            "cryptodash_recording_questions_refused", "Questions about the recording that found no room.", "question"
        )
        tally.gauge(
            "cryptodash_recording_reading", "Answers that are being read from tapes.", lambda: {(): len(self._answers)}
        )

    def ask(self, question: Question, client: Hashable, wait_s: float = 0.0) -> PulledAnswer:
        """As ``ITapes`` has it."""
        if self._is_stopped:
            raise Refused("cancelled", "the server is stopping", 503)
        kind = str(type(question).__struct_config__.tag)
        self._asked.add(kind)
        answer = PulledAnswer(question, self._reactor, self._cancelled)
        if self._has_room(client):
            self._begin(answer, client)
        elif wait_s > 0 and len(self._waiting) < MOST_WAITING and self._waiting_of_one[client] < MOST_WAITING_OF_ONE:
            timer = self._reactor.callLater(wait_s, self._waited, answer)
            self._waiting.append(_Waiting(answer, client, timer))
            self._waiting_of_one[client] += 1
        else:
            self._refused.add(kind)
            raise self._too_many(client)
        return answer

    def _has_room(self, client: Hashable) -> bool:
        limits = self._limits
        if self._of_one[client] >= limits.most_of_one or len(self._answers) >= limits.most:
            return False
        return len(self._processes) < 2 * limits.most  # those that were killed and do not end count, too

    def _too_many(self, client: Hashable) -> TryLater:
        limits = self._limits
        if self._of_one[client] >= limits.most_of_one:
            message = f"{limits.most_of_one} readings of the recording at a time are allowed to one address"
        else:
            message = f"{limits.most} readings of the recording at a time are allowed, and as many are being read"
        return TryLater("too_many_replays", message, RETRY_S)

    def _begin(self, answer: PulledAnswer, client: Hashable) -> None:
        if self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
        else:
            process = ReaderProcess(self)
            command = [sys.executable, "-P", "-m", PROGRAM, str(self._directory)]
            self._processes.add(process)
            try:
                self._reactor.spawnProcess(process, sys.executable, command, _environment())
            except OSError as error:
                self._processes.discard(process)
                raise Refused("recording_failed", f"no process can be started: {error.strerror}", 503) from None
        self._answers[answer] = (client, process)
        self._of_one[client] += 1
        process.ask(answer)

    def _release(self, answer: PulledAnswer) -> ReaderProcess | None:
        client, process = self._answers.pop(answer, (None, None))
        if process is not None:
            self._of_one[client] -= 1
            if not self._of_one[client]:
                del self._of_one[client]
        return process

    # -- who waits

    def _waited(self, answer: PulledAnswer) -> None:
        found = self._stop_waiting(answer)
        if found is not None:
            self._refused.add(str(type(answer.question).__struct_config__.tag))
            answer.end(self._too_many(found.client))

    def _stop_waiting(self, answer: PulledAnswer) -> _Waiting | None:
        found = next((each for each in self._waiting if each.answer is answer), None)
        if found is not None:
            self._waiting.remove(found)
            self._leave(found)
        return found

    def _leave(self, waiting: _Waiting) -> None:
        if waiting.timer.active():
            waiting.timer.cancel()
        self._waiting_of_one[waiting.client] -= 1
        if not self._waiting_of_one[waiting.client]:
            del self._waiting_of_one[waiting.client]

    def _next(self) -> None:
        """Whose turn is it, in the order in which they came."""
        for waiting in list(self._waiting):
            if len(self._answers) >= self._limits.most:
                return
            if self._has_room(waiting.client):
                self._waiting.remove(waiting)
                self._leave(waiting)
                try:
                    self._begin(waiting.answer, waiting.client)
                except Refused as refused:
                    waiting.answer.end(refused)

    # -- how an answer ends

    def _cancelled(self, answer: PulledAnswer) -> None:
        process = self._release(answer)
        if process is not None:
            process.kill()
        else:
            self._stop_waiting(answer)
        self._next()

    def idle(self, process: ReaderProcess) -> None:
        self._released(process)
        if self._is_stopped or len(self._idle) >= MOST_IDLE:
            process.close()
        else:
            self._idle[process] = self._reactor.callLater(IDLE_S, self._dismiss, process)
        self._next()

    def _dismiss(self, process: ReaderProcess) -> None:
        del self._idle[process]
        process.close()

    def failed(self, process: ReaderProcess) -> None:
        timer = self._idle.pop(process, None)
        if timer is not None:
            timer.cancel()
        self._released(process)

    def ended(self, process: ReaderProcess) -> None:
        self._processes.discard(process)
        self.failed(process)
        if self._ended is not None:
            if not self._processes:
                self._ended.callback(None)
                self._ended = None
            return
        self._next()

    def _released(self, process: ReaderProcess) -> None:
        for answer in [each for each, (_, its) in self._answers.items() if its is process]:
            self._release(answer)

    # -- Service

    def stopService(self) -> Deferred[None]:
        """All processes are killed; fires when all of them are reaped."""
        super().stopService()
        self._is_stopped = True
        for waiting in list(self._waiting):
            self._leave(waiting)
            waiting.answer.end(cancelled())
        self._waiting.clear()
        for answer in list(self._answers):
            answer.end(cancelled())
            self._release(answer)
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        ended: Deferred[None] = Deferred()
        if not self._processes:
            ended.callback(None)
            return ended
        self._ended = ended
        for process in list(self._processes):
            process.kill()
        return ended


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _KEPT(name)}
