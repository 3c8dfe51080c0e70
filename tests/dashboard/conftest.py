"""The page in a real browser. With ``tests/end_to_end`` the one place that meets the real reactor: a browser cannot be
put under a manual clock."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as real_reactor

from tests.dashboard import remote
from tests.dashboard.browsers import browser_or_skip


def load(name: str) -> ModuleType:
    """A module that stands beside this one."""
    full = f"dashboard_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


TAMPER = """{
    window.asked = [];
    window.askedAt = {};
    window.answers = {};
    window.reopened = 0;
    window.ahead = 0;
    const now = performance.now.bind(performance);
    performance.now = () => now() + window.ahead;
    const plain = window.fetch.bind(window);
    window.fetch = (url, ...rest) => {
        const name = String(url).split('/').at(-1);
        const kind = name.replace(/[?].*/, '?');
        window.asked.push(name);
        for (const each of new Set([name, kind])) (window.askedAt[each] ??= []).push(performance.now());
        const real = () => plain(url, ...rest);
        const answer = window.answers[name] ?? window.answers[kind];
        return answer ? answer(real, name) : real();
    };
    let isFirst = true;
    window.WebSocket = class extends WebSocket {
        constructor(...rest) {
            super(...rest);
            if (!isFirst) this.addEventListener('open', () => (window.reopened += 1));
            isFirst = false;
        }
        send(text) {
            super.send(text);
            const heard = new MessageEvent('message', { data: '{"type":"info","payload":{}}' });
            if (JSON.parse(text).op === 'ping') queueMicrotask(() => this.dispatchEvent(heard));
        }
    };
}"""
"""The page's requests are counted, a test may answer them otherwise, and its monotonic clock can be put forward.
With parameters a request is also known by what stands before them, with the mark ("candles?"). Connections that were
opened anew (``reopened``) are counted too: what failed is asked again then. Each ping is heard at once: a page in a
hurry gives a server up after half a second without an answer, which a machine that does much else may take."""

chromium, stages, floods = load("chromium"), load("stage"), load("flood")


@pytest.fixture(scope="session")
def reactor() -> Any:
    """The real one."""
    return real_reactor


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser of this process. Skips where there is none,
    unless ``CRYPTODASH_REQUIRE_CHROMIUM`` is set (as CI does)."""
    running = chromium.Chromium(browser_or_skip("CHROMIUM", chromium.NAMES))
    yield running
    running.stop()


@pytest_twisted.async_yield_fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    """A fresh tab with storage of its own, 1440 x 900. After the test, anything it complained of is a failure."""
    tab = await browser.open(real_reactor)
    yield tab
    await tab.close()
    assert tab.problems == []


@pytest_twisted.async_yield_fixture
async def tampered(page: Any) -> AsyncIterator[Any]:
    """A tab in which every page's timers run eight times as fast and ``TAMPER`` is in place."""
    await page.hasten(8)
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=TAMPER)
    yield page


@pytest_twisted.async_yield_fixture(scope="module")
async def stage() -> AsyncIterator[Any]:
    """The server and its simulated venues, for all tests of a module. A test that harms either puts it right again."""
    made = stages.Stage(real_reactor)
    made.start()
    await remote.until(real_reactor, lambda: made.ready, 10, lambda: "the catalogues were not read")
    yield made
    await made.end()
    assert made.simulator.ledger.violations == [], "no test may break a venue's limits"


@pytest_twisted.async_yield_fixture(scope="module")
async def bench(browser: Any, stage: Any, reactor: Any) -> AsyncIterator[Any]:
    """One tab for all of a module's tests, in which nothing runs but the page's module under test."""
    tab = await browser.open(reactor)
    await tab.laboratory(stage.url)
    yield tab
    assert tab.problems == []
    await tab.close()


@pytest.fixture
def answers(bench: Any) -> Callable[[str, Iterable[str]], Awaitable[dict[str, Any]]]:
    """``await answers(module, expressions)``: by expression what it gives, where it fails the error as text."""

    async def evaluate(module: str, expressions: Iterable[str]) -> dict[str, Any]:
        cases = ",".join(f"() => ({each})" for each in expressions)
        each = "(each) => { try { return each() } catch (error) { return String(error) } }"
        return dict(zip(expressions, await bench.module(module, f"[{cases}].map({each})"), strict=True))

    return evaluate


@pytest_twisted.async_yield_fixture(autouse=True)
async def servers() -> AsyncIterator[list[Any]]:
    """Those of one test. They are stopped when its pages are closed, which would complain that they are refused."""
    made: list[Any] = []
    yield made
    for each in made:
        await each.stop()


@pytest.fixture
def flood(stage: Any, servers: list[Any]) -> Any:
    """A second server whose /ws says as much as a test wants."""
    servers.append(floods.Flood(real_reactor, stage))
    return servers[-1]


@pytest.fixture
def proxy(stage: Any, servers: list[Any]) -> Any:
    """The stage below another path."""
    servers.append(stages.Proxy(real_reactor, stage))
    return servers[-1]


@pytest.fixture
def until() -> Callable[..., Any]:
    """``await until(condition, seconds)`` on our side of the wire."""

    async def wait(true: Callable[[], Any], seconds: float = 8.0) -> Any:
        return await remote.until(real_reactor, true, seconds, lambda: "see the condition")

    return wait


@pytest.fixture
def shown() -> Callable[[str, int], str]:
    """A number as the page has to write it: exactly so many decimals, thousands apart, a real minus."""
    return lambda text, decimals: f"{Decimal(text):,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
