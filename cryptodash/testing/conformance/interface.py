"""The data of a venue fits together, and its requests are such as the engine can pay for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Endpoint, IVenue, Limits
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.failure import fail, require, shown
from cryptodash.testing.conformance.known import everything, plan_of, requests
from cryptodash.testing.conformance.values import check_number

_is_id = re.compile(r"[a-z][a-z0-9_-]{0,31}").fullmatch
STATUSES = ("trading", "halted", "pre_open", "delisted")
LONGEST_PATH = 512
ENOUGH = 60.0
"""Seconds within which a budget must bear a poll."""


def check_interface(evidence: Evidence) -> None:
    """Everything that ``IVenue`` names is there, with the arguments it names."""
    try:
        verifyObject(IVenue, evidence.venue)
    except Invalid as error:
        fail(" ".join(str(error).split()))


def check_data(evidence: Evidence) -> None:
    """Ids and keys fit together."""
    venue = evidence.venue
    require(_is_id(venue.id), f"id {shown(venue.id)}: lower-case letters, digits, _ and -, at most 32")
    require(venue.name, "name is empty")
    markets = set(venue.markets)
    require(markets and all(isinstance(each, MarketType) for each in markets), f"markets {shown(venue.markets)}")
    for name in ("hosts", "alternative", "book_rules"):
        keys = set(getattr(venue, name))
        require(keys == markets, f"{name} has {sorted(keys)}, markets are {sorted(markets)}")
    for market, hosts in venue.hosts.items():
        require(re.fullmatch(r"wss?://[^/]+", hosts.ws), f"hosts[{market}].ws is {shown(hosts.ws)}: no path")
        require(re.fullmatch(r"https?://[^/]+", hosts.rest), f"hosts[{market}].rest is {shown(hosts.rest)}: no path")
    for market in venue.markets:
        require(evidence.of_market(market), f"Evidence.instruments has none of {market}")


def check_endpoints(evidence: Evidence) -> None:
    """Every market has an endpoint, every endpoint its limits."""
    venue = evidence.venue
    require(venue.endpoints.keys() == venue.limits.keys(), "endpoints and limits have different keys")
    served = {endpoint.market for endpoint in venue.endpoints.values()}
    require(served == set(venue.markets), f"endpoints serve {sorted(served)}, markets are {sorted(venue.markets)}")
    for key, endpoint in venue.endpoints.items():
        _check_endpoint(key, endpoint, evidence)
        _check_limits(key, venue.limits[key], evidence)


def _check_endpoint(key: str, endpoint: Endpoint, evidence: Evidence) -> None:
    require(endpoint.key == key, f"endpoints[{key!r}] calls itself {endpoint.key!r}")
    require(endpoint.path == "" or endpoint.path.startswith("/"), f"path {shown(endpoint.path)} of endpoint {key!r}")
    for spec in endpoint.standing:
        require(spec.endpoint == key, f"{spec.name} stands on {key!r} but belongs to {spec.endpoint!r}")
        require(callable(evidence.venue.reader(spec)), f"no reader for {spec.name}, which stands on {key!r}")


def _check_limits(key: str, limits: Limits, evidence: Evidence) -> None:
    where = f"limits[{key!r}]"
    for name in ("streams", "args_per_message", "max_connections", "max_frame", "max_request", "silent_after"):
        require(getattr(limits, name) > 0, f"{where}.{name} is {getattr(limits, name)}")
    require(limits.message_gap >= 0, f"{where}.message_gap is {limits.message_gap}")
    require(limits.connects, f"{where}.connects is empty: reconnects would have no bound")
    for rate in (*limits.connects, *((limits.requests,) if limits.requests is not None else ())):
        require(rate.count > 0 and rate.per > 0, f"{where} has {rate}")
    ping = evidence.venue.ping(key, "1")
    if limits.ping_every is not None:
        require(isinstance(ping, bytes) and ping, f"{where}.ping_every is set, but ping({key!r}) gives {shown(ping)}")
        require(
            limits.silent_after > limits.ping_every,
            f"{where}.silent_after is not above ping_every: a quiet connection would be dropped before its pong",
        )


def check_routing(evidence: Evidence) -> None:
    """``data_prefix`` fits the rest."""
    venue = evidence.venue
    require(isinstance(venue.data_prefix, bytes) and isinstance(venue.name_end, bytes), "data_prefix is not bytes")
    if venue.data_prefix:
        require(venue.name_end, "data_prefix without name_end: the end of a stream's name would not be found")
    counted = [market for market, rules in venue.book_rules.items() if rules.chaining is Chaining.CONNECTION]
    require(
        not (counted and venue.data_prefix),
        "data_prefix lets frames pass by ``read``, but connections count their frames (Chaining.CONNECTION): leave it "
        "empty",
    )


def check_budgets(evidence: Evidence) -> None:
    """Every REST request names a budget that can pay for it."""
    venue = evidence.venue
    for pool, limits in venue.rest_limits.items():
        require(limits.weight > 0 and limits.per > 0, f"rest_limits[{pool!r}] is {limits}")
        require(limits.used_header == limits.used_header.lower(), f"used_header {limits.used_header!r}: lower case")
    for why, request in requests(evidence):
        _check_request(request, why, evidence)


def _check_request(request: object, why: str, evidence: Evidence) -> None:
    if not isinstance(request, RestRequest):
        fail(f"{why} is {shown(request)}, not a RestRequest")
    limits = evidence.venue.rest_limits.get(request.pool)
    require(
        limits is not None,
        f"{why} is paid from pool {request.pool!r}; rest_limits has {sorted(evidence.venue.rest_limits)}",
    )
    assert limits is not None
    require(
        0 < request.weight <= limits.weight, f"{why} weighs {request.weight}, pool {request.pool!r} {limits.weight}"
    )
    require(request.path.startswith("/") and len(request.path) < LONGEST_PATH, f"{why} has path {shown(request.path)}")
    require(request.market in evidence.venue.markets, f"{why} is of market {request.market!r}")
    texts = [part for pair in request.params for part in pair]
    require(all(type(each) is str for each in texts), f"{why} has params {shown(request.params)}: pairs of text")


def check_catalogue_requests(evidence: Evidence) -> None:
    """A catalogue and a probe for each market."""
    venue = evidence.venue
    for market in venue.markets:
        pages = venue.catalogue_requests(market)
        require(len(pages) > 0, f"catalogue_requests({market}) is empty: nothing could be subscribed to")
        for request in pages:
            _check_purpose(request, Purpose.CATALOGUE, market, "catalogue_requests")
        _check_purpose(venue.probe_request(market), Purpose.PROBE, market, "probe_request")


def check_snapshot_requests(evidence: Evidence) -> None:
    """There is a REST snapshot exactly where the book's rules say so: to begin with, or to compare with."""
    venue = evidence.venue
    for instrument in evidence.instruments:
        rules: BookRules = venue.book_rules[instrument.market]
        topic = Topic(venue.id, instrument.market, instrument.symbol, Channel.ORDER_BOOK)
        least = 0
        for levels in (1, 100, 2000):
            request = venue.snapshot_request(topic, instrument, levels)
            if rules.snapshots is SnapshotSource.STREAM and rules.audit is None:
                require(request is None, f"snapshot_request of {topic}: snapshots come in the stream, says book_rules")
                continue
            if request is None:
                why = rules.snapshots.value if rules.audit is None else f"audit by {rules.audit.value}"
                fail(f"snapshot_request of {topic} is None, but book_rules says {why}")
            _check_purpose(request, Purpose.SNAPSHOT, instrument.market, "snapshot_request")
            require(request.limit > 0, f"snapshot_request of {topic} has no limit: the horizon would be unknown")
            require(request.limit >= least, f"snapshot_request of {topic} asks for fewer where more are wanted")
            least = request.limit


