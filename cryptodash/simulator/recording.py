"""Recorded frames of one venue, read from a file.

A recording is a file of lines ``{"t": seconds or null, "dir": "in"|"out", "raw": "<text of one frame>"}`` (``.jsonl`` or ``.jsonl.gz``).
REST snapshots that belong to it are found through ``rest-index.json`` beside it.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType, Symbol, split_symbol

GAP_WITHOUT_TIMES = 0.1
"""Seconds between frames of a recording that has no times."""
# A recording carries no catalogue, so where the operator names no split these endings are tried, longest first. Nothing but a replay does this.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD", "TRY", "GBP")


@frozen
class Frame:
    """One recorded frame: seconds after the first one, the stream it belongs to, and its text."""

    at: float
    stream: str
    text: str


@frozen
class Recording:
    """A recorded run of one venue and market."""

    exchange: str
    market: MarketType
    frames: Sequence[Frame]
    symbols: dict[str, Symbol]
    """By native name, upper case."""
    tick_sizes: dict[str, str]
    snapshots: dict[str, bytes]
    """REST depth answers by native name."""

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(frame.stream for frame in self.frames))

    def samples(self) -> dict[str, str]:
        """One frame of each stream."""
        return {frame.stream: frame.text for frame in reversed(self.frames)}


def read_recording(path: Path, *, exchange: str = "", market: str = "", symbols: Iterable[str] = ()) -> Recording:
    """Read a recording. What is not named is told from the frames and the file's name. Raises ``ConfigError`` with the reason.

    ``symbols`` are ``NATIVE=BASE-QUOTE`` texts.
    """
    lines = list(_lines(path))
    incoming = [line for line in lines if line["dir"] == "in"]
    exchange = exchange or ("bybit" if any('"topic":' in line["raw"] for line in incoming) else "binance")
    kind = MarketType(market) if market else MarketType.PERPETUAL if re.search("usdm|linear|perp|swap", path.name) else MarketType.SPOT
    frames = list(_frames(incoming, _requested(lines), exchange))
    if not frames:
        raise ConfigError(f"replay: {path.name} holds no data frame of {exchange}")
    split = {native.upper(): _symbol(text) for native, _, text in (each.partition("=") for each in symbols)}
    natives = dict.fromkeys(native_of(frame.stream, exchange) for frame in frames)
    known = {native: split.get(native) or _guess(native) for native in natives}
    ticks = {native: _tick([frame for frame in frames if native_of(frame.stream, exchange) == native][:200]) for native in natives}
    return Recording(exchange, kind, frames, known, ticks, _snapshots(path, known, kind))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                line = json.loads(text)
                if not (isinstance(line, dict) and isinstance(line.get("raw"), str) and line.get("dir") in ("in", "out")):
                    raise ConfigError(f"replay: line {number} of {path.name} is not a recorded frame")
                yield line
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"replay: {path.name} cannot be read: {error}") from None


def _requested(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Stream names the recorder subscribed to."""
    names: list[str] = []
    for line in lines:
        if line["dir"] == "out":
            sent = json.loads(line["raw"])
            names += sent.get("params") or sent.get("args") or []
    return names


def _frames(incoming: Sequence[dict[str, Any]], requested: Sequence[str], exchange: str) -> Iterator[Frame]:
    """Data frames with their stream; acknowledgements are left out, because the stand-in gives its own. Bare payloads get the combined wrapper."""
    first = next((line["t"] for line in incoming if line["t"] is not None), None)
    for index, line in enumerate(incoming):
        at = line["t"] - first if first is not None and line["t"] is not None else index * GAP_WITHOUT_TIMES
        data = json.loads(line["raw"])
        if exchange == "bybit":
            if "topic" in data:
                yield Frame(at, data["topic"], line["raw"])
        elif "stream" in data:
            yield Frame(at, data["stream"], line["raw"])
        elif "result" not in data and "code" not in data and len(requested) == 1:
            yield Frame(at, requested[0], f'{{"stream":"{requested[0]}","data":{line["raw"]}}}')


def native_of(stream: str, exchange: str) -> str:
    """The native symbol in a stream name."""
    return stream.rpartition(".")[2].upper() if exchange == "bybit" else stream.partition("@")[0].upper()


def _symbol(text: str) -> Symbol:
    symbol = split_symbol(text)
    if symbol is None:
        raise ConfigError(f"replay: --symbol takes NATIVE=BASE-QUOTE, not {text[:40]!r}")
    return symbol


def _guess(native: str) -> Symbol:
    for quote in QUOTES:
        if native.endswith(quote) and native != quote:
            return Symbol(native.removesuffix(quote), quote)
    raise ConfigError(f"replay: name base and quote of {native} with --symbol {native}=BASE-QUOTE")


def _tick(frames: Iterable[Frame]) -> str:
    """One unit of the last decimal seen in a price: the recording does not say more."""
    places = max(
        (
            len(fraction)
            for frame in frames
            for fraction in re.findall(r'\["[0-9]+\.([0-9]+)",|"(?:p|b|a|c|lastPrice)":"[0-9]+\.([0-9]+)"', frame.text)
            for fraction in fraction
        ),
        default=2,
    )
    return format(Decimal(1).scaleb(-places), "f")


def _snapshots(path: Path, symbols: Iterable[str], market: MarketType) -> dict[str, bytes]:
    """Depth snapshots beside the recording, of its year, by native name."""
    index = path.with_name("rest-index.json")
    year = re.search(r"(?:19|20)[0-9]{2}", path.name)
    found: dict[str, bytes] = {}
    if index.is_file():
        for name, entry in json.loads(index.read_text(encoding="utf-8")).items():
            url = urlsplit(entry["url"])
            native = parse_qs(url.query).get("symbol", [""])[0]
            right_market = ("fapi" in url.netloc or "linear" in url.query) == (market is MarketType.PERPETUAL)
            if "depth" in url.path and native in symbols and right_market and (year is None or year.group() in name):
                found[native] = path.with_name(name).read_bytes()
    return found
