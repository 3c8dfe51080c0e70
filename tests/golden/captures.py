"""Which recordings are played, and how much of each."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "captures"
"""Where the recordings are: beside the project, as for the other tests of captures."""
VENUES = ("binance", "bybit")


@frozen
class Capture:
    """One run: a file, and how it is played."""

    file: str
    settings: tuple[tuple[str, str], ...] = ()
    """Settings of the server beyond those of every run."""
    cut: bool = False
    """Whether the venue's connections are cut in the middle."""
    compress: bool = False
    """Whether the clients ask for compression."""
    variant: str = ""

    @property
    def name(self) -> str:
        """How ``expected.json``, the tests and the command line call it."""
        stem = self.file.removesuffix(".gz").removesuffix(".jsonl")
        return f"{stem}:{self.variant}" if self.variant else stem


LONG = (
    "binance/spot-combined-btcusdt-2024.jsonl.gz",
    "binance/usdm-combined-btcusdt-2024.jsonl.gz",
)
SHORT = (
    "binance/coinm-ticker24h-btcusdperp-2026.jsonl",
    "binance/spot-bookticker-btcusdt-2026.jsonl",
    "binance/spot-combined-4sym-2021.jsonl",
    "binance/spot-kline1m-btcusdt-2026.jsonl",
    "binance/spot-miniticker-btcusdt-2026.jsonl",
    "binance/usdm-combined-4sym-2021.jsonl",
    "binance/usdm-kline1m-btcusdt-2026.jsonl",
    "binance/usdm-miniticker-btcusdt-2026.jsonl",
    "bybit/linear-kline1-btcusdt-2026.jsonl",
    "bybit/linear-orderbook50-btcusdt-2026.jsonl",
    "bybit/linear-orderbook500-xrpusdt-2024.jsonl",
    "bybit/linear-publictrade-btcusdt-2026.jsonl",
    "bybit/linear-tickers-btcusdt-2026.jsonl",
    "bybit/spot-kline1-btcusdt-2026.jsonl",
    "bybit/spot-orderbook1-btcusdt-2026.jsonl",
    "bybit/spot-orderbook50-btcusdt-2026.jsonl",
    "bybit/spot-publictrade-btcusdt-2026.jsonl",
    "bybit/spot-tickers-btcusdt-2026.jsonl",
)
COLLECTED = (("FLUSH_INTERVAL_MS", "40"), ("WS_DEFLATE", "true"))

SHORT_RUNS = (
    *(Capture(file) for file in SHORT),
    *(Capture(file, cut=True, variant="cut") for file in SHORT if "4sym" in file or "orderbook" in file),
    *(Capture(file, settings=COLLECTED, compress=True, variant="collected") for file in SHORT if "4sym" in file),
)
"""``cut``: what clients see of a reconnect. ``collected``: messages of many frames leave together, compressed."""
LONG_RUNS = tuple(Capture(file) for file in LONG)
ALL = (*SHORT_RUNS, *LONG_RUNS)


def recorded(folder: Path) -> set[str]:
    """Every WebSocket recording that is there."""
    return {
        str(path.relative_to(folder))
        for venue in VENUES
        for path in (folder / venue).iterdir()
        if path.name.endswith((".jsonl", ".jsonl.gz"))
    }
