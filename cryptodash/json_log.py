"""Log events as JSON, an object a line: ``LOG_FORMAT=json``.

    {"time":"2026-01-31T12:00:00.123Z","level":"info","namespace":"cryptodash.service",
     "message":"listening on 127.0.0.1:8080","address":"127.0.0.1:8080"}

After these four come the event's own plain values, ``traceback`` where there was a failure, and ``process`` where
several write into one log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from string import Formatter
from typing import Final, TextIO

import msgspec
from twisted.logger import ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.core.time import rfc3339

MAX_LINE: Final = 16_000
"""Bytes of one line."""
MAX_MESSAGE: Final = 4_096
MAX_TRACEBACK: Final = 8_192
MAX_VALUE: Final = 256
"""Characters of each."""
MAX_FIELDS: Final = 20
OWN: Final = ("time", "level", "namespace", "message", "traceback", "process")
PLAIN_INTEGER: Final = 2**53
"""What is larger is text: whoever reads it as a float would read another number."""

_is_secret = re.compile(r"token|secret|passw|credential|authori[sz]ation|cookie|private|(?:^|_)key(?:$|_)", re.I).search


@implementer(ILogObserver)
class JsonObserver:
    """Writes each event to ``stream``. Never raises for what is in an event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: LogEvent) -> None:
        self._stream.write(line_of(event))
        self._stream.flush()


def line_of(event: LogEvent) -> str:
    """The line, with its end."""
    relayed = event.get("relayed")
    document = _relayed(str(relayed), event.get("process")) if relayed is not None else None
    if document is None:
        document = _document(event)
    encoded = msgspec.json.encode(document)
    if len(encoded) > MAX_LINE:
        document = {name: document[name] for name in OWN if name in document}
        for name in ("message", "traceback"):
            if name in document:  # a character has at most six bytes here
                document[name] = str(document[name])[-(MAX_LINE // 16) :]
        encoded = msgspec.json.encode(document)
    return encoded.decode() + "\n"


def _document(event: LogEvent) -> dict[str, object]:
    namespace = str(event.get("log_namespace") or "-")
    failure = event.get("log_failure")
    message = _cut(_message(event, failure), MAX_MESSAGE)
    level = event.get("log_level")
    document: dict[str, object] = {
        "time": rfc3339(round(float(event.get("log_time") or 0.0) * 1000)),
        "level": getattr(level, "name", "info"),
        "namespace": _cut(namespace, MAX_VALUE),
        "message": message,
    }
    named = None if namespace.startswith("cryptodash") else _named_in(str(event.get("log_format") or ""))
    for name, value in event.items():
        if len(document) >= MAX_FIELDS + 4:
            break
        if name.startswith("log_") or name in ("isError", "system", "format") or _is_secret(name):
            continue
        if named is not None and name not in named:
            continue  # what others give and do not show is not ours to show
        if isinstance(value, str | int | float) and (plain := _plain(value)) != message:
            document[f"{name}_" if name in OWN[:5] else _cut(name, 60)] = plain
    if isinstance(failure, Failure):
        text = _text(failure.getTraceback())
        document["traceback"] = text if len(text) <= MAX_TRACEBACK else f"...{text[-MAX_TRACEBACK:]}"
    return document


def _message(event: LogEvent, failure: object) -> str:
    text = formatEvent(event) or str(event.get("log_text") or "")
    if not text and isinstance(failure, Failure):
        text = f"{failure.type.__name__ if failure.type else ''}: {failure.getErrorMessage()}"
    return text


def _relayed(line: str, process: object) -> dict[str, object] | None:
    """What another process wrote in this form, with that process named; None where it is in no such form."""
    if not line.startswith('{"time":'):
        return None
    try:
        document = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    if not isinstance(document, Mapping) or not all(isinstance(document.get(name), str) for name in OWN[:4]):
        return None
    return {**document, "process": process}


def _named_in(text: str) -> set[str]:
    try:
        return {re.split(r"[.\[(]", name, maxsplit=1)[0] for _, name, _, _ in Formatter().parse(text) if name}
    except ValueError:
        return set()


def _plain(value: str | int | float) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _cut(str(value), MAX_VALUE)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if abs(value) <= PLAIN_INTEGER:
        return int(value)
    return str(value) if value.bit_length() <= 512 else f"a number of {value.bit_length()} bits"


def _cut(text: str, longest: int) -> str:
    text = _text(text)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _text(text: str) -> str:
    """Halves of surrogate pairs, as undecodable file names have them, are no text."""
    return text.encode("utf-8", "replace").decode()
