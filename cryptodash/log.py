"""Where log lines go and which of them: level by namespace, to standard output or to twistd's log file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate, textFileLogObserver
from twisted.python.logfile import LogFile

from cryptodash.core.settings import parse_levels


def make_observer(levels: str, stream: TextIO) -> ILogObserver:
    """An observer that writes events at or above the level of their namespace (``info,cryptodash.exchanges=debug``)."""
    default, by_namespace = parse_levels(levels)
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(default))
    for namespace, level in by_namespace.items():
        predicate.setLogLevelForNamespace(namespace, LogLevel.levelWithName(level))
    observer: ILogObserver = FilteringLogObserver(textFileLogObserver(stream), [predicate])
    return observer


def observer_factory(levels: str, logfile: str | None, nodaemon: bool) -> Callable[[], ILogObserver]:
    """What twistd's ``--logger`` would name: standard output in the foreground, else ``logfile`` (``twistd.log``), rotated at 1 MB as twistd does."""

    def make() -> ILogObserver:
        if nodaemon and logfile in (None, "", "-"):
            return make_observer(levels, sys.stdout)
        return make_observer(levels, LogFile.fromFullPath(logfile or "twistd.log"))

    return make
