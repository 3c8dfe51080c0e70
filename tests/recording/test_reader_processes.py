"""Tapes are read in processes: their answers are pulled, bounded and charged; whatever a process does, its asker is
told, and nothing of it is left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import Entry, Item, Missing, Play
from cryptodash.core.tally import Tally
from cryptodash.recording.reader_process import SILENT_S, PulledAnswer, ReaderProcess
from cryptodash.recording.reader_processes import IDLE_S, MOST_WAITING_OF_ONE, ReaderLimits, ReaderProcesses
from cryptodash.recording.reader_wire import MOST_FRAME, End, Failed, decode_question, encode_frame

QUESTION = Play(1, 2, ["binance:spot:BTC-USDT:trade"])
FIRST, SECOND_ENTRY = Entry(1, "t", 0, b"one"), Entry(2, "t", 0, b"two")


class Transport:
    """What ``spawnProcess`` gives."""

    def __init__(self, process: ReaderProcess) -> None:
        self.process = process
        self.written = b""
        self.is_paused = False
        self.is_closed = False
        self.signals: list[str] = []
        self.has_exited = False

    def write(self, data: bytes) -> None:
        self.written += data

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False

    def closeStdin(self) -> None:
        self.is_closed = True

    def signalProcess(self, name: str) -> None:
        if self.has_exited:
            raise ProcessExitedAlready()
        self.signals.append(name)

    def says(self, *items: Any) -> None:
        assert not self.is_paused
        self.process.outReceived(encode_frame(list(items)))

    def ends(self) -> None:
        self.has_exited = True
        self.process.processEnded(Failure(ProcessDone(None)))


class Reactor(Clock):
    """Time, and processes that do what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Transport] = []
        self.fails = False

    def spawnProcess(
        self, protocol: ReaderProcess, executable: str, command: Sequence[str], environment: dict[str, str]
    ) -> Transport:
        assert IProcessProtocol.providedBy(protocol) and executable == sys.executable
        assert command[1:] == ["-P", "-m", "cryptodash.recording.reader_program", "tapes"]
        if self.fails:
            raise OSError(11, "Resource temporarily unavailable")
        assert "AUTH_TOKEN" not in environment and environment["PYTHONPATH"] == "here"
        transport = protocol.transport = Transport(protocol)
        self.started.append(transport)
        return transport


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "here")


def readers(reactor: Reactor, most: int = 8, most_of_one: int = 2) -> ReaderProcesses:
    return ReaderProcesses(Path("tapes"), reactor, Tally(), ReaderLimits(most, most_of_one))


def start(work: Coroutine[Any, Any, Any]) -> tuple[list[Any], list[Refused]]:
    """What it gives, once it does, and what it raises."""
    given: list[Any] = []
    raised: list[Refused] = []

    def failed(failure: Failure) -> None:
        raised.append(failure.value)  # type: ignore[arg-type]

    ensureDeferred(work).addCallbacks(given.append, failed)
    return given, raised


def test_an_answer_is_pulled_item_by_item() -> None:
    reactor = Reactor()
    answer = readers(reactor).ask(QUESTION, "client")
    (process,) = reactor.started
    assert decode_question(process.written) == QUESTION
    assert process.is_paused  # nobody has asked for anything yet

    given, _ = start(answer.more())
    assert given == [] and not process.is_paused
    process.says(FIRST)
    assert given == [[FIRST]] and process.is_paused

    given, _ = start(answer.more())
    process.says(SECOND_ENTRY, Missing(2, 3, "disk"), End())
    assert given == [[SECOND_ENTRY, Missing(2, 3, "disk")]]
    assert start(answer.more()) == ([[]], []) == start(answer.more())


def test_frames_that_come_in_pieces_are_one_answer() -> None:
    reactor = Reactor()
    given, _ = start(readers(reactor).ask(QUESTION, "client").more())
    data = encode_frame([FIRST]) + encode_frame([SECOND_ENTRY])
    for each in range(len(data)):
        reactor.started[0].process.outReceived(data[each : each + 1])
    assert given == [[FIRST]]  # the second one came before it was asked for: a pipe's chunk may have it


