"""The page in a browser behind each real proxy, by TLS and below a prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from tests.proxies.front import NAMES, Front, find_proxy

LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 0"


@pytest.mark.parametrize("name", NAMES)
@ensureDeferred
async def test_the_page_is_live_below_the_prefix(
    name: str, page: Any, stage: Any, until: Callable[..., Any], tmp_path: Path
) -> None:
    find_proxy(name)
    front = Front(name, stage.port, tmp_path)
    try:
        await until(front.ready, 20)
        await page.call("Security.setIgnoreCertificateErrors", ignore=True)
        await page.goto(f"{front.url}/crypto/#/market/binance/spot/BTC-USDT")
        await page.wait_for(f"{LIVE} && /[0-9]/.test(document.querySelector('.last').innerText)")
        assert page.sockets == [f"wss://localhost:{front.port}/crypto/ws"]
        await page.goto("about:blank")  # or it complains of the proxy's end
    finally:
        front.kill()
