"""Every simulated venue is well, and the doctor has looked at all of it."""

from __future__ import annotations

import pytest

from cryptodash.doctor.choice import MIDDLE, MOST_TRADED, QUIET
from cryptodash.doctor.findings import Severity
from cryptodash.doctor.table import as_json, as_text, report_of
from cryptodash.simulator.dialects import registry
from tests.doctor.stage import Stage


@pytest.mark.parametrize("exchange", registry.available())
def test_a_healthy_venue_is_well(exchange: str) -> None:
    stage = Stage(exchange)
    report = report_of(stage.examine())
    assert [each for each in report.findings if each.severity is Severity.WRONG] == []
    assert stage.simulator.ledger.violations == []
    for market in report.facts.markets:
        assert {each.role for each in market.chosen} == {MOST_TRADED, MIDDLE, QUIET}
        assert len({each.native for each in market.chosen}) == 3 and all(each.turnover for each in market.chosen)
        assert {"catalogue", "probe", "candles"} <= {each.purpose for each in market.requests if each.answered}
        probe = market.request("probe")
        assert probe is not None and probe.first_ms is not None
        assert probe.first_ms < 1000, "the wait for room in our own budget is not the venue's"
        assert all(each.first_frame_ms is not None and each.frames for each in market.connections)
        liquidation = {"liquidation"} if market.market == "perpetual" else set()
        channels = {"ticker", "bbo", "trade", "order_book", "candle"} | liquidation
        assert {each.channel for each in market.topics} == channels and market.not_served == ()
        assert len(market.topics) == 3 * len(channels)
        busy = [each for each in market.topics if each.role == MOST_TRADED and each.channel != "candle"]
        assert all(each.values and each.last is not None and each.last.text == "live" for each in busy), busy
        assert market.delay is not None and market.delay.p99_ms < 1000
        if market.checksums.has:
            assert market.checksums.compared > 100 and market.checksums.wrong == 0
    text = as_text([report])
    assert "all is well" in text and as_json([report])["wrong"] is False
    stage.stop()
    assert [
        each for each in stage.network.getDelayedCalls() if "cryptodash" in getattr(each.func, "__module__", "")
    ] == []