def test_a_process_answers_one_question_after_the_other_and_ends_when_there_is_none() -> None:
    reactor = Reactor()
    service = readers(reactor)
    for _ in range(3):
        given, _ = start(service.ask(QUESTION, "client").more())
        reactor.started[0].says(FIRST, End())
        assert given == [[FIRST]]
    (process,) = reactor.started
    assert process.written.count(b"\n") == 3
    reactor.advance(IDLE_S - 1)
    assert not process.is_closed
    reactor.advance(1)
    assert process.is_closed and process.signals == []
    process.ends()
    start(service.ask(QUESTION, "client").more())
    assert len(reactor.started) == 2


def test_only_so_many_at_once_of_all_and_of_one() -> None:
    reactor = Reactor()
    service = readers(reactor, most=3, most_of_one=2)
    service.ask(QUESTION, "a"), service.ask(QUESTION, "a")
    with pytest.raises(TryLater, match="2 readings of the recording at a time are allowed to one address") as caught:
        service.ask(QUESTION, "a")
    assert caught.value.code == "too_many_replays" and caught.value.status == 429
    service.ask(QUESTION, "b")
    with pytest.raises(TryLater, match="3 readings of the recording at a time are allowed, and as many are being read"):
        service.ask(QUESTION, "b")
    assert len(reactor.started) == 3


def test_the_next_one_has_room_as_soon_as_an_answer_is_over() -> None:
    """Also within what is called when the last items come."""
    reactor = Reactor()
    service = readers(reactor, most=1)

    async def two() -> list[Sequence[Item]]:
        found = [await service.ask(QUESTION, "a").more()]
        return [*found, await service.ask(QUESTION, "a").more()]

    given, raised = start(two())
    reactor.started[0].says(FIRST, End())
    reactor.started[0].says(SECOND_ENTRY, End())
    assert given == [[[FIRST], [SECOND_ENTRY]]] and raised == []


def test_who_waits_has_his_turn_or_is_told() -> None:
    reactor = Reactor()
    service = readers(reactor, most=1)
    first = service.ask(QUESTION, "a")
    second, third = service.ask(QUESTION, "b", wait_s=5), service.ask(QUESTION, "c", wait_s=5)
    _, refused = start(third.more())
    given, _ = start(second.more())
    reactor.advance(4)
    first.cancel()
    assert len(reactor.started) == 2  # the cancelled one was killed: what it was at is lost
    reactor.started[1].says(FIRST)
    assert given == [[FIRST]] and refused == []
    reactor.advance(1)
    assert [each.code for each in refused] == ["too_many_replays"]
    assert reactor.started[1].signals == []


def test_not_everybody_may_wait() -> None:
    reactor = Reactor()
    service = readers(reactor, most=1)
    service.ask(QUESTION, "a")
    waiting = [service.ask(QUESTION, "a", wait_s=5) for _ in range(MOST_WAITING_OF_ONE)]
    with pytest.raises(TryLater):
        service.ask(QUESTION, "a", wait_s=5)
    waiting[0].cancel()
    service.ask(QUESTION, "a", wait_s=5)
    service.ask(QUESTION, "b", wait_s=5)


def test_who_cancels_gets_nothing_more_and_the_process_is_killed() -> None:
    reactor = Reactor()
    service = readers(reactor, most=1)
    answer = service.ask(QUESTION, "a")
    _, raised = start(answer.more())
    answer.cancel()
    answer.cancel()
    (process,) = reactor.started
    assert process.signals == ["KILL"] and not process.is_paused  # what is in the pipe is read, or it never ends
    assert [each.code for each in raised] == ["cancelled"]
    process.says(FIRST, End())
    _, raised = start(answer.more())
    assert [each.code for each in raised] == ["cancelled"]
    process.ends()
    assert service.ask(QUESTION, "a") is not answer and len(reactor.started) == 2


def test_processes_that_are_killed_and_do_not_end_count_as_well() -> None:
    reactor = Reactor()
    service = readers(reactor, most=2)
    for _ in range(4):
        service.ask(QUESTION, "a").cancel()
    with pytest.raises(TryLater):
        service.ask(QUESTION, "a")
    reactor.started[0].ends()
    service.ask(QUESTION, "a")


