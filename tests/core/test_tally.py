from __future__ import annotations

import pytest

from cryptodash.core.tally import Tally


def test_counters_and_histograms_are_one_per_name() -> None:
    tally = Tally()
    counter = tally.counter("x_total", "what", "exchange")
    counter.add("binance")
    counter.add("binance", by=2)
    assert tally.counter("x_total", "what", "exchange").values == {("binance",): 3}
    with pytest.raises(AssertionError):
        tally.counter("x_total", "what", "other")


def test_buckets_count_at_their_upper_bounds() -> None:
    series = Tally().histogram("h", "what", (0.1, 1.0), "kind").at("a")
    for value in (0.05, 0.1, 0.5, 2.0):
        series.observe(value)
    assert series.counts == [2, 1, 1]
    assert series.sum == pytest.approx(2.65)


def test_a_series_can_be_shown_before_its_first_count() -> None:
    counter = Tally().counter("x_total", "what", "exchange")
    counter.begin("binance")
    assert counter.values == {("binance",): 0}
    counter.add("binance")
    counter.begin("binance")
    assert counter.values == {("binance",): 1}
