"""From facts to findings: a row for each thing that can be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.events import Cause, State
from cryptodash.core.instruments import Catalogue, Instrument, Symbol
from cryptodash.doctor.facts import (
    AuditFacts,
    ChoiceFacts,
    ConnectionFacts,
    EndFacts,
    MarketFacts,
    RequestFacts,
    StateFacts,
    TopicFacts,
    UnreadableFacts,
    VenueFacts,
)
from cryptodash.doctor.findings import Finding, findings
from cryptodash.doctor.notes import Notes
from cryptodash.doctor.summary import summary
from cryptodash.doctor.table import as_json, as_text, report_of
from cryptodash.exchanges.venues import registry
from cryptodash.testing.network import MemoryNetwork

LIVE = (StateFacts(0, State.CONNECTING), StateFacts(10, State.LIVE))
BOOK = TopicFacts("acme:spot:BTC-USDT:order_book:20", "order_book", "most traded", LIVE, 100, 300)
TRADE = TopicFacts("acme:spot:DOGE-USDT:trade", "trade", "quiet", (StateFacts(0, State.CONNECTING),))
CONNECTION = ConnectionFacts("acme-1", "public", "wss://acme.example", "", 80, 20, 500, 50_000)
GOOD = MarketFacts(
    "spot",
    statuses={"trading": 3},
    chosen=(ChoiceFacts("most traded", "BTC-USDT", "BTCUSDT", "1000"),),
    connections=(CONNECTION,),
    topics=(BOOK,),
    requests=(RequestFacts("catalogue", 1, 0, 4_000, 4_000, "3 instruments"), RequestFacts("probe", 2, 0, 9_000, 50)),
    alternative="try acme.eu",
)
HOST = "wss://acme.example (public)"


def found(market: MarketFacts = GOOD, **venue: Any) -> list[Finding]:
    return list(findings(VenueFacts("acme", "Acme", "live", 30.0, (market,), **venue)))


def through(*causes: Cause | None, state: State = State.STALE) -> TopicFacts:
    states = (*LIVE, *(StateFacts(20, state, cause) for cause in causes), StateFacts(30, State.LIVE))
    return evolve(BOOK, states=states)


def with_end(**end: Any) -> dict[str, Any]:
    return {"connections": (evolve(CONNECTION, end=EndFacts(9, **end)),)}


def refused(**end: Any) -> dict[str, Any]:
    return {"connections": (evolve(CONNECTION, open_ms=None, end=EndFacts(9, opened=False, **end)),)}


def test_nothing_is_wrong_with_what_is_good() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "what", "text"),
    [
        ({"topics": (through(Cause.GAP),)}, "gap", "BTC-USDT:order_book:20"),
        ({"topics": (through(Cause.CHECKSUM),)}, "checksum", "by the venue's checksum"),
        ({"topics": (through(Cause.CROSSED),)}, "crossed", "crossed"),
        ({"topics": (through(Cause.SILENT),)}, "silent", "promises"),
        ({"topics": (through(Cause.LATE),)}, "late", "late"),
        ({"topics": (through(Cause.HALTED),)}, "halted", "stopped trading"),
        ({"topics": (through(Cause.DELISTED, state=State.CLOSED),)}, "delisted", "list"),
        ({"topics": (through(Cause.REJECTED, state=State.CLOSED),)}, "rejected", "refuses"),
        ({"topics": (through(Cause.CAPACITY, state=State.CONNECTING),)}, "budget", "room"),
        ({"topics": (evolve(BOOK, crossed=2),)}, "crossed", "as live 2 times"),
        ({"topics": (evolve(BOOK, missed=3),)}, "trades", "3 trades are missing"),
        ({"topics": (evolve(BOOK, states=LIVE[:1], values=0),)}, "no-value", "never became live"),
        ({"topics": (evolve(BOOK, states=()),)}, "no-value", "never became live"),
        ({"topics": (evolve(TRADE, role="most traded"),)}, "no-value", "never became live"),
        ({"topics": (evolve(BOOK, first_value_ms=12_000),)}, "late", "only after 12000 ms"),
        ({"unreadable": UnreadableFacts(4, "BadFrame: number", "{}", 9)}, "decode", "4 frames or answers"),
        ({"requests": (RequestFacts("probe", 0, 1, cause="banned", error="HTTP 429"),)}, "ban", "REST probe"),
        ({"requests": (RequestFacts("probe", 2, 0, 9_000, 3_500),)}, "late", "before 3500 ms"),
        ({"chosen": ()}, "catalogue", "nothing that trades"),
        ({"connections": ()}, "connection", "no WebSocket connection"),
        ({"connections": (evolve(CONNECTION, first_frame_ms=None),)}, "silent", "sends nothing"),
        (with_end(kind="remote", code=1006), "disconnected", "without a closing handshake"),
        (with_end(kind="remote", code=1012), "maintenance", "restart"),
        (with_end(kind="local", asked="poison"), "disconnected", "cannot be read"),
        (refused(kind="dns", reason="no results"), "dns", f"{HOST} cannot be reached: its name"),
        (refused(kind="http", status=451), "geo-block", "451"),
        (refused(kind="tcp", reason="ProxyRefused: the proxy refused the connection (403 no)"), "proxy", "(403 no)"),
    ],
)
def test_what_is_wrong_with_a_market(changes: dict[str, Any], what: str, text: str) -> None:
    (finding,) = found(evolve(GOOD, **changes))
    assert (finding.is_wrong, finding.exchange, finding.market, finding.what) == (True, "acme", "spot", what)
    assert text in finding.text


@pytest.mark.parametrize(
    ("venue", "what"),
    [
        ({"clock_ahead_ms": -1500}, "clock"),
        ({"clock_steps": 1}, "clock"),
        ({"audit": AuditFacts({"equal": 8, "diverged": 1})}, "audit"),
        ({"implausible": 5}, "implausible"),
        ({"quotes_crossed": 5}, "crossed"),
        ({"left_out": ("candle BTCUSDT: number",)}, "left-out"),
        ({"save_error": "No space left on device"}, "save"),
    ],
)
def test_what_is_wrong_with_a_venue(venue: dict[str, Any], what: str) -> None:
    (finding,) = found(**venue)
    assert finding.is_wrong and finding.what == what


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": (BOOK, TRADE)},
        {"topics": (BOOK, evolve(TRADE, channel="candle", role="most traded"))},
        {"unknown": ("instrument X: number",)},
        {"not_served": ("liquidation",)},
    ],
)
def test_what_is_only_worth_knowing(changes: dict[str, Any]) -> None:
    (finding,) = found(evolve(GOOD, **changes))
    assert not finding.is_wrong


@pytest.mark.parametrize("asked", ["rollover", "empty", "shutdown"])
def test_connections_that_we_end_in_good_order_are_not_wrong(asked: str) -> None:
    assert found(evolve(GOOD, **with_end(kind="local", code=1000, asked=asked))) == []


def test_a_geo_block_names_the_alternative_and_the_proxy() -> None:
    changes = refused(kind="http", status=403)
    (finding,) = found(evolve(GOOD, connections=(evolve(changes["connections"][0], proxy="proxy.corp:3128"),)))
    assert "through the proxy proxy.corp:3128" in finding.text and "try acme.eu" in finding.advice


@pytest.mark.parametrize(("sample", "advice"), [("<html>Log in</html>", "login page"), ('{"p":', "adapter")])
def test_a_web_page_in_the_place_of_data_is_not_laid_to_the_adapter(sample: str, advice: str) -> None:
    request = RequestFacts("catalogue", 0, 1, cause="disconnected", error="acme spot: unreadable answer: json")
    unreadable = UnreadableFacts(1, "BadFrame: json", sample, 9)
    said = found(evolve(GOOD, requests=(request,), unreadable=unreadable))
    assert {each.what for each in said} == {"unreadable", "decode"} and all(advice in each.advice for each in said)


def test_words_of_the_catalogue_that_we_do_not_know_are_said() -> None:
    venue = next(iter(map(registry.load, registry.available())))
    market = venue.markets[0]
    catalogue = Catalogue(venue.id)
    catalogue.replace(
        market,
        [
            Instrument(venue.id, market, Symbol(base, "USDT"), f"{base}USDT", "0.1", "0.1", **known)
            for base, known in (
                ("BTC", {}),
                ("ETH", {"status": "halted", "venue_status": "Paused", "unknown_words": ("status=Paused",)}),
                ("SOL", {"unknown_words": ("contractType=NEW", "status=Paused")}),
            )
        ],
    )
    facts = summary(venue, Notes(venue, MemoryNetwork(), lambda url: ""), catalogue, [], {}, {}, {})
    said = [each for each in findings(facts) if each.what == "catalogue"]
    assert [each.is_wrong for each in said] == [False]
    assert "2 words that we do not know: status=Paused of 2, the first: ETHUSDT" in said[0].text
    text = as_text([report_of(facts)])
    assert "2 unknown words" in text and "contractType=NEW of 1, the first: SOLUSDT" in text
    assert "nothing unknown" not in text.partition(f"{venue.name} {market} ")[2].partition("connection")[0]


def test_an_offset_that_is_not_known_is_laid_to_whole_seconds_only_where_the_venue_told_its_time() -> None:
    failed = evolve(GOOD, requests=(RequestFacts("probe", 0, 1, error="https://acme.example: HTTP 404"),))
    told, untold, unasked = (
        as_text([report_of(VenueFacts("acme", "Acme", "live", 30.0, (market,)))])
        for market in (GOOD, failed, evolve(GOOD, requests=()))
    )
    assert "not known (the venue tells whole seconds)" in told
    assert "not known (it did not tell its time)" in untold and "not known (it did not tell its time)" in unasked


def test_the_table_says_it_all_and_a_frame_is_shown_shortened() -> None:
    market = evolve(GOOD, unreadable=UnreadableFacts(4, "BadFrame: number", '{"p":"x"}... (900 bytes)', 9))
    report = report_of(
        VenueFacts("acme", "Acme", "live", 30.0, (market,), 12, audit=AuditFacts({"equal": 8}), saved="5 frames in x")
    )
    text = as_text([report])
    for part in (
        "Acme spot (live)",
        "direct; open after 80 ms; first frame after 20 ms; 500 frames",
        "4; BadFrame: number",
        'first at 9 ms: {"p":"x"}... (900 bytes)',
        "BTC-USDT: connecting > live; 100 values, first after 300 ms",
        "at least +12 ms",
        "audits          8 equal",
        "5 frames in x",
        "WRONG acme spot: [decode]",
        "something is wrong: 1 wrong, 0 notes",
    ):
        assert part in text, text
    said = as_json([report])
    assert said["wrong"] is True and said["venues"][0]["findings"][0]["what"] == "decode"
    assert said["venues"][0]["markets"][0]["topics"][0]["states"][1]["state"] == "live"
