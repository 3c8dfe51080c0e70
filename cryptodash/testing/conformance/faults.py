"""Faults: whatever goes wrong with a venue, no wrong book is shown as live, and all is well again without help."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from attrs import evolve

from cryptodash.core.events import Cause
from cryptodash.core.instruments import Symbol
from cryptodash.core.topics import Channel
from cryptodash.simulator.dialects import registry
from cryptodash.testing.conformance.check import Check
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.failure import require
from cryptodash.testing.conformance.stage import stage, topics_of

FAULTS = (
    "drop",
    "half-open",
    "silent",
    "skip",
    "reorder",
    "duplicate",
    "garbage",
    "crossed",
    "old-snapshot",
    "future-id",
    "future-time",
)
"""Those that every venue must survive; a dialect may leave some out (``IDialect.faults``)."""
WARM_UP = 8.0
"""Seconds in which the engine learns the pace of the streams."""
LASTS = 6.0
"""Seconds of a fault."""
WELL_WITHIN = 120.0
"""Seconds from the end of a fault until everything is live again: the longest wait before a reconnect, and the longest
silence that proves a connection dead."""
CALM = 150.0
"""Seconds without a fault: enough for every heartbeat, and for two bars of a minute."""
UNREAD = "cryptodash_upstream_decode_errors_total"
PONGS = "cryptodash_upstream_ping_rtt_seconds"
ANSWERS = "cryptodash_upstream_subscribe_acks_total"
TOLD = {"skip": {Cause.GAP, Cause.CHECKSUM}, "crossed": {Cause.CROSSED, Cause.GAP, Cause.CHECKSUM}}
"""Causes of which one must be told: a book that lacks a frame may look well for a long time."""


def check_fault(evidence: Evidence, name: str) -> None:
    """One fault, and what comes after it."""
    with stage(evidence) as at:
        at.run(WARM_UP)
        at.begin(name, LASTS)
        at.run(LASTS)
        well = at.run_until_good(WELL_WITHIN)
        require(not at.wrong, f"{len(at.wrong)} times wrong; first: {at.wrong[:1]}")
        require(well, f"{name} is over for {WELL_WITHIN:.0f} s, and not all is well: {at.states()}")
        at.run(5.0)
        require(not at.wrong, f"{len(at.wrong)} times wrong afterwards; first: {at.wrong[:1]}")
        told = TOLD.get(name)
        require(
            told is None or told & at.causes or not evidence.has(Channel.ORDER_BOOK),
            f"{name} was not noticed: no book was {' or '.join(sorted(told or ()))}; does BookRules.chaining fit?",
        )
        broken = at.simulator.ledger.violations
        require(not broken, f"limits of the venue were broken: {broken[:3]}")


def check_calm(evidence: Evidence) -> None:
    """Minutes without a fault: no topic is in trouble, no connection ends, every frame is read and every request
    answered, and trades, quotes and closed bars are the simulator's."""
    with stage(evidence, compare=True) as at:
        at.run(WARM_UP)
        at.bad.clear()
        connected = at.connections()
        at.run(CALM)
        require(not at.wrong, f"{len(at.wrong)} times wrong; first: {at.wrong[:1]}")
        broken = at.simulator.ledger.violations
        require(not broken, f"limits of the venue were broken: {broken[:3]}; do Limits and ping fit?")
        again = at.connections() - connected
        require(not again, f"{again} connections were opened anew though no fault runs: do silent_after and ping fit?")
        require(not at.bad, f"no fault runs, and yet {', '.join(at.bad[:1])}")
        unread = at.counted(UNREAD)
        require(not unread, f"{unread} frames or bodies could not be read: is the answer to ping among them?")
        late = at.counted(ANSWERS, "timeout")
        require(not late, f"{late} requests were never answered: does Ack name the streams that it is about?")
        pings = any((each.ping_every or CALM) < CALM / 2 for each in evidence.venue.limits.values())
        require(
            not pings or at.observed(PONGS), "no ping was ever answered: is what ping writes right, is a Pong read?"
        )


def check_refused(evidence: Evidence) -> None:
    """A stream that the venue refuses, or never sends anything of, is not live and harms no other."""
    with stage(evidence) as at:
        asked = []
        for market, instrument in at.instruments.items():
            none = evolve(instrument, symbol=Symbol("NONE", instrument.symbol.quote), native=f"NONE{instrument.native}")
            listed = [each for each in at.service.catalogue if each.market is market]
            at.service.catalogue.replace(market, [*listed, none])
            asked += topics_of(evidence, none)
        at.service.want(asked)
        at.run(15.0)
        live = [str(topic) for topic in asked if at.is_good(topic)]
        require(not live, f"{live} is live, though the venue has no such instrument")
        require(at.run_until_good(WELL_WITHIN), f"a refused subscription harms others: {at.states()}")
        require(not at.wrong, f"{len(at.wrong)} times wrong; first: {at.wrong[:1]}")


def fault_checks(evidence: Evidence, names: Sequence[str] = FAULTS) -> list[Check]:
    """A check without a fault, one for each of these faults that the dialect of the venue does, and one of a
    subscription that is refused. Raises ``ConfigError`` for a venue without a dialect."""
    done = registry.load(evidence.venue.id).faults
    found = [Check("no fault", partial(check_calm, evidence))]
    found += [Check(f"fault {name}", partial(check_fault, evidence, name)) for name in names if name in done]
    return [*found, Check("fault refused subscription", partial(check_refused, evidence))]
