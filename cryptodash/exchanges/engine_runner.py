"""Runs one engine: carries out what it asks for, in order, publishes what it says, and lets it look at the clock when
it wants to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from cryptodash.core.events import Bbo, Liquidation, Ticker, Trade
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.connections.commands import BookChanged, Output
from cryptodash.exchanges.connections.conflation import Conflated
from cryptodash.exchanges.engine import Engine

AFTER_A_FAILURE = 1.0
"""Seconds until time goes on for an engine that raised: an error of ours must neither stop a venue for good nor fill
the log."""

SLICE = 0.004
"""Seconds for which frames of a connection that is behind are read at a time, and what they say is handed on. So long
all others may have to wait; each slice costs a turn of the reactor and a write to every client."""

TOLD_WITHIN = 0.1
"""Seconds for which the newest quotes of a read are kept back at most: they grow old where others take most of the
time."""

COMPLETE = (Trade, Liquidation)
"""Each of these is told, also of a connection that is behind."""
REPLACED = (Ticker, Bbo)
"""Of these the newest says all."""

_log = Logger(namespace="cryptodash.exchanges.engine_runner")


class EngineRunner:
    """``carry_out`` says what to do with each type of command, ``publishers`` who takes some types of what is
    published; all the rest goes to ``publish``.

    Each of them may cause further inputs at once; their outputs then come after those that wait already.
    """

    def __init__(
        self,
        engine: Engine,
        carry_out: Mapping[type, Callable[[Any], None]],
        publishers: Mapping[type, Callable[[Any], None]],
        publish: Callable[[Any], None],
        reactor: IReactorTime,
        clock: Clock,
        *,
        is_recorded: bool = False,
    ) -> None:
        """``is_recorded``: recorded time can wait, and each state of a book is told."""
        self._engine = engine
        self._is_recorded = is_recorded
        self._commands = frozenset(carry_out)
        self._takers = {**carry_out, **publishers}
        self._publish = publish
        self._reactor = reactor
        self._clock = clock
        self._outbox: deque[Output] = deque()
        self._newest: dict[Topic, Output] = {}
        """Of a connection that is behind: what will be told as soon as all of its read is done, or has taken
        ``TOLD_WITHIN``, or before anything that it has to precede."""
        self._newest_since = 0.0
        self._draining = False
        self._ended = False
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing is carried out any more."""
        return self._ended

    def stop(self) -> None:
        """Carry out nothing more; no timer is left."""
        self._ended = True
        self._outbox.clear()
        self._newest.clear()
        self._cancel()

    def perform(self, outputs: Sequence[Output]) -> None:
        """Carry out, in order."""
        if self._newest:
            outputs = (*self._newest.values(), *outputs)
            self._newest.clear()
        self._carry_out(outputs)

    def _carry_out(self, outputs: Sequence[Output]) -> None:
        if self._ended:
            return
        outbox = self._outbox
        outbox.extend(outputs)
        if self._draining:
            return
        self._draining = True
        try:
            while outbox:
                output = outbox.popleft()
                self._takers.get(type(output), self._publish)(output)
        finally:
            self._draining = False
            self._look_again()  # also after a failure: the rest waits for the next input, which may be the clock's

    def received(self, connection: str, frames: Sequence[bytes]) -> None:
        """Frames of one connection, as many as came at once."""
        if self._newest:
            self.perform(())
        receive, received = self._engine.received, self._clock.wall_ms()
        outbox, commands, takers, publish = self._outbox, self._commands, self._takers, self._publish
        for frame in frames:
            outputs = receive(connection, frame, received)
            if not outputs:
                continue
            if (
                outbox
                or self._draining
                or len(outputs) > 2
                or type(outputs[0]) in commands
                or type(outputs[-1]) in commands
            ):
                self.perform(outputs)
            elif not self._ended:
                # One event or two (a trade is a ticker as well), and nothing that waits: the usual frame, without the
                # queue's 0.4 us. What they cause waits for the last of them.
                self._draining = True
                try:
                    for output in outputs:
                        takers.get(type(output), publish)(output)
                finally:
                    self._draining = False
                if outbox:
                    self.perform(())
        self._look_again()

    def behind(self, connection: str, frames: Sequence[bytes]) -> Callable[[], bool]:
        """The same of a connection that is behind: superseded quotes are left out. Returns the work there is with the
        others, a slice each time it is called; it tells whether some is left."""
        received = self._clock.wall_ms()
        waiting = deque(self._engine.conflated(connection, frames))

        def work() -> bool:
            if self._ended:
                waiting.clear()
            self._work_off(connection, waiting, received)
            return bool(waiting)

        return work

    def _work_off(self, connection: str, waiting: deque[Conflated], received: int) -> None:
        """Take as many frames as there is time for, one at least, and then carry out what follows from them. Of a
        topic's tickers or best bids and offers only the newest of the whole read is told, of a book's changes the
        newest of this slice; but a status keeps its place after its value."""
        receive, now, newest = self._engine.received_newest, self._clock.monotonic, self._newest
        begun = now()
        end = begun + SLICE
        if not newest:
            self._newest_since = begun
        complete: list[Output] = []
        books: dict[Topic, Output] = {}

        def carry_out(*outputs: Output) -> None:
            self._carry_out((*complete, *books.values(), *outputs))
            complete.clear()
            books.clear()

        try:
            while waiting:
                for output in receive(connection, waiting.popleft(), received):
                    if isinstance(output, COMPLETE):
                        complete.append(output)  # nothing that is told of another topic has to come before it
                    elif isinstance(output, BookChanged):
                        if output.rebuilt or self._is_recorded:
                            carry_out(output)
                        else:
                            books[output.topic] = output
                    elif isinstance(output, REPLACED):
                        newest[output.topic] = output
                    else:
                        carry_out()
                        self.perform((output,))
                if now() >= end:
                    break
        finally:
            carry_out()
        if not waiting or now() - self._newest_since >= TOLD_WITHIN:
            self.perform(())

    def _look_again(self) -> None:
        """Keep one delayed call for the engine's deadline; asked for only where that may have moved."""
        if self._ended or not self._engine.deadline_moved:
            return
        self._engine.deadline_moved = False
        deadline = self._engine.deadline()
        if deadline is None:
            self._cancel()
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._set(deadline)

    def _set(self, at: float) -> None:
        self._timer_at = at
        self._timer = self._reactor.callLater(max(0.001, at - self._clock.monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._engine.deadline_moved = True
        deadline = self._engine.deadline()
        try:
            if deadline is not None and deadline <= self._clock.monotonic():
                self.perform(self._engine.tick())
            else:
                self._look_again()
        except Exception:
            _log.failure("an engine failed at its deadline")
            if self._timer is None:
                self._set(self._clock.monotonic() + AFTER_A_FAILURE)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