def check_candle_requests(evidence: Evidence) -> None:
    """Older bars can be had in every interval."""
    venue = evidence.venue
    for instrument in evidence.instruments:
        intervals = list(venue.intervals(instrument.market))
        unknown = [each for each in intervals if each not in INTERVALS]
        require(not unknown, f"intervals({instrument.market}) has {unknown}, which no client can ask for")
        for interval in intervals:
            topic = Topic(venue.id, instrument.market, instrument.symbol, Channel.CANDLE, interval=interval)
            for limit in (1, 1000):
                request = venue.candles_request(topic, instrument, limit, 1_700_000_000_000)
                _check_purpose(request, Purpose.CANDLES, instrument.market, "candles_request")
                require(request.topic is topic, f"candles_request of {topic} is for {request.topic}")
                require(not request.needs_end, f"candles_request of {topic} needs an end, though it was given one")


def check_polls(evidence: Evidence) -> None:
    """Each is of its own topic, or is one that all topics share."""
    for asked in everything(evidence):
        for poll in plan_of(evidence, asked).polls:
            known = poll.request.topic is not None or poll.kept
            require(known, f"a poll of {asked} has no topic, and is not kept: some would miss its answer")


def check_instruments(instruments: Iterable[object], evidence: Evidence, market: MarketType | None = None) -> None:
    """Instruments as the engine needs them: of the venue and the market, with tick and step."""
    for each in instruments:
        if not isinstance(each, Instrument):
            fail(f"{shown(each)} is not an Instrument")
        require(each.exchange == evidence.venue.id, f"{each.native} is of exchange {each.exchange!r}")
        require(market is None or each.market is market, f"{each.native} is of market {each.market}, not {market}")
        require(each.native, f"{each.symbol} has no native name")
        require(each.status in STATUSES, f"{each.native} has status {each.status!r}: one of {', '.join(STATUSES)}")
        for name in ("tick_size", "step_size", "min_qty", "min_notional", "contract_size"):
            value = getattr(each, name)
            if value is not None or (name.endswith("_size") and name != "contract_size"):
                check_number(value, f"{name} of {each.native}", sign="positive")


def _check_purpose(request: RestRequest, purpose: Purpose, market: MarketType, name: str) -> None:
    require(request.purpose is purpose, f"{name} gives a request for {request.purpose}")
    require(request.market is market, f"{name} of {market} gives a request of {request.market}")
