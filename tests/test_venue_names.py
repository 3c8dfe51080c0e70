"""Generic code names no venue and speaks no venue's words: not in identifiers, strings, docstrings or comments.

What one venue does stands in its package; elsewhere it would be a rule that the next venue breaks.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import frozen

PACKAGE = Path(__file__).resolve().parent.parent / "cryptodash"
VENUES = PACKAGE / "exchanges" / "venues"

SCANNED = {
    "": None,  # the modules of the package itself
    "core": None,
    "hub": None,
    "api": None,
    "dashboard": None,
    "exchanges": "exchanges/venues",
    "simulator": "simulator/dialects",
    "testing": None,
}
"""The rooms, and the folder in each whose packages are a venue's each and may speak its language."""

WORDS = {
    "binance": (
        *("24hr", "aggTrade", "bookTicker", "depthUpdate", "miniTicker", "markPriceUpdate", "serverShutdown"),
        *("lastUpdateId", "exchangeInfo", "baseAsset", "LOT_SIZE", "PRICE_FILTER", "PENDING_TRADING"),
        *("fapi", "USD-M", "usdm", "x-mbx"),
    ),
    "bybit": (
        *("orderbook.", "publicTrade", "bid1Price", "prevPrice24h", "price24hPcnt", "turnover24h"),
        *("conn_id", "ret_msg", "retCode", "retExtInfo", "retMsg"),
        *("baseCoin", "quoteCoin", "settleCoin", "instruments-info", "lotSizeFilter", "nextPageCursor"),
        *("LinearPerpetual", "PreLaunch"),
    ),
    "okx": (
        *("bbo-tbt", "index-tickers", "funding-rate", "1Dutc", "ws/v5/business"),
        *("prevSeqId", "volCcy24h", "vol24h", "open24h", "bidPx", "markPx", "idxPx", "oiCcy"),
        *("ctVal", "ctMult", "lotSz", "tickSz", "settleCcy", "instType"),
    ),
    "coinbase": (
        *("l2_data", "market_trades", "sequence_num", "new_quantity", "price_level", "price_percent_chg_24_h"),
        *("brokerage", "base_increment", "quote_increment", "trading_disabled", "view_only", "epochMillis"),
    ),
    "kraken": (
        *("AssetPairs", "wsname", "altname", "pair_decimals", "lot_decimals", "ordermin", "costmin", "XBT/USDT"),
        *("event_trigger", "interval_begin", "ord_type", "bid_qty", "work_in_progress", "EQuery", "EGeneral"),
    ),
}
"""Spellings of one venue's wire alone, as its package writes them. Generic code has them in no spelling."""
SHARED = ("req_id",)
"""Spellings of several venues' wires, which generic code has no more than those of one."""


@frozen
class Allowed:
    """A text of a file that may stand there, and why."""

    place: str
    text: str
    reason: str


ALLOWED = (
    Allowed("core/config.py", '"binance,bybit"', "the default of EXCHANGES: which venues run is a setting"),
    Allowed(
        "testing/conformance/mutations.py",
        '"publicTrade.BTCUSDT"',
        "a frame of another venue, which the venue under test must refuse",
    ),
    Allowed(
        "testing/conformance/mutations.py",
        '"l2_data","timestamp":"2026-01-01T00:00:00Z","sequence_num"',
        "the same of another one",
    ),
)


def packages(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/__init__.py"))


def names_of_venues() -> list[str]:
    return packages(VENUES)


def generic(scanned: dict[str, str | None]) -> list[Path]:
    """The modules that must know no venue."""
    found: list[Path] = []
    for room, venues in scanned.items():
        own = [PACKAGE / venues / name for name in packages(PACKAGE / venues)] if venues else []
        modules = PACKAGE.glob("*.py") if room == "" else (PACKAGE / room).rglob("*.py")
        found += [path for path in modules if not any(path.is_relative_to(package) for package in own)]
    return sorted(found)


def inside(path: Path) -> str:
    """The path below the package, with slashes."""
    return path.relative_to(PACKAGE).as_posix()


def said(text: str) -> list[str]:
    """The names and words of venues in a text, also within longer words."""
    text = text.lower()
    return [word for word in (*names_of_venues(), *sum(WORDS.values(), ()), *SHARED) if word.lower() in text]


@pytest.mark.parametrize("path", generic(SCANNED), ids=inside)
def test_generic_code_knows_no_venue(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for allowed in ALLOWED:
        if allowed.place == inside(path):
            text = text.replace(allowed.text, "")
    found = {number: words for number, line in enumerate(text.splitlines(), 1) if (words := said(line))}
    assert not found, f"{inside(path)} speaks of a venue; what is the venue's belongs into its package"
    assert said(inside(path)) == []


@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda allowed: allowed.place)
def test_what_is_allowed_is_needed(allowed: Allowed) -> None:
    path = PACKAGE / allowed.place
    assert path in generic(SCANNED)
    assert said(allowed.text) != []
    assert path.read_text(encoding="utf-8").count(allowed.text) == 1


def test_every_venue_has_words() -> None:
    """Words of a new venue: what stands in its frames and in no other venue's."""
    assert sorted(WORDS) == names_of_venues()


def speakers(word: str) -> set[str]:
    """The venues whose packages have the word."""
    return {
        name
        for name in names_of_venues()
        if any(word in path.read_text(encoding="utf-8") for path in (VENUES / name).rglob("*.py"))
    }


@pytest.mark.parametrize(("venue", "word"), [(venue, word) for venue, words in WORDS.items() for word in words])
def test_a_word_is_one_venues_alone(venue: str, word: str) -> None:
    assert speakers(word) == {venue}


@pytest.mark.parametrize("word", SHARED)
def test_a_shared_word_is_that_of_several_venues(word: str) -> None:
    assert len(speakers(word)) > 1


def test_a_venue_is_found_in_whatever_spelling_and_place() -> None:
    assert said("class BinanceClient: ...") == ["binance"]
    assert said("if venue == 'BYBIT':  # sends retCode") == ["bybit", "retCode"]
    assert said("lastupdateid = 1") == ["lastUpdateId"]
    assert said("the venue's order book. Its trades") == []


def test_files_beside_the_venues_are_generic() -> None:
    places = {inside(path) for path in generic(SCANNED)}
    assert {"tap.py", "exchanges/venues/registry.py", "exchanges/engine.py"} <= places
    assert not [place for place in places if place.startswith("exchanges/venues/binance/")]
