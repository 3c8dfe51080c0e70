"""Pictures of the page: starts the demo on a free port and a headless Chromium, and writes a picture of each view on a
desk and on a phone, once it shows what it is for.

    python examples/screenshot.py docs [--views market compare] [--widths 1440] [--light]

docs/dashboard-market-1440.webp and so on.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.dashboard import chromium, remote  # a program that takes a picture needs the same browser as the tests

VIEWS = {
    "markets": ("#/markets", "document.querySelectorAll('.markets tbody .state.good').length > 10"),
    "market": (
        "#/market/binance/spot/BTC-USDT?ov=ema20,vwap",
        "[...document.querySelectorAll('.panel[data-state]:not([hidden])')]"
        ".every((each) => /live|quiet/.test(each.dataset.state)) && cryptodash.applied > 300",
    ),
    "compare": (
        "#/compare/spot/BTC-USDT",
        "document.querySelectorAll('.compare tbody tr:not(.untrusted)').length > 4 && cryptodash.applied > 300",
    ),
    "health": ("#/health", "[...document.querySelectorAll('.strip-cell')].some((each) => /^last /.test(each.title))"),
    "alerts": ("#/alerts", "document.querySelectorAll('.alerts tbody tr:not([hidden])').length > 3"),
}
"""Hash of the address, and JavaScript that is true once the picture may be taken."""
BEST = "cryptodash.rate === 10 && !document.title.includes('! ')"
HEIGHTS = {1440: 900, 375: 812}
DEFAULT_SECONDS = 120
QUALITY = 90
MAX_BYTES = 300_000
ALERTS = (
    ("above", 150_000, "binance", "spot", "BTC-USDT"),
    ("below", 1_000, "bybit", "perpetual", "ETH-USDT"),
    ("spread", 25, "binance", "spot", "SOL-USDT"),
    ("stale", 30, "kraken", "spot", "BTC-USDT"),
)
NAMES = ("kind", "level", "exchange", "market", "symbol")
WAIT_S = 60.0


def stored() -> str:
    """JavaScript that leaves in the browser what somebody has there who has been here before."""
    alerts = [
        {"id": str(at), "state": "armed", **dict(zip(NAMES, each, strict=True))} for at, each in enumerate(ALERTS)
    ]
    return f"localStorage.setItem('cryptodash.1', {json.dumps(json.dumps({'hint': False, 'alerts': alerts}))})"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def take(options: argparse.Namespace, port: int) -> None:
    """Open every view at once, give their charts time to fill, and take them one after the other."""
    program = remote.find_browser("CHROMIUM", chromium.NAMES)
    if program is None:
        raise SystemExit(f"none of {', '.join(chromium.NAMES)} is installed, and $CRYPTODASH_CHROMIUM names none")
    browser = chromium.Chromium(program)
    try:
        await answered(port)
        pages = {}
        for view in options.views:
            pages[view] = page = await browser.open(reactor)
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=stored())
            await page.media(prefers_color_scheme="light" if options.light else "dark")
            await page.goto(f"http://127.0.0.1:{port}/{VIEWS[view][0]}")
        for view, page in pages.items():
            await page.wait_for(VIEWS[view][1], WAIT_S)
        await remote.pause(reactor, options.seconds)
        sizes = [await picture(options, view, page, width) for view, page in pages.items() for width in options.widths]
        # A small budget of an exchange is rationed among so many views; the page asks again later.
        problems = [each for page in pages.values() for each in page.problems if "status of 429" not in each]
        if problems or max(sizes) > MAX_BYTES:
            raise SystemExit("\n".join((f"not good enough: at most {MAX_BYTES} bytes, and no complaint", *problems)))
    finally:
        browser.stop()


async def picture(options: argparse.Namespace, view: str, page: chromium.Page, width: int) -> int:
    """Write one; its size in bytes."""
    await page.viewport(width, HEIGHTS[width])
    await remote.pause(reactor, 1.0)  # what is subscribed differs with the width
    try:
        await page.wait_for(f"{VIEWS[view][1]} && {BEST}", WAIT_S)
    except AssertionError:
        print(f"{view} at {width} is not at its best: the machine is busy", file=sys.stderr)
    path = options.folder / f"dashboard-{view}-{width}.{options.format}"
    quality = {} if options.format == "png" else {"quality": QUALITY}
    size = await page.screenshot(path, format=options.format, optimizeForSpeed=False, **quality)
    print(f"{path}: {width} x {HEIGHTS[width]}, {size} bytes")
    return size


async def answered(port: int) -> None:
    """Wait until the server takes connections."""

    def open_now() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await remote.until(reactor, open_now, WAIT_S, lambda: "the server does not answer")


def main(_: Any, *words: str) -> Deferred[None]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=[*VIEWS])
    parser.add_argument("--widths", nargs="+", type=int, choices=HEIGHTS, default=[*HEIGHTS])
    parser.add_argument(
        "--seconds", type=float, default=DEFAULT_SECONDS, help="look on for so long first (%(default)s)"
    )
    parser.add_argument("--format", choices=("webp", "png", "jpeg"), default="webp")
    parser.add_argument("--light", action="store_true")
    options = parser.parse_args(words)
    port = free_port()
    folder = tempfile.TemporaryDirectory()
    server = subprocess.Popen(demo(port), cwd=folder.name, stdout=subprocess.DEVNULL)

    def ended(result: Any) -> Any:
        server.terminate()
        server.wait(timeout=10)
        folder.cleanup()
        return result

    return ensureDeferred(take(options, port)).addBoth(ended)


def demo(port: int) -> Sequence[str]:
    twistd = Path(sys.executable).with_name("twistd")
    return [
        str(twistd),
        "-n",
        "--pidfile=",
        "--logfile",
        "demo.log",
        "cryptodash",
        "run",
        "--demo",
        "--bind-addr",
        f"127.0.0.1:{port}",
        "--control-port",
        str(free_port()),
    ]


if __name__ == "__main__":
    react(main, sys.argv[1:])
