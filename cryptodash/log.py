"""Where log lines go and which of them: level by namespace, to standard output or to twistd's log file."""

from __future__ import annotations

import sys
from typing import TextIO

from attrs import define
from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate, textFileLogObserver
from twisted.python.logfile import LogFile

from cryptodash.core.settings import parse_levels

QUIETER = {
    "twisted.internet.protocol": "warn",
    "twisted.web.client": "warn",
    "twisted.web.http": "warn",
    "autobahn": "critical",
}
"""Libraries that tell of every connection, or tell again what we log ourselves; unless the operator names them."""


def make_observer(levels: str, stream: TextIO) -> ILogObserver:
    """An observer that writes events at or above the level of their namespace (``info,cryptodash.exchanges=debug``)."""
    default, by_namespace = parse_levels(levels)
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(default))
    for namespace, level in {**QUIETER, **by_namespace}.items():
        predicate.setLogLevelForNamespace(namespace, LogLevel.levelWithName(level))
    observer: ILogObserver = FilteringLogObserver(textFileLogObserver(stream), [predicate])
    return observer


@define
class _Choice:
    """What the command line chose before twistd asks for an observer."""

    levels: str = "info"
    logfile: str | None = None
    nodaemon: bool = True


# twistd takes a logger only as the dotted name of a function without arguments, so what it shall do
# must wait here. One process has one log.
_choice = _Choice()


def choose(levels: str, logfile: str | None, nodaemon: bool) -> str:
    """Prepare ``observer`` and return its name, for twistd's ``logger`` option."""
    _choice.levels, _choice.logfile, _choice.nodaemon = levels, logfile, nodaemon
    return f"{__name__}.{observer.__name__}"


def observer() -> ILogObserver:
    """Standard output in the foreground, else the log file (``twistd.log``), rotated at 1 MB as twistd does."""
    if _choice.nodaemon and _choice.logfile in (None, "", "-"):
        return make_observer(_choice.levels, sys.stdout)
    return make_observer(_choice.levels, LogFile.fromFullPath(_choice.logfile or "twistd.log"))
