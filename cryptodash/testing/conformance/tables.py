"""The tables that an author writes from his venue's documents: requests, answers, HTTP refusals; and what must hold of
every request, whether it stands in a table or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from cryptodash.core.events import cause_of
from cryptodash.exchanges.adapter.decode import check_text, reading
from cryptodash.exchanges.adapter.messages import Ack, BadFrame
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.testing.conformance.evidence import Answer, Evidence, Refusal, Request
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import KnownReaders, known_streams
from cryptodash.testing.conformance.values import check_messages

UNHEARD_OF = 599
CAUSES = ("", "blocked", "banned", "rejected", "maintenance")


def check_every_request(evidence: Evidence) -> None:
    """As many streams as may share a frame can be asked for and ended; different streams give different frames."""
    venue = evidence.venue
    for names, endpoint in _batches(evidence):
        for write in (venue.subscribe, venue.unsubscribe):
            frame = write(endpoint, names, "1")
            require(isinstance(frame, bytes) and frame, f"{_name(write)} of {names} gives {shown(frame)}")
            check_text(frame)
            require(frame == write(endpoint, names, "1"), f"{_name(write)} of {names} is another frame each time")
            if len(names) > 1:
                require(frame != write(endpoint, names[1:], "1"), f"{_name(write)} does not say all of {names}")
        on, off = venue.subscribe(endpoint, names, "1"), venue.unsubscribe(endpoint, names, "1")
        require(on != off, f"subscribe and unsubscribe of {names} are the same frame: {shown(on)}")
    _check_single(evidence)


def _check_single(evidence: Evidence) -> None:
    """Two streams are never asked for, or ended, by one and the same frame."""
    venue = evidence.venue
    for write in (venue.subscribe, venue.unsubscribe):
        seen: dict[tuple[str, bytes], str] = {}
        for endpoint, name in known_streams(evidence):
            other = seen.setdefault((endpoint, write(endpoint, [name], "1")), name)
            require(
                other == name,
                f"{_name(write)} of {other} and {name} is the same frame: what it has to repeat (a depth, an interval) "
                "belongs into the name",
            )


def _batches(evidence: Evidence) -> Iterator[tuple[list[str], str]]:
    """Names that may share a frame, as many as may."""
    groups: dict[tuple[str, str], list[str]] = {}
    for spec in known_streams(evidence).values():
        groups.setdefault((spec.endpoint, spec.batch), []).append(spec.name)
    for (endpoint, _), names in groups.items():
        most = evidence.venue.limits[endpoint].args_per_message
        for start in range(0, len(names), most):
            yield names[start : start + most], endpoint


def check_request(evidence: Evidence, row: Request) -> None:
    """One row of the table of requests."""
    venue = evidence.venue
    limits = venue.limits[row.endpoint]
    require(len(row.names) <= limits.args_per_message, f"the row has {len(row.names)} streams, over args_per_message")
    specs = known_streams(evidence)
    batches = {spec.batch for spec in map(specs.get, ((row.endpoint, name) for name in row.names)) if spec is not None}
    require(len(batches) <= 1, f"{row.names} would never share a frame: their batches are {sorted(batches)}")
    write = venue.subscribe if row.on else venue.unsubscribe
    frame = write(row.endpoint, row.names, row.id)
    if isinstance(row.frame, Mapping):
        require(json.loads(frame) == row.frame, f"{_name(write)} of {row.names} is {shown(frame)}, wanted {row.frame}")
    else:
        require(frame == row.frame, f"{_name(write)} of {row.names} is {shown(frame)}, wanted {row.frame!r}")


def check_answer(evidence: Evidence, row: Answer) -> None:
    """One row of the table of answers."""
    try:
        messages = reading(evidence.venue.read, row.endpoint, row.frame, KnownReaders(evidence, row.endpoint))
    except BadFrame as error:
        fail(f"{shown(row.frame)} cannot be read: {error}")
    found = check_messages(messages)
    require(found == list(row.messages), f"{shown(row.frame)} says {shown(found)}, wanted {shown(list(row.messages))}")
    for message in found:
        if isinstance(message, Ack):
            _check_ack(message, list(known_streams(evidence).values()))


def _check_ack(ack: Ack, streams: Sequence[StreamSpec]) -> None:
    """What an answer names must be found among what was asked for."""
    if ack.argument:
        arguments = {spec.argument for spec in streams}
        require(
            ack.argument in arguments,
            f"an answer names {ack.argument!r}, but no stream has that as its StreamSpec.argument: the request would "
            "wait for ever",
        )


def check_refusal(evidence: Evidence, row: Refusal) -> None:
    """One row of the table of HTTP answers."""
    found = evidence.venue.rest_error(row.status, row.headers, row.body)
    words = f"HTTP {row.status} {shown(row.body)}"
    if row.cause is None or found is None:
        require(found is None and row.cause is None, f"{words} is {shown(found)}, wanted cause {row.cause!r}")
        return
    cause, message, wait = found
    require(cause == row.cause, f"{words} has cause {cause!r}, wanted {row.cause!r}")
    require(message, f"{words} has no message for a person")
    require(row.wait is None or row.wait == wait, f"{words} says to wait {wait} s, wanted {row.wait}")


def check_http_answers(evidence: Evidence) -> None:
    """No answer, whatever is in it, makes ``rest_error`` raise, and failures are failures."""
    bodies = (b"", b"{}", b"[]", b"null", b"<html>maintenance</html>", b"\xff\xfe", b'{"code":"x"}', b"[" * 10_000)
    for status in (400, 401, 403, 404, 418, 429, 451, 500, 502, 503, UNHEARD_OF):
        for body in bodies:
            for headers in ({}, {"retry-after": "30"}, {"retry-after": "soon"}):
                _check_failure(evidence, status, headers, body)


def _check_failure(evidence: Evidence, status: int, headers: Mapping[str, str], body: bytes) -> None:
    words = f"rest_error of HTTP {status} {shown(body)}"
    try:
        found = evidence.venue.rest_error(status, headers, body)
    except Exception as error:
        fail(f"{words} raises {type(error).__name__}: {error}")
    if found is None:
        fail(f"{words} is None: a failure would pass for an answer")
    cause, message, wait = found
    require(cause in CAUSES, f"{words} has cause {cause!r}: one of {', '.join(map(repr, CAUSES))}")
    require(cause == "" or cause_of(cause).value == cause, f"{words} has cause {cause!r}")
    require(type(message) is str, f"{words} has message {shown(message)}")
    require(wait is None or 0 <= wait <= 3 * 86_400, f"{words} says to wait {wait} s")


def _name(function: object) -> str:
    return getattr(function, "__name__", "request")
