"""Every topic that the venue can be asked for has a plan that the engine can carry out."""

from __future__ import annotations

from cryptodash.core.topics import Channel
from cryptodash.exchanges.adapter.decode import MAX_NAME
from cryptodash.exchanges.adapter.plan import Part, Plan, StreamSpec
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.failure import require, shown
from cryptodash.testing.conformance.known import DEPTHS, Asked, everything, plan_of

NEEDED: dict[Channel, tuple[frozenset[Part], ...]] = {
    Channel.TICKER: (frozenset({Part.QUOTE}), frozenset({Part.LAST})),
    Channel.BBO: (frozenset({Part.QUOTE}),),
    Channel.LIQUIDATION: (frozenset({Part.LIQUIDATIONS}),),
    Channel.TRADE: (frozenset({Part.TRADES}),),
    Channel.ORDER_BOOK: (frozenset({Part.BOOK}),),
    Channel.CANDLE: (frozenset({Part.CANDLE, Part.TRADES}),),
}
"""Of each set at least one part must come, or the topic would never have a value."""
SWEEP = (frozenset({Part.SWEEP}),)


def check_plans(evidence: Evidence) -> None:
    """Streams of known endpoints, with names that ``reader`` takes, for every part that the topic needs."""
    for asked in everything(evidence):
        plan = plan_of(evidence, asked)
        require(plan == plan_of(evidence, asked), f"plan of {asked} is another one each time: it must not have a state")
        for spec in plan.streams:
            _check_stream(spec, asked, evidence)
        _check_polls(plan, asked, evidence)
        _check_parts(plan, asked)


def _check_stream(spec: StreamSpec, asked: Asked, evidence: Evidence) -> None:
    venue, where = evidence.venue, f"stream {spec.name!r} of {asked}"
    endpoint = venue.endpoints.get(spec.endpoint)
    require(endpoint is not None, f"{where} is on endpoint {spec.endpoint!r}, which endpoints has not")
    assert endpoint is not None
    require(endpoint.market is asked.topic.market, f"{where} is on an endpoint of {endpoint.market}")
    require(0 < len(spec.name) <= MAX_NAME, f"{where} has a name of {len(spec.name)} characters, at most {MAX_NAME}")
    require(spec.name.isprintable(), f"{where} has a name with control characters: {shown(spec.name)}")
    require(spec.parts, f"{where} contributes nothing")
    require(spec.promise is None or spec.promise > 0, f"{where} promises a frame in {spec.promise} s")
    require(spec.depth is None or spec.depth > 0, f"{where} has depth {spec.depth}")
    require(
        not spec.conflate_by or spec.parts == {Part.QUOTE},
        f"{where} has conflate_by, and brings {sorted(spec.parts)}: only quotes may be skipped for later ones",
    )
    require(
        not venue.name_end or not venue.data_prefix or venue.name_end not in spec.name.encode(),
        f"{where} has name_end {venue.name_end!r} in its name: its frames would never be found",
    )
    chars = venue.limits[spec.endpoint].args_chars
    require(chars is None or len(spec.name) <= chars, f"{where} is longer than limits.args_chars")
    most = venue.limits[spec.endpoint].max_request
    length = max(len(write(spec.endpoint, (spec.name,), "1" * 10)) for write in (venue.subscribe, venue.unsubscribe))
    require(length <= most, f"{where} needs a request of {length} bytes, over limits.max_request: it would be rejected")
    require(callable(venue.reader(spec)), f"reader of {where} is not a function")


def _check_polls(plan: Plan, asked: Asked, evidence: Evidence) -> None:
    for poll in plan.polls:
        require(poll.every > 0, f"a poll of {asked} is repeated every {poll.every} s")
        require(poll.parts, f"a poll of {asked} contributes nothing")
        limits = evidence.venue.rest_limits[poll.request.pool]
        require(
            poll.request.weight * limits.per <= limits.weight * poll.every,
            f"a poll of {asked} every {poll.every} s is more than pool {poll.request.pool!r} bears",
        )


def _check_parts(plan: Plan, asked: Asked) -> None:
    names = [(spec.endpoint, spec.name) for spec in plan.streams]
    require(len(names) == len(set(names)), f"plan of {asked} names a stream twice: {names}")
    brought = [*(spec.parts for spec in plan.streams), *(poll.parts for poll in plan.polls)]
    parts = frozenset[Part]().union(*brought)
    require(plan.required, f"plan of {asked} requires nothing: it would never be live")
    missing = plan.required - parts
    require(not missing, f"plan of {asked} requires {sorted(missing)}, which no stream or poll of it brings")
    for either in SWEEP if asked.instrument is None else NEEDED[asked.topic.channel]:
        words = " or ".join(sorted(either))
        require(either & parts, f"plan of {asked} brings no {words}: the topic would never have a value")
    books = [spec for spec in plan.streams if Part.BOOK in spec.parts]
    if asked.topic.channel is Channel.ORDER_BOOK:
        require(len(books) == 1, f"plan of {asked} has {len(books)} streams of the book: it is made from one")
    else:
        require(not books, f"plan of {asked} has a stream of the book")


def check_tiers(evidence: Evidence) -> None:
    """A deeper book never comes by a shallower stream, and no tier is too small while a larger one is there."""
    if not evidence.has(Channel.ORDER_BOOK):
        return
    tiers: dict[object, list[tuple[int, int | None]]] = {}
    for asked in everything(evidence):
        if asked.topic.channel is Channel.ORDER_BOOK:
            (spec,) = (each for each in plan_of(evidence, asked).streams if Part.BOOK in each.parts)
            tiers.setdefault(asked.topic, []).append((asked.depth, spec.depth))
    for topic, found in tiers.items():
        depths = [tier for _, tier in found if tier is not None]
        require(depths in ([], sorted(depths)), f"tiers of {topic} by depth {DEPTHS}: {depths}")
        largest = max(depths, default=0)
        short = [(depth, tier) for depth, tier in found if tier is not None and tier < min(depth, largest)]
        require(not short, f"{topic} at these depths has a tier that is too small: {short}")
