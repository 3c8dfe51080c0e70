"""What a new subscriber of a sweep gets of an instrument that has not been told for long."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cryptodash.core.events import Sweep
from cryptodash.core.instruments import ANY
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel
from tests.hub.conftest import World


@pytest.mark.xfail(strict=True, reason="the hub keeps the quote as it was last told, and nobody tells that it is old")
def test_a_sweeps_known_tickers_have_no_quote_older_than_five_seconds(world: World) -> None:
    sweep = world.topic(Channel.TICKER, symbol=ANY)
    world.hub.hold(sweep, 0)
    world.hub.publish(Sweep(sweep, [replace(world.ticker("1"), bid=admit("1"), ask=admit("2"))]))
    world.advance(3600)
    (message,) = world.hub.current(sweep, 0)
    assert "bid" not in world.payload(message)
