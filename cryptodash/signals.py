"""What a process does with the signals of whoever started it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from twisted.python import usage

from cryptodash.reload import Reloader


def watch_signals(reactor: Any, twistd: usage.Options, reloader: Reloader | None = None) -> None:
    """From now on SIGTERM, SIGINT and SIGHUP mean what ``Signals`` says."""
    signals = Signals(reactor, twistd, reloader)
    signals.watch()
    reactor.callWhenRunning(signals.watch)  # again: as the reactor starts it sets handlers of its own


class Signals:
    """The first SIGTERM or SIGINT drains and exits with 0 (twistd's own handler would exit by the signal), or, where
    the reactor does not run yet, ends as soon as it does; another one ends the process at once.

    SIGHUP has the settings read again, where there are any. It is also what a terminal says that closes: then it ends
    the server that was started there, as it always has.
    """

    def __init__(self, reactor: Any, twistd: usage.Options, reloader: Reloader | None) -> None:
        self._reactor = reactor
        self._twistd = twistd
        self._reloader = reloader
        self._stopping = False
        self._has_terminal = False

    def watch(self) -> None:
        """Take the signals, again where somebody else has taken them meanwhile."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._received)
        if self._reloader is not None:
            signal.signal(signal.SIGHUP, self._hung_up)
        self._has_terminal = _is_on_terminal()  # the second time it counts: by then a daemon has none

    def _hung_up(self, number: int, frame: object) -> None:
        if self._has_terminal and not _is_on_terminal():
            if not self._stopping:
                self._received(number, frame)
        elif self._reloader is not None and not self._stopping:
            self._reactor.callFromThread(self._reloader.reload)

    def _received(self, number: int, frame: object) -> None:
        if self._stopping:
            remove_pid_file(self._twistd)
            os._exit(1)  # nothing slower, such as what is registered for the interpreter's end
        self._stopping = True
        if self._reactor.running:
            self._reactor.callFromThread(self._reactor.stop)
        else:
            self._reactor.callWhenRunning(self._reactor.stop)


def _is_on_terminal() -> bool:
    """Whether any of the three is one, and still there."""
    return any(map(os.isatty, (0, 1, 2)))


def remove_pid_file(twistd: usage.Options) -> None:
    """Of a process that ends without twistd's own end."""
    if twistd.get("pidfile"):
        Path(twistd["pidfile"]).unlink(missing_ok=True)
