"""A stand-in venue that plays recorded frames to whoever subscribes to their streams, byte for byte but for the numbers
of venues that number all frames of a connection.

What a recording does not hold (the catalogue) is served under ``/replay/``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from math import inf
from typing import Any

from attrs import evolve
from autobahn.twisted.resource import WebSocketResource
from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger
from twisted.web.server import Site

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.recording import GAP_WITHOUT_TIMES, Frame, Recording
from cryptodash.simulator.replay_connections import ReplayFactory
from cryptodash.simulator.replay_rest import ReplayRest
from cryptodash.simulator.replayed_snapshots import ReplayedSnapshots

BURST = 500
"""Most frames sent in one reactor turn."""
PATIENCE = 10.0
"""Seconds without a further subscription after which those streams that nobody wants are done without."""
HOLE_S = 10.0
"""Seconds that a time of which something is missing takes at most, however long it was: nobody waits for a night."""
PING_EVERY = 20.0
"""Seconds between two WebSocket pings: while nothing is due, only they show that the stand-in is alive."""

SNAPSHOT_PATIENCE = 10.0
"""Seconds that books of a checkpoint are waited for, all together, until somebody has asked for them."""
LOOK = 0.05
"""Seconds until it is looked again whether somebody has asked, or come back."""
FRAMES_BEFORE_SNAPSHOT = 20
"""Frames of an instrument, of whatever stream, after which a book would have been asked for."""

_log = Logger(namespace="cryptodash.replay")


class Replay(Service):
    """Plays a recording on loopback, once, starting ``delay`` seconds after the last of its streams was subscribed to.

    ``speed`` is how many times faster than recorded; 0 means as fast as it is read. With ``delay`` None it waits for
    ``begin``, or for ``send_next``. ``ended`` is called after the last frame.
    """

    name = "replay"

    def __init__(
        self,
        reactor: Any,
        recording: Recording,
        *,
        speed: float = 1.0,
        delay: float | None = 3.0,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.recording = recording
        self.played = 0
        self._reactor = reactor
        self._speed = speed
        self._delay = delay
        self._ended = ended
        self._frames: deque[Frame] = deque(recording.frames)
        self._streams = frozenset(recording.streams)
        self._snapshots = ReplayedSnapshots(recording)
        self._at = -inf
        """Of the last frame that was played."""
        self._given: Counter[str] = Counter()
        """Frames that were played at once and given to somebody, by native name."""
        self._patience = SNAPSHOT_PATIENCE
        self._cut: frozenset[str] | None = None
        """The streams that were wanted when connections were ended for a hole, until they are wanted again."""
        self._cut_until = 0.0
        self._began: float | None = None
        self._call: IDelayedCall | None = None
        self._ping: IDelayedCall | None = None
        self._port: IListeningPort | None = None
        self._factory = ReplayFactory(self, reactor)

    def listen(self) -> None:
        """Take a free port on loopback; ``base_urls`` is known from then on."""
        site = Site(ReplayRest(self.recording, self.snapshot, WebSocketResource(self._factory)), reactor=self._reactor)
        self._port = self._reactor.listenTCP(0, site, interface="127.0.0.1")

    @property
    def base_urls(self) -> dict[tuple[str, MarketType], tuple[str, str]]:
        """(WebSocket, REST) base URLs by exchange and market."""
        assert self._port is not None, "listen first"
        address = self._port.getHost()
        assert isinstance(address, IPv4Address), "listen takes 127.0.0.1"
        port = address.port
        return {
            (self.recording.exchange, market): (f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
            for market in MarketType
        }

    @property
    def missing(self) -> frozenset[str]:
        """Recorded streams that nobody wants now."""
        return self._streams.difference(*(protocol.streams for protocol in self._factory.protocols))

    def subscribed(self) -> None:
        """Called after each subscription: once all streams of the recording are wanted, it begins;
        without some of them if no further one comes."""
        if self._began is not None or self._delay is None:
            return
        self._cancel(self._call)
        self._call = self._reactor.callLater(
            max(self._delay, PATIENCE) if self.missing else self._delay, self._due, bool(self.missing)
        )

    def _due(self, gave_up: bool) -> None:
        """The wait is over. A stream that was wanted when it began, and is not now, is being subscribed to again."""
        self._call = None
        if gave_up or not self.missing:
            self.begin()

    def begin(self) -> None:
        """Play now; told twice, it is playing already."""
        if self._began is not None:
            return
        if self.missing:
            _log.warn(
                "nobody wants {streams}: their frames are passed over", streams=", ".join(sorted(self.missing))[:500]
            )
        recording = self.recording
        _log.info(
            "playing {count} frames of {exchange} {market}",
            count=len(self._frames),
            exchange=recording.exchange,
            market=recording.market,
        )
        self._cancel(self._call)
        self._began = self._reactor.seconds()
        self._play()

    def resume(self) -> None:
        """A connection has room again (or is gone)."""
        if self._began is not None and self._call is None and self._frames and self.running:
            self._call = self._reactor.callLater(0.0, self._play)

    def snapshot(self, native: str) -> bytes | None:
        """The REST order book that answers a request now; None where the recording has none."""
        return self._snapshots.next(native, self._at)

    def _play(self) -> None:
        """Send what is due, then wait for the next frame, or until everybody has taken what was sent."""
        self._call = None
        if any(protocol.full for protocol in self._factory.protocols):
            return
        assert self._began is not None
        if self._is_cut_off():
            self._call = self._reactor.callLater(LOOK, self._play)
            return
        if self._is_at_once and self._patience > 0 and self._awaits_snapshots():
            self._patience -= LOOK
            self._call = self._reactor.callLater(LOOK, self._play)
            return
        if self._is_early:
            self._began = self._reactor.seconds()  # what lies before the time that was asked for takes none
        elapsed = self._reactor.seconds() - self._began
        due = 0
        for frame in self._frames:
            if due == BURST or (self._speed and frame.at / self._speed > elapsed) or (due and frame.is_behind_hole):
                break
            due += 1
        self.send_next(due)
        if self._frames:
            wait = self._frames[0].at / self._speed - elapsed if self._speed else 0.0
            self._call = self._reactor.callLater(max(0.0, wait), self._play)
            if self._frames[0].is_behind_hole:
                self._end_connections()
                if wait > HOLE_S:
                    _log.info("{wait} s until the next frame are passed over", wait=round(wait - HOLE_S, 1))
                    self._began -= wait - HOLE_S
                    self._call.reset(HOLE_S)

    def _end_connections(self) -> None:
        """Something is missing behind the last frame: what it was nobody knows, and it must not look like silence."""
        self._frames[0] = evolve(self._frames[0], is_behind_hole=False)
        self._cut = self._streams - self.missing
        self._cut_until = self._reactor.seconds() + PATIENCE
        _log.info("something is missing behind frame {count}: all connections are ended", count=self.played)
        for protocol in list(self._factory.protocols):
            protocol.end()

    def _is_cut_off(self) -> bool:
        """Whether connections were ended and are not back. Once they are, the pace goes on from where it was."""
        if self._cut is None:
            return False
        assert self._began is not None
        now, at = self._reactor.seconds(), self._frames[0].at
        if self._cut & self.missing and now < self._cut_until:
            return True
        self._cut = None
        if self._speed and now - self._began > at / self._speed:
            self._began = now - at / self._speed
        return False

    @property
    def _is_early(self) -> bool:
        """Whether what is played next lies before the time that was asked for."""
        return bool(self._frames) and self._frames[0].at < -GAP_WITHOUT_TIMES

    @property
    def _is_at_once(self) -> bool:
        """Whether what is played next keeps no pace."""
        return self._is_early or not self._speed

    def _awaits_snapshots(self) -> bool:
        """Whether somebody has what is needed to ask for a book of the checkpoint, and has not done so yet: played at
        once, too much would lie between the book and the frames that it is to be joined to."""
        return any(self._given[native] >= FRAMES_BEFORE_SNAPSHOT for native in self._snapshots.awaited(self._at))

    def send_next(self, count: int) -> None:
        """Send the next frames at once, whatever their time: for a driver that keeps a pace of its own."""
        count = min(count, len(self._frames))
        for _ in range(count):
            frame = self._frames.popleft()
            self.played += 1
            self._at = frame.at
            for protocol in self._factory.protocols:
                if frame.stream in protocol.streams:
                    protocol.give(frame.text)
                    if frame.at < 0 or not self._speed:
                        self._given[self.recording.reader.native_of(frame.stream)] += 1
        if count and not self._frames:
            _log.info("the recording has ended after {count} frames", count=self.played)
            if self._ended is not None:
                self._ended()

    def startService(self) -> None:
        super().startService()
        self._ping = self._reactor.callLater(PING_EVERY, self._ping_all)

    def _ping_all(self) -> None:
        for protocol in self._factory.protocols:
            protocol.sendPing()
        self._ping = self._reactor.callLater(PING_EVERY, self._ping_all)

    def stopService(self) -> Any:
        super().stopService()
        self._cancel(self._call)
        self._cancel(self._ping)
        self._call = self._ping = None
        for protocol in list(self._factory.protocols):
            protocol.transport.abortConnection()
        return self._port.stopListening() if self._port is not None else None

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
