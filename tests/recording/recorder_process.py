"""A process that records until it is killed: ``python recorder_process.py DIRECTORY``. Says on stdout when each record
was made (tape time, us), and nothing else: whoever kills it knows what was there to be lost."""

from __future__ import annotations

import sys
from pathlib import Path
from random import SystemRandom

from twisted.internet import reactor as _reactor
from twisted.internet.task import LoopingCall

from cryptodash.clocks import use_monotonic_time
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally
from cryptodash.core.time import SystemClock
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.recording.draft import Source
from cryptodash.recording.layout import FRAMES, MESSAGES
from cryptodash.recording.records import MESSAGE
from cryptodash.recording.service import Recorder

reactor = _reactor


def main(directory: str) -> None:
    clock = SystemClock()
    use_monotonic_time(reactor, clock)  # as the server does
    hub = Broadcaster(Config(), clock, reactor, Tally())  # type: ignore[arg-type]
    keep = {MESSAGES: 2**30, FRAMES: 0}
    recorder = Recorder(
        Path(directory), keep, ("held",), (hub, hub, hub), lambda _: True, reactor, clock, SystemRandom(), Tally(),
        least_free=0,
    )  # fmt: skip
    source = Source("binance:spot:BTC-USDT:trade")
    tape = recorder.tapes[MESSAGES]
    count = 0

    def some() -> None:
        nonlocal count
        for _ in range(20):
            count += 1
            tape.put(source, MESSAGE, b'{"type":"trade","payload":{"id":"%d","price":1.50}}' % count)
        sys.stdout.write(f"{count} {recorder.now()}\n")
        sys.stdout.flush()

    recorder.startService()
    LoopingCall(some).start(0.01)
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1])
