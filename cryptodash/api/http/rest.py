"""The REST routes: each reads its query, asks the hub, and answers. What they say is built in ``reports``,
``symbols`` and the codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request
from werkzeug.exceptions import HTTPException

from cryptodash.api.access.access import Access
from cryptodash.api.access.grant import Grant
from cryptodash.api.addresses import Addresses
from cryptodash.api.answer_parts import error_body
from cryptodash.api.http import payloads
from cryptodash.api.http.answers import Answer, error_answer, json_answer, shared_answer, stored_answer, takes_gzip
from cryptodash.api.http.cluster_answers import ClusterAnswers
from cryptodash.api.http.compare import check_listed, comparison, first_values, named_exchanges, named_topics
from cryptodash.api.http.door import Door, Right, needs
from cryptodash.api.http.drain import Waits
from cryptodash.api.http.errors import no_route_answer, not_yet_known, refused_answer, upstream_answer
from cryptodash.api.http.guarded_request import log_failure
from cryptodash.api.http.history import HistoryAnswers
from cryptodash.api.http.history_query import book_of, history_of, recorded_topic, takes_arrow
from cryptodash.api.http.holds import Holds
from cryptodash.api.http.metrics import CONTENT_TYPE, Metrics
from cryptodash.api.http.operator_answers import OperatorAnswers, OwnAnswers
from cryptodash.api.http.pages import Page, load_pages, page_policy
from cryptodash.api.http.queries import Query
from cryptodash.api.http.recent import Recent
from cryptodash.api.http.refresh import CatalogueRefresh
from cryptodash.api.http.reports import SERVICE, exchange_members, readiness
from cryptodash.api.http.routes import Routes
from cryptodash.api.http.sender import Sender
from cryptodash.api.http.symbols import SymbolList
from cryptodash.api.slices import Slices
from cryptodash.core import codec
from cryptodash.core.config import Config
from cryptodash.core.errors import Refused, UpstreamError
from cryptodash.core.interfaces import ExchangeReport, IPeers, RecordingReport, survey_validity
from cryptodash.core.recorded import BookAt, History, ITapes
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock, rfc3339
from cryptodash.core.topics import COMPOSITE, Channel, Topic, check_exchange
from cryptodash.hub.interfaces import IDemand, IDirectory, IQuality, IValues

FIRST_VALUE_S: Final = 2.0
DEFAULT_TRADES: Final = 100
DEFAULT_CANDLES: Final = 200
DEFAULT_INTERVAL: Final = "1m"


class Rest:
    """Every endpoint. ``started`` is the monotonic time of the start, ``draining`` whether the
    server is shutting down."""

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        directory: IDirectory,
        demand: IDemand,
        values: IValues,
        config: Config,
        clock: Clock,
        scheduler: IReactorTime,
        tally: Tally,
        version: str,
        draining: Callable[[], bool],
        started: float,
        slices: Slices,
        ledger: IQuality,
        peers: IPeers | None = None,
        certificate: Callable[[], Mapping[str, object] | None] = lambda: None,
        access: Access | None = None,
        recording: Callable[[], RecordingReport | None] = lambda: None,
        tapes: ITapes | None = None,
    ) -> None:
        """``access``: the rules that both doors share; without it those of ``config``. ``tapes``: what was recorded;
        None: nothing is."""
        self._directory = directory
        self._demand = demand
        self._values = values
        self._config = config
        self._clock = clock
        self._version = version
        self._draining = draining
        self._started = started
        self._certificate = certificate
        self._recording = recording
        access = Access(config, clock, tally) if access is None else access
        self.door = Door(access, Addresses(config.trusted_proxies))
        self._waits = Waits()
        self._holds = Holds(demand, config, clock, scheduler)
        self._slices = slices
        self._sender = Sender(self._slices)
        self._history = HistoryAnswers(tapes, config.limits, clock, scheduler, self._waits)
        self._symbols = SymbolList(directory, self._slices)
        self._surveys = Recent(clock, lambda: self._slices.outcome(directory.survey()), survey_validity)
        metrics = Metrics(tally, clock, version)
        process = "" if peers is None else peers.process
        own = OwnAnswers(directory, demand, ledger, metrics, self._surveyed, clock, slices, process)
        self._operator: OperatorAnswers = own
        if peers is not None:
            self._operator = ClusterAnswers(own, config.exchanges, peers, clock, slices)
        self._refresh = CatalogueRefresh(directory, clock)
        self._pages = load_pages("cryptodash.dashboard", version)
        self._documents = load_pages("cryptodash.api.http", version)
        self.routes = Routes(
            frozenset({rule.rule for rule in self.app.url_map.iter_rules() if "<" not in rule.rule} | {"/ws"})
        )

    def resource(self) -> Any:
        """The routes of this instance as a twisted.web resource."""
        return self.app.resource()

    def reconfigure(self, config: Config) -> None:
        """Limits that new requests go by from now on."""
        self._holds.limits = self._history.work.limits = config.limits

    def cut(self) -> None:
        """Answer 503 to all who still wait for something."""
        self._waits.cut()

    def stop(self) -> None:
        """Release what REST clients hold."""
        self._holds.stop()

    # About the server

    @app.route("/health", methods=["GET"])
    @needs(Right.OPEN)
    async def health(self, request: Request, grant: Grant) -> None:
        uptime = round(self._clock.monotonic() - self._started, 3)
        about = {"status": "ok", "service": SERVICE, "timestamp": self._now()}
        await self._send(request, json_answer({**about, "version": self._version, "uptime_s": uptime}))

    @app.route("/ready", methods=["GET"])
    @needs(Right.STATUS)
    async def ready(self, request: Request, grant: Grant) -> None:
        reports = await self._exchange_reports()
        unknown, cluster = self._directory.unknown_topics(), self._directory.cluster_report()
        is_ready, document = readiness(
            reports,
            self._draining(),
            self._config,
            self._now(),
            unknown,
            cluster,
            self._certificate(),
            self._recording(),
        )
        if not (grant.reads_all or grant.is_admin):
            document = {"status": document["status"]}
        await self._send(request, json_answer(document, 200 if is_ready else 503))

    @app.route("/api/exchanges", methods=["GET"])
    @needs(Right.READ)
    async def exchanges(self, request: Request, grant: Grant) -> None:
        reports = await self._exchange_reports()
        venues = [exchange_members(each, self._clock) for each in reports if grant.knows(each.exchange)]
        await self._send(request, json_answer({"exchanges": venues}))

    @app.route("/api/streams", methods=["GET"])
    @needs(Right.OPERATE)
    async def streams(self, request: Request, grant: Grant) -> None:
        stored = await self._waits.wait(self._operator.streams())
        await self._send(request, await shared_answer(request, stored, self._slices))

    @app.route("/api/quality", methods=["GET"])
    @needs(Right.OPERATE)
    async def quality(self, request: Request, grant: Grant) -> None:
        named = Query(request).get("exchange")
        exchange = None if named is None else self._exchange(named)
        stored = await self._waits.wait(self._operator.quality(exchange))
        await self._send(request, await shared_answer(request, stored, self._slices))

    @app.route("/metrics", methods=["GET"])
    @needs(Right.OPERATE)
    async def metrics(self, request: Request, grant: Grant) -> None:
        text = await self._waits.wait(self._operator.metrics())
        await self._send(request, Answer(text, content_type=CONTENT_TYPE))

    async def _exchange_reports(self) -> Sequence[ExchangeReport]:
        """Every venue's state, at most a second old where it has many streams."""
        await self._waits.wait(self._surveyed())
        return self._directory.exchange_reports()

    async def _surveyed(self) -> None:
        """The venues have been looked at a second ago at most."""
        if not self._draining():
            await self._surveys.get()

    async def _send(self, request: Request, answer: Answer) -> None:
        await self._sender.send(request, answer)

    # The catalogue

    @app.route("/api/symbols", methods=["GET"])
    @needs(Right.READ)
    async def symbols(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        exchange = query.get("exchange")
        if exchange is not None:
            if not grant.knows(exchange):
                raise self.door.forbid(f"anything of {exchange[:40]!r}")
            exchange = COMPOSITE if exchange.lower() == COMPOSITE else self._exchange(exchange)
        chosen = grant.known(self._directory.exchanges()) if exchange is None else (exchange,)
        stored = await self._waits.wait(self._symbols.answer(chosen, query.market(), query.search()))
        await self._send(request, await stored_answer(request, stored, self._slices))

    @app.route("/api/symbols/refresh", methods=["POST"])
    @needs(Right.OPERATE)
    async def refresh(self, request: Request, grant: Grant) -> None:
        named = Query(request).get("exchange")
        exchanges = (self._exchange(named),) if named is not None else self._directory.exchanges()
        counts = await self._waits.wait(self._refresh.run(exchanges))
        message = ", ".join(f"{exchange}: {count} symbols" for exchange, count in counts.items())
        await self._send(request, json_answer({"success": True, "message": message}))

    # Values

    @app.route("/api/ticker", methods=["GET"])
    @needs(Right.READ)
    async def ticker(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        topic = await self._first(request, grant, query, Channel.TICKER)
        ticker = self._values.ticker(topic)
        if ticker is None:
            raise not_yet_known(topic)
        await self._send(request, json_answer(self._with_status(codec.ticker_payload(ticker), topic)))

    @app.route("/api/orderbook", methods=["GET"])
    @app.route("/api/orderbook/snapshot", methods=["GET"])
    @needs(Right.READ)
    async def orderbook(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        topic = await self._first(request, grant, query, Channel.ORDER_BOOK, depth=query.whole("depth"))
        payload = payloads.snapshot_of(self._values.current(topic, self._demand.view_interval(topic, None)))
        if payload is None:
            raise not_yet_known(topic)
        await self._send(request, json_answer(self._with_status(payload, topic)))

    @app.route("/api/trades", methods=["GET"])
    @needs(Right.READ)
    async def trades(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        limit = query.limit(DEFAULT_TRADES)
        topic = await self._first(request, grant, query, Channel.TRADE)
        trades = self._values.trades(topic, limit)
        if not trades:
            raise not_yet_known(topic)
        await self._send(request, json_answer(self._with_status(payloads.trades_payload(topic, limit, trades), topic)))

    @app.route("/api/compare", methods=["GET"])
    @needs(Right.READ)
    async def compare(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        if not grant.knows(COMPOSITE):
            raise self.door.forbid(f"anything of {COMPOSITE!r}")
        topics = named_topics(self._directory, query)
        if refused := [topic for topic in topics if not grant.allows(topic)]:
            raise self.door.forbid(refused[0])
        exchanges = named_exchanges(self._directory, query)
        check_listed(topics, exchanges, self._values)
        for topic in topics:
            self._holds.hold(topic, self.door.address(request))
        await self._waits.wait(first_values(self._values, topics, self._clock, FIRST_VALUE_S))
        check_listed(topics, exchanges, self._values)  # the catalogue may have come meanwhile
        await self._send(request, json_answer(comparison(topics, exchanges, self._values, self._directory)))

    @app.route("/api/candles", methods=["GET"])
    @needs(Right.READ)
    async def candles(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        limit, end = query.limit(DEFAULT_CANDLES), query.time("end")
        topic = self._resolve(grant, query, Channel.CANDLE, interval=query.get("interval") or DEFAULT_INTERVAL)
        bars, cached = await self._waits.wait(self._values.candles(topic, limit, end, self.door.address(request)))
        source = self._directory.source(topic.exchange)
        payload = await self._slices.outcome(payloads.candles_payload(topic, limit, bars, cached, source))
        await self._send(request, json_answer(payload))

    # Recorded time

    @app.route("/api/history", methods=["GET"])
    @needs(Right.READ)
    async def history(self, request: Request, grant: Grant) -> None:
        topic = self._recorded(grant, Query(request), Channel.TICKER, may_read=True)
        answer = await self._history.holdings(request, topic, grant, self.door.address(request))
        await self._send(request, answer)

    @app.route("/api/history/trades", methods=["GET"])
    @needs(Right.READ)
    async def recorded_trades(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        await self._send_history(request, query, self._recorded(grant, query, Channel.TRADE))

    @app.route("/api/history/candles", methods=["GET"])
    @needs(Right.READ)
    async def recorded_candles(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        interval = query.get("interval") or DEFAULT_INTERVAL
        await self._send_history(request, query, self._recorded(grant, query, Channel.CANDLE, interval=interval))

    @app.route("/trades.arrow", methods=["GET"])
    @needs(Right.READ)
    async def trades_arrow(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        topic = self._recorded(grant, query, Channel.TRADE, exchange="venue", market="market")
        await self._send_history(request, query, topic, is_arrow=True)

    @app.route("/api/history/book", methods=["GET"])
    @needs(Right.READ)
    async def recorded_book(self, request: Request, grant: Grant) -> None:
        query = Query(request)
        topic = self._recorded(grant, query, Channel.ORDER_BOOK)
        how = {"is_arrow": takes_arrow(request), "is_packed": takes_gzip(request)}
        await self._send_recorded(request, book_of(query, topic, self._clock.wall_ms(), **how))

    async def _send_history(self, request: Request, query: Query, topic: Topic, *, is_arrow: bool = False) -> None:
        how = {"is_arrow": is_arrow or takes_arrow(request), "is_packed": takes_gzip(request)}
        await self._send_recorded(request, history_of(query, topic, self._clock.wall_ms(), **how))

    async def _send_recorded(self, request: Request, asked: History | BookAt) -> None:
        answer = await self._history.send(request, asked, self.door.address(request))
        if answer is not None:
            await self._send(request, answer)

    def _recorded(
        self,
        grant: Grant,
        query: Query,
        channel: Channel,
        *,
        exchange: str = "exchange",
        market: str = "market_type",
        interval: str | None = None,
        may_read: bool = False,
    ) -> Topic:
        """The topic whose past is asked for. ``may_read``: any topic of it is enough. Raises ``Refused``; ``forbidden``
        where the grant does not allow it."""
        named = query.need(exchange)
        if not grant.knows(named):
            raise self.door.forbid(f"anything of {named[:40]!r}")
        topic = recorded_topic(self._directory, query, channel, exchange=exchange, market=market, interval=interval)
        if not may_read and not grant.allows(topic):
            raise self.door.forbid(topic)
        self._history.check()
        return topic

    async def _first(
        self, request: Request, grant: Grant, query: Query, channel: Channel, depth: int | None = None
    ) -> Topic:
        """The topic asked for, held for the linger, once it has a value. Raises ``Refused``:
        ``not_yet_known`` after ``FIRST_VALUE_S``."""
        topic = self._resolve(grant, query, channel, depth)
        self._holds.hold(topic, self.door.address(request))
        interval = self._demand.view_interval(topic, None)
        if not await self._waits.wait(self._values.first_value(topic, interval, FIRST_VALUE_S)):
            self._resolve(grant, query, channel, depth)  # the catalogue may have come meanwhile, and know better
            raise not_yet_known(topic)
        return topic

    def _resolve(
        self, grant: Grant, query: Query, channel: Channel, depth: int | None = None, interval: str | None = None
    ) -> Topic:
        """The topic asked for. Raises ``Refused``; ``forbidden`` where the grant does not allow it."""
        market = query.market()
        symbol = query.symbol()
        exchange = query.need("exchange")
        if not grant.knows(exchange):  # nor what that has, and has not
            raise self.door.forbid(f"anything of {exchange[:40]!r}")
        named = exchange, market.value if market else None, channel.value, symbol, depth, interval
        topic = self._directory.resolve(*named)
        if not grant.allows(topic):
            raise self.door.forbid(topic)
        return topic

    def _with_status(self, payload: str, topic: Topic) -> str:
        source = self._directory.source(topic.exchange)
        return payloads.with_status(payload, self._values.stream_status(topic), self._values.age_ms(topic), source)

    def _exchange(self, name: str) -> str:
        """The id of the venue a client names. Raises ``Refused`` (404)."""
        return check_exchange(name, self._directory.exchanges())

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms())

    # Files

    @app.route("/", methods=["GET"])
    @needs(Right.OPEN)
    async def page(self, request: Request, grant: Grant) -> None:
        policy = page_policy(request.getHeader("host") or "")
        await self._send_page(request, self._pages.get("index.html"), Content_Security_Policy=policy)

    @app.route("/assets/<name>", methods=["GET"])
    @needs(Right.OPEN)
    async def asset(self, request: Request, grant: Grant, name: str) -> None:
        await self._send_page(request, self._pages.get(name))

    @app.route("/openapi.json", methods=["GET"])
    @needs(Right.OPEN)
    async def openapi(self, request: Request, grant: Grant) -> None:
        await self._send_page(request, self._documents.get("openapi.json"))

    @app.route("/asyncapi.json", methods=["GET"])
    @needs(Right.OPEN)
    async def asyncapi(self, request: Request, grant: Grant) -> None:
        await self._send_page(request, self._documents.get("asyncapi.json"))

    async def _send_page(self, request: Request, page: Page | None, **headers: str) -> None:
        answer = error_answer("not_found", "no such path", 404)
        if page is not None:
            answer = await stored_answer(request, page.stored, self._slices, page.content_type, **headers)
        await self._send(request, answer)

    # Errors

    @app.handle_errors(Refused)
    async def refused(self, request: Request, failure: Failure) -> None:
        assert isinstance(failure.value, Refused)
        await self._send(request, refused_answer(failure.value))

    @app.handle_errors(UpstreamError)
    async def upstream_failed(self, request: Request, failure: Failure) -> None:
        assert isinstance(failure.value, UpstreamError)
        await self._send(request, upstream_answer(failure.value))

    @app.handle_errors(HTTPException)
    async def no_route(self, request: Request, failure: Failure) -> None:
        assert isinstance(failure.value, HTTPException)
        await self._send(request, no_route_answer(failure.value))

    @app.handle_errors(Exception)
    async def failed(self, request: Request, failure: Failure) -> None:
        log_failure(failure)
        await self._send(request, Answer(error_body("internal_error", "the server failed to answer"), 500))
