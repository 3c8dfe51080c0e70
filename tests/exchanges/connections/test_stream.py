"""The state machine of one stream, and what the passing of time does to it."""

from __future__ import annotations

import pytest

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.messages import Ignored, Message
from cryptodash.exchanges.adapter.plan import Part, StreamSpec
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import StateChanged, Stream
from cryptodash.exchanges.connections.stream_phase import TRANSITIONS, Phase, Signal

MESSAGE = Ignored("test")
BEAT = 0.5


def make(promise: float | None = None, part: Part = Part.QUOTE) -> Stream:
    return Stream(StreamSpec("spot", "name", frozenset({part}), promise), 0.0)


class Listener:
    """Somebody who only hears of the state."""

    def __init__(self, changed: StateChanged) -> None:
        self.stream_changed = changed

    def take(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Of no interest."""


class StillAlive:
    """A connection that last gave a sign of life at the time ``last``."""

    key = "connection"
    last = 0.0

    def resubscribe(self, name: str) -> None:
        raise AssertionError(f"{name} is not to be begun again yet")


class Feeder:
    """A stream in time."""

    def __init__(self, stream: Stream, proven: bool = False) -> None:
        self.stream = stream
        self.now = 0.0
        self.proven = proven
        self.out: list[Output] = []
        stream.signal(Signal.ACK, 0.0, self.out)

    def run(self, seconds: float, every: float | None = None) -> Phase:
        """Let time pass, with a frame every so often."""
        for _ in range(round(seconds / BEAT)):
            self.now += BEAT
            if every is not None and every < BEAT:
                for _ in range(round(BEAT / every)):
                    self.stream.deliver(MESSAGE, self.now, 0, self.out)
            elif every is not None and self.now % every < BEAT:
                self.stream.deliver(MESSAGE, self.now, 0, self.out)
            self.stream.beat(self.now, 5.0, self.proven)
        return self.stream.phase


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("signal", list(Signal))
def test_every_signal_is_legal_in_every_phase_and_tells_changes_once(phase: Phase, signal: Signal) -> None:
    stream = make()
    stream.phase = phase
    told: list[Phase] = []
    stream.add(Listener(lambda out: told.append(stream.phase)), owns=True)
    stream.signal(signal, 1.0, [])
    expected = TRANSITIONS.get((phase, signal), phase)
    assert stream.phase is expected
    assert told == ([expected] if expected is not phase else [])


def test_nothing_leaves_rejected_but_a_retry() -> None:
    assert [signal for (phase, signal) in TRANSITIONS if phase is Phase.REJECTED] == [Signal.RETRY]


def test_data_before_the_ack_is_data() -> None:
    stream = make()
    stream.deliver(MESSAGE, 1.0, 0, [])
    stream.signal(Signal.ACK, 2.0, [])
    assert stream.phase is Phase.LIVE


def test_a_promised_pace_that_is_broken_is_silence() -> None:
    feeder = Feeder(make(promise=3.0))
    assert feeder.run(20, every=3.0) is Phase.LIVE
    assert feeder.run(4) is Phase.LIVE  # the last frame came two seconds before
    assert feeder.run(0.5) is Phase.SILENT
    assert feeder.run(0.5, every=0.5) is Phase.LIVE


def test_a_promise_to_show_signs_of_life_does_not_hide_that_a_fast_pace_stopped() -> None:
    feeder = Feeder(make(promise=60.0))
    feeder.run(20, every=0.1)
    assert feeder.run(5) is Phase.LIVE
    assert feeder.run(1) is Phase.SILENT


def test_it_is_begun_again_as_soon_as_its_connection_has_passed_over_it() -> None:
    connection = StillAlive()
    feeder = Feeder(make(promise=60.0))
    feeder.stream.carried_by(connection)
    feeder.run(20, every=0.1)
    feeder.run(6)
    assert not feeder.stream.needs_resubscribing(feeder.now, 5.0)
    connection.last = feeder.now
    assert feeder.stream.needs_resubscribing(feeder.now, 5.0)


def test_a_slow_stream_is_live_for_as_long_as_it_may_keep_its_promise() -> None:
    feeder = Feeder(make(promise=60.0))
    feeder.run(120, every=3.0)
    assert feeder.run(110) is Phase.LIVE
    assert feeder.run(20) is Phase.SILENT


def test_a_learned_fast_pace_that_stops_is_silence_after_five_seconds() -> None:
    feeder = Feeder(make())
    feeder.run(20, every=0.1)
    assert feeder.stream.pace.rate == pytest.approx(10.0, rel=0.1)
    assert feeder.run(5) is Phase.LIVE
    assert feeder.run(1) is Phase.SILENT


def test_a_slow_stream_that_stops_is_quiet_and_never_silent() -> None:
    feeder = Feeder(make())
    feeder.run(120, every=3.0)
    assert feeder.run(8) is Phase.LIVE
    assert feeder.run(10) is Phase.QUIET
    assert feeder.run(3600) is Phase.QUIET
    assert feeder.run(0.5, every=0.5) is Phase.LIVE


def test_a_few_frames_teach_no_pace() -> None:
    feeder = Feeder(make())
    feeder.run(1, every=0.1)
    assert feeder.run(60) is Phase.QUIET


def test_an_acked_stream_with_a_promise_is_silent_after_ten_seconds() -> None:
    feeder = Feeder(make(promise=1.0))
    assert feeder.run(9) is Phase.ACKED
    assert feeder.run(2) is Phase.SILENT
    assert feeder.stream.needs_resubscribing(feeder.now, 5.0)


@pytest.mark.parametrize(
    ("part", "proven", "phase"),
    [(Part.TRADES, True, Phase.QUIET), (Part.TRADES, False, Phase.ACKED), (Part.QUOTE, True, Phase.ACKED)],
)
def test_an_acked_stream_without_frames_is_quiet_only_if_no_news_is_no_news(
    part: Part, proven: bool, phase: Phase
) -> None:
    feeder = Feeder(make(part=part), proven)
    assert feeder.run(40) is phase


def test_resubscribing_waits_ten_minutes_between_two_times() -> None:
    stream = make()
    stream.signal(Signal.ACK, 0.0, [])
    assert not stream.needs_resubscribing(29.0, 5.0)
    assert stream.needs_resubscribing(31.0, 5.0)
    stream.resubscribe(31.0)
    assert not stream.needs_resubscribing(630.0, 5.0)
    assert stream.needs_resubscribing(632.0, 5.0)


def test_a_lost_connection_is_news_once_per_cause() -> None:
    stream = make()
    stream.deliver(MESSAGE, 1.0, 0, [])
    causes = (Cause.MAINTENANCE, Cause.MAINTENANCE, Cause.BLOCKED)
    assert [stream.lost(cause, 2.0) for cause in causes] == [True, False, True]
    assert (stream.phase, stream.source, stream.cause) == (Phase.WAITING, None, Cause.BLOCKED)


def test_streams_that_change_together_tell_each_listener_once() -> None:
    told: list[str] = []

    consumer = Listener(lambda out: told.append("heard"))
    streams = [make(), make()]
    for stream in streams:
        stream.add(consumer, owns=True)
    Stream.tell_all(streams, [])
    assert told == ["heard"]


def test_its_attributes_are_no_more_than_are_found_without_a_search() -> None:
    """CPython 3.11 shares the names of 30 attributes among the objects of a class, and finds those at once."""
    assert len(vars(make())) <= 30