def garbage(process: Transport) -> None:
    process.process.outReceived(b"\0\0\0\5hello")


def bomb(process: Transport) -> None:
    process.process.outReceived((MOST_FRAME + 1).to_bytes(4, "big"))


def end_twice(process: Transport) -> None:
    process.says(End(), End())


def die(process: Transport) -> None:
    process.process.errReceived(b"Traceback\nMemoryError\n")
    process.ends()


def fail(process: Transport) -> None:
    process.says(Failed("no such directory"))


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (garbage, "no frame: "),
        (bomb, f"a frame of {MOST_FRAME + 1} bytes"),
        (end_twice, "its reader says something that nobody asked for"),
        (die, "its reader has ended (MemoryError)"),
        (fail, "no such directory"),
    ],
)
def test_what_goes_wrong_is_told_and_the_next_answer_is_good(does: Callable[[Transport], None], message: str) -> None:
    reactor = Reactor()
    service = readers(reactor, most=1)
    _, raised = start(service.ask(QUESTION, "a").more())
    does(reactor.started[0])
    assert [each.code for each in raised] == ["recording_failed"]
    assert f"the recording cannot be read: {message}" in raised[0].message
    given, _ = start(service.ask(QUESTION, "a").more())
    reactor.started[-1].says(FIRST)
    assert given == [[FIRST]]


def test_what_came_before_the_end_is_told_first() -> None:
    reactor = Reactor()
    answer = readers(reactor).ask(QUESTION, "a")
    given, _ = start(answer.more())
    data = encode_frame([FIRST])
    reactor.started[0].process.outReceived(data)
    reactor.started[0].process.outReceived(encode_frame([SECOND_ENTRY]))  # was in the pipe already
    reactor.started[0].ends()
    assert given == [[FIRST]]
    assert start(answer.more()) == ([[SECOND_ENTRY]], [])
    _, raised = start(answer.more())
    assert [each.code for each in raised] == ["recording_failed"]


def test_a_process_that_says_nothing_is_killed_but_one_that_nobody_asks_is_not() -> None:
    reactor = Reactor()
    answer = readers(reactor).ask(QUESTION, "a")
    (process,) = reactor.started
    reactor.advance(10 * SILENT_S)
    _, raised = start(answer.more())
    reactor.advance(SILENT_S - 1)
    assert raised == [] and process.signals == []
    reactor.advance(1)
    assert "nothing came for 30 s" in raised[0].message and process.signals == ["KILL"]


def test_an_idle_process_that_speaks_is_not_used_again() -> None:
    reactor = Reactor()
    service = readers(reactor)
    start(service.ask(QUESTION, "a").more())
    reactor.started[0].says(End())
    reactor.started[0].says(FIRST)
    assert reactor.started[0].signals == ["KILL"]
    service.ask(QUESTION, "a")
    assert len(reactor.started) == 2
    reactor.advance(IDLE_S)


def test_a_process_that_cannot_be_started_is_an_error_of_its_asker() -> None:
    reactor = Reactor()
    service = readers(reactor, most=1)
    reactor.fails = True
    with pytest.raises(Refused, match="no process can be started: Resource temporarily unavailable"):
        service.ask(QUESTION, "a")
    reactor.fails = False
    service.ask(QUESTION, "a")


def test_stopping_kills_and_reaps_all() -> None:
    reactor = Reactor()
    service = readers(reactor, most=2)
    service.startService()
    answers: list[PulledAnswer] = [service.ask(QUESTION, "a"), service.ask(QUESTION, "a")]
    answers.append(service.ask(QUESTION, "a", wait_s=5))
    results = [start(answer.more()) for answer in answers]
    stopped: list[None] = []
    ending: Deferred[None] = service.stopService()
    ending.addCallback(stopped.append)
    assert [[each.code for each in raised] for _, raised in results] == [["cancelled"]] * 3
    for process in reactor.started:
        assert process.signals == ["KILL"] and stopped == []
        process.ends()
    assert stopped == [None] and reactor.getDelayedCalls() == []
    with pytest.raises(Refused, match="the server is stopping"):
        service.ask(QUESTION, "a")
