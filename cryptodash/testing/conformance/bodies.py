"""REST bodies: what they say, and what becomes of damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.testing.conformance.evidence import Body, Evidence, text_of
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.interface import check_instruments
from cryptodash.testing.conformance.mutations import check_mutant, mutants
from cryptodash.testing.conformance.plain import difference, plain
from cryptodash.testing.conformance.values import check_messages


def check_body(evidence: Evidence, body: Body) -> None:
    """A recorded body says what the author says."""
    read, check = _reading(evidence, body.request)
    try:
        found = reading(read, text_of(body.text))
    except BadFrame as error:
        fail(f"the body cannot be read: {error}")
    rows: Sequence[Any] = check(found)
    require(rows, "the body says nothing")
    require(body.count is None or len(rows) == body.count, f"{len(rows)} rows, wanted {body.count}")
    for place, wanted in body.rows.items():
        require(place < len(rows), f"no row {place}: there are {len(rows)}")
        wrong = difference(plain(rows[place]), wanted)
        require(not wrong, f"row {place}: {wrong}")


def check_mutated_body(evidence: Evidence, body: Body) -> None:
    """Damaged bodies are unreadable, or say nothing that cannot be."""
    read, check = _reading(evidence, body.request)
    for mutant in mutants(text_of(body.text), Random(evidence.seed)):
        check_mutant(read, mutant, check)


def _reading(evidence: Evidence, request: RestRequest) -> tuple[Callable[[bytes], Any], Callable[[Any], Sequence[Any]]]:
    """The function that reads such a body, and the check of what it returns, which gives its rows."""
    venue = evidence.venue
    purposes: dict[Purpose, tuple[Callable[..., Any], Callable[[Any], Sequence[Any]]]] = {
        Purpose.CATALOGUE: (venue.read_catalogue, partial(_instruments, evidence, request)),
        Purpose.SNAPSHOT: (venue.read_snapshot, _snapshot),
        Purpose.CANDLES: (venue.read_candles, _bars),
        Purpose.POLL: (venue.read_poll, check_messages),
    }
    require(request.purpose in purposes, f"nothing reads the answer of {request.purpose}")
    read, check = purposes[request.purpose]
    return partial(read, request), check


def _instruments(evidence: Evidence, request: RestRequest, found: Any) -> Sequence[Any]:
    require(isinstance(found, tuple) and len(found) == 2, f"read_catalogue gives {shown(found)}: (instruments, next)")
    instruments, following = found
    check_instruments(instruments, evidence, request.market)
    if following is not None:
        require(following.purpose is Purpose.CATALOGUE, f"the next page of a catalogue is for {following.purpose}")
        require(following != request, "the next page of the catalogue is the same page: it would be read for ever")
    return list(instruments)


def _snapshot(found: Any) -> Sequence[Any]:
    check_messages([found])
    require(isinstance(found, Depth), f"read_snapshot gives {shown(found)}, not a Depth")
    require(found.snapshot, "read_snapshot gives a Depth that is no snapshot")
    return [found]


def _bars(found: Any) -> Sequence[Any]:
    bars = check_messages(found)
    require(all(isinstance(each, Bar) for each in bars), "read_candles gives what is no Bar")
    return bars
