"""What several real processes are to their clients: trades go on by cursor at another process, and who has other
settings takes no part."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from cryptodash.cluster.remote_venue import MOST_HELD_BACK
from tests.cluster.real.faults import holder_of
from tests.cluster.real.watcher import Watcher
from tests.cluster.real.world import EXCHANGES, ServerProcess, World
from tests.processes import get, get_text

AWAY_S = 1.5
READ_S = 4.0
"""In which what a client missed has been read for sure."""
TRADES = [
    f"{exchange}:{market}:{symbol}:trade"
    for exchange, market in (("binance", "spot"), ("bybit", "perpetual"))
    for symbol in ("XRP-USDT", "SOL-USDT", "ETH-USDT")
]


def told(client: Watcher, kind: str) -> list[Any]:
    """Payloads of the newest connection."""
    events = client.connections()[-1].events
    return [each.value["payload"] for each in events if each.kind == "got" and each.value["type"] == kind]


@pytest.mark.parametrize("others", [True, False], ids=["others have the topics", "nobody else has them"])
@pytest.mark.parametrize("killed", ["holder", "follower"])
@pytest_twisted.ensureDeferred
async def test_trades_go_on_by_cursor_at_another_process(
    killed: str, others: bool, world: World, long: bool, record_property: Callable[[str, object], None]
) -> None:
    if not (long or (killed, others) == ("holder", True)):
        pytest.skip("only with --long")
    await world.repair()
    world.forget()
    holders = world.holders()
    followers = [each for each in world.processes if each not in holders]
    if killed == "follower" and not followers:
        pytest.skip("each process has an exchange open")
    first = holder_of(world) if killed == "holder" else followers[0]
    second = next(each for each in world.processes if each is not first)
    client = Watcher("client", world.reactor, first.port, TRADES)
    world.watchers = [client]
    if others:
        world.watchers.append(Watcher("other", world.reactor, second.port, TRADES))
    for each in world.watchers:
        each.begin_watching()
    await world.until(lambda: not any(each.not_good() for each in world.watchers), 30.0)
    await world.until(lambda: len(told(client, "trade")) > 100, 30.0)
    at = world.reactor.seconds()
    first.signal(signal.SIGKILL)
    first.ended(5)
    await world.until(lambda: client.peer is None, 5.0)
    await world.sleep(AWAY_S)
    client.port = second.port
    client.begin_watching()
    await world.until(lambda: not {None, first} & set(world.holders()), 20.0)
    await world.until(lambda: not client.not_good(), 40.0, client.not_good)
    took = max(client.good_since.values()) - at
    await world.sleep(READ_S)
    judgement = world.judged()
    assert not judgement.violations, "\n".join(map(str, judgement.violations[:30]))
    replayed = [each for each in told(client, "trade") if each.get("replayed")]
    gaps = [(each["reason"], each.get("missed")) for each in told(client, "gap")]
    record_property(
        "measured",
        f"resumed after a {killed} was killed, {'others have' if others else 'nobody else has'} the topics: good again"
        f" {took:.1f} s after the kill, {len(replayed)} replayed, gaps {gaps}; {judgement.words()}",
    )
    assert replayed or gaps
    assert "expired" not in [reason for reason, _ in gaps] or not others
    assert world.exceptions() == []


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({"DEMO": "true"}, "simulated"),
        ({"BINANCE_WS_URL": "ws://127.0.0.1:9", "BINANCE_REST_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"BOOK_INTERVAL_MS": "250"}, "BOOK_INTERVAL_MS 250"),
    ],
    ids=["a demo", "other URLs", "another interval"],
)
@pytest_twisted.ensureDeferred
async def test_a_process_with_other_settings_does_not_take_part_and_says_why(
    own: dict[str, str], other: str, world: World, long: bool
) -> None:
    if not (long or "DEMO" in own):
        pytest.skip("only with --long")
    await world.repair()
    world.forget()
    before = world.fences()
    proxy = world.processes[0].proxy
    stranger = ServerProcess(9, proxy, lambda port: world.begin_process(proxy, port, is_demo="DEMO" in own, **own))
    stranger.start()
    try:
        await world.until(stranger.found_port, 60.0)
        said = "this process does not take part: other settings than the cluster's"
        await world.until(lambda: any(said in line for line in stranger.process.lines), 10.0)
        (line,) = [line for line in stranger.process.lines if said in line]
        assert other in line
        status, ready = await world.ready(stranger)
        assert status == 503
        cache = ready["dependencies"]["cache"]
        assert cache["status"] == "degraded" and cache["holds"] == []
        assert cache["reason"].startswith("other settings than the cluster's") and other in cache["reason"]
        causes = {name: each.get("cause") for name, each in ready["dependencies"]["exchanges"].items()}
        assert causes == dict.fromkeys(EXCHANGES, "backend")
        assert (await world.metrics(stranger))["leases"] == 0.0
        assert world.fences() == before
    finally:
        stranger.signal(signal.SIGTERM)
        assert stranger.ended(10) == 0
    assert stranger.exceptions() == []


@pytest_twisted.ensureDeferred
async def test_whichever_process_is_asked_answers_for_all(world: World) -> None:
    await world.repair()
    await world.watch()
    names = {each.name for each in world.processes}
    holders = {exchange: each.name for exchange, each in zip(EXCHANGES, world.holders(), strict=True) if each}
    for each in world.processes:
        _, streams = await deferToThread(get, each.port, "/api/streams")
        found = {(stream["exchange"], stream["process"]) for stream in streams["streams"]}
        assert found == set(holders.items()) and "missing" not in streams
        _, quality = await deferToThread(get, each.port, "/api/quality?exchange=bybit")
        assert {venue["process"] for venue in quality["exchanges"]} == names
        clustered = {stream["process"] for stream in quality["streams"] if stream["endpoint"] == "cluster"}
        assert clustered >= names - {holders["bybit"]}
        text = await deferToThread(get_text, each.port, "/metrics")
        assert set(re.findall(r'cryptodash_build_info[{]process="([^"]+)"', text)) == names


@pytest_twisted.ensureDeferred
async def test_in_calm_nothing_is_refused(world: World, long: bool) -> None:
    if not long:
        pytest.skip("only with --long")
    await world.repair()
    await world.watch()
    before = world.processes[0].proxy.pushed
    await world.until(lambda: world.processes[0].proxy.pushed - before > 2 * MOST_HELD_BACK + 100, 60.0)
    refused = [(await world.metrics(each)).get("refused_total", 0.0) for each in world.processes]
    said = [line for each in world.processes for line in each.all_lines() if "a frame was not taken" in line]
    assert refused == [0.0] * len(refused), said
