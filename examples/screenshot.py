"""A picture of the page: starts the demo on a free port and a headless Chromium,
waits until the market view is live, and writes a PNG.

python examples/screenshot.py docs/dashboard.png [--view '#/compare/spot/BTC-USDT'] [--light] [--size 1440x900]
"""

from __future__ import annotations

import argparse
import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

KIT = Path(__file__).resolve().parent.parent / "tests" / "dashboard" / "chromium.py"
VIEW = "#/market/binance/spot/BTC-USDT?ov=ema20,vwap"
LIVE = "document.title.includes('BTC') && cryptodash.applied > 300"
MAX_BYTES = 250_000


def browser_kit() -> ModuleType:
    """The tests' browser: a program that takes a picture needs the same."""
    spec = importlib.util.spec_from_file_location("chromium", KIT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["chromium"] = module
    spec.loader.exec_module(module)
    return module


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def take(kit: ModuleType, options: argparse.Namespace, port: int) -> None:
    width, height = (int(each) for each in options.size.split("x"))
    program = kit.find_browser()
    if program is None:
        raise SystemExit(f"none of {', '.join(kit.NAMES)} is installed, and $CRYPTODASH_CHROMIUM names none")
    browser = kit.Chromium(program)
    try:
        page = await browser.open(reactor)
        await page.viewport(width, height)
        await page.media(prefers_color_scheme="light" if options.light else "dark")
        await answered(kit, port)
        await page.goto(f"http://127.0.0.1:{port}/{options.view}")
        await page.wait_for(options.live, 60)
        await page.click("#banners [aria-label=Dismiss]")  # the hint for somebody who is here for the first time
        size = await page.screenshot(options.picture, optimizeForSpeed=False)
        print(f"{options.picture}: {width} x {height}, {size} bytes")
        for problem in page.problems:
            print(f"the page complained: {problem}", file=sys.stderr)
        await page.close()
        if page.problems or size > MAX_BYTES:
            raise SystemExit(f"not good enough: at most {MAX_BYTES} bytes, and no complaint")
    finally:
        browser.stop()


async def answered(kit: ModuleType, port: int) -> None:
    """Wait until the server takes connections."""

    def open_now() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await kit.until(reactor, open_now, 20, lambda: "the server does not answer")


def main(_: Any, *words: str) -> Deferred[None]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--view", default=VIEW, help="hash of the address (%(default)s)")
    parser.add_argument(
        "--live", default=LIVE, help="JavaScript that is true once the picture may be taken (%(default)s)"
    )
    parser.add_argument("--size", default="1440x900")
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

    return ensureDeferred(take(browser_kit(), options, port)).addBoth(ended)


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
    ]


if __name__ == "__main__":
    react(main, sys.argv[1:])
