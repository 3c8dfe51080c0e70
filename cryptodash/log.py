"""Where log lines go, which of them, and in which form: level by namespace, no storm of the same, text or JSON, to
standard output or to a log file that is bounded."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, TextIO

from attrs import define, field
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from cryptodash.core.settings import parse_levels
from cryptodash.json_log import JsonObserver

QUIETER = {
    "twisted.internet.protocol": "warn",
    "twisted.web.client": "warn",
    "twisted.web.http": "warn",
    "autobahn": "critical",
}
"""Libraries that tell of every connection, or tell again what we log ourselves; unless the operator names them."""


FILE_BYTES: Final = 10_000_000
FILES_KEPT: Final = 9
"""Rotated files beside the one that is written: 100 MB in all. twistd itself would keep every one."""

LINES: Final = 20
PERIOD_S: Final = 60.0
KINDS: Final = 1000
"""How many lines of one kind are written in a period; how many kinds are told apart."""


@define
class _Kind:
    """Lines of one kind since ``since``, and how many of them were not written."""

    since: float
    example: LogEvent
    written: int = 0
    left_out: int = 0


@implementer(ILogObserver)
class ThrottlingObserver:
    """Passes on ``LINES`` lines of a kind in ``PERIOD_S`` seconds, and then, with the next line of any kind, how many
    more there were. Whatever a client or a venue can do over and over fills no disk, wherever it is logged.

    A kind is what the code says, not what the world put into it: namespace, level, format, kind of failure, and the
    venue. Debug lines all pass: whoever asks for them wants each.
    """

    def __init__(self, observer: ILogObserver) -> None:
        self._observer = observer
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        """The oldest period first."""

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level is LogLevel.debug:
            self._observer(event)
            return
        now = float(event["log_time"])
        self._end_periods(now)
        key = _kind_of(event)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(now, event)
            if len(self._kinds) > KINDS:
                self._end_oldest(now)
        if kind.written < LINES:
            kind.written += 1
            self._observer(event)
        else:
            kind.left_out += 1

    def _end_periods(self, now: float) -> None:
        while self._kinds:
            since = next(iter(self._kinds.values())).since
            if 0 <= now - since < PERIOD_S:  # below zero: the wall clock was set back
                return
            self._end_oldest(now)

    def _end_oldest(self, now: float) -> None:
        _, kind = self._kinds.popitem(last=False)
        if kind.left_out:
            example = kind.example
            self._observer(
                {
                    "log_time": now,
                    "log_level": example["log_level"],
                    "log_namespace": example["log_namespace"],
                    "log_format": "{count} more lines like this within {seconds} s: {example!r}",
                    "count": kind.left_out,
                    "seconds": max(1, round(now - kind.since)),
                    "example": str(example.get("log_format") or example.get("log_text") or "")[:200],
                }
            )


def _kind_of(event: LogEvent) -> Hashable:
    failure = event.get("log_failure")
    return (
        event.get("log_namespace"),
        event.get("log_level"),
        event.get("log_format"),
        None if failure is None else failure.type,
        str(event.get("exchange", ""))[:20],
    )


@implementer(ILogObserver)
class LevelledObserver:
    """Writes events at or above the level of their namespace (``info,cryptodash.exchanges=debug``), throttled. What
    another process has written (``relayed``) was judged there, and is written as it is."""

    def __init__(self, levels: str, writer: ILogObserver) -> None:
        self._writer = writer
        self._throttled = ThrottlingObserver(writer)
        self.set_levels(levels)

    def set_levels(self, levels: str) -> None:
        """From now on."""
        default, by_namespace = parse_levels(levels)
        predicate = LogLevelFilterPredicate(LogLevel.levelWithName(default))
        for namespace, level in {**QUIETER, **by_namespace}.items():
            predicate.setLogLevelForNamespace(namespace, LogLevel.levelWithName(level))
        self._filtered = FilteringLogObserver(self._throttled, [predicate])

    def __call__(self, event: LogEvent) -> None:
        if "relayed" in event:
            self._writer(event)
        else:
            self._filtered(event)


def make_observer(levels: str, stream: TextIO, form: str = "text") -> LevelledObserver:
    """``form``: ``text`` or ``json``."""
    return LevelledObserver(levels, JsonObserver(stream) if form == "json" else textFileLogObserver(stream))


@define
class _Choice:
    """What the command line chose before twistd asks for an observer, and the observers that came of it."""

    levels: str = "info"
    logfile: str | None = None
    nodaemon: bool = True
    form: str = "text"
    made: list[LevelledObserver] = field(factory=list)


# twistd takes a logger only as the dotted name of a function without arguments, so what it shall do
# must wait here. One process has one log.
_choice = _Choice()


def choose(levels: str, logfile: str | None, nodaemon: bool, form: str = "text") -> str:
    """Prepare ``observer`` and return its name, for twistd's ``logger`` option."""
    _choice.levels, _choice.logfile, _choice.nodaemon, _choice.form = levels, logfile, nodaemon, form
    return f"{__name__}.{observer.__name__}"


def observer() -> ILogObserver:
    """What was chosen."""
    return observer_of(_choice.levels, _choice.logfile, _choice.nodaemon, _choice.form)


def observer_of(levels: str, logfile: str | None, nodaemon: bool, form: str = "text") -> ILogObserver:
    """Standard output in the foreground, else the log file (``twistd.log``), rotated at 10 MB; nine older ones stay.
    ``change_levels`` is about it from now on."""
    if nodaemon and logfile in (None, "", "-"):
        made = make_observer(levels, sys.stdout, form)
    else:
        made = make_observer(levels, bounded_file(logfile if logfile and logfile != "-" else "twistd.log"), form)
    _choice.made[:] = [made]
    return made


def change_levels(levels: str) -> None:
    """Other levels for the log of this process, where it is ours: an operator may have chosen another."""
    for observer in _choice.made:
        observer.set_levels(levels)


def bounded_file(path: str) -> TextIO:
    """A log file that is rotated, and takes old ones away."""
    file: TextIO = LogFile.fromFullPath(path, rotateLength=FILE_BYTES, maxRotatedFiles=FILES_KEPT)
    return file
