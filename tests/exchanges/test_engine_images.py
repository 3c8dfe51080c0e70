"""What a recording is told of the order books of an engine: exactly what came in until then, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from cryptodash.core.checkpoints import BookImage, ICheckpointSource
from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.checkpoint import Checkpoint
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.sockets import Events
from cryptodash.exchanges.transport.tapped import Unread, tapped
from cryptodash.exchanges.venues.bybit.venue import Bybit
from tests.exchanges.test_engine_behind import Line


def frame(number: int, kind: str = "delta", bid: str = "99", size: str = "1.50", time: int = 1) -> bytes:
    data = f'{{"s":"BTCUSDT","b":[["{bid}","{size}"]],"a":[["101","2"]],"u":{number},"seq":{number}}}'
    head = f'"topic":"orderbook.50.BTCUSDT","ts":{time},"type":"{kind}"'
    return f'{{{head},"data":{data},"cts":{time}}}'.encode()


@pytest.fixture
def line() -> Line:
    """An engine with a book in sync."""
    return Line(venue=Bybit()).start(frame(7, "snapshot"), frame(8, bid="98"))


def images(line: Line, unread: Sequence[str] = (), ended: bool = False) -> list[BookImage | None]:
    return [take() for take in Checkpoint(line.engine, unread, lambda: ended).images()]


def test_a_book_in_sync_is_told_with_the_venue_s_digits(line: Line) -> None:
    (image,) = images(line)
    assert image == BookImage(
        MarketType.SPOT,
        "BTCUSDT",
        line.key,
        "orderbook.50.BTCUSDT",
        50,
        8,
        1,
        "99 1.50 98 1.50",
        "101 2",
        bids_end=True,
        asks_end=True,
    )


def test_instruments_are_those_of_which_something_is_wanted(line: Line) -> None:
    source = Checkpoint(line.engine, (), lambda: False)
    assert ICheckpointSource.providedBy(source)
    assert [each.native for each in source.instruments()] == ["BTCUSDT", "ETHUSDT"]


def test_a_book_out_of_sync_is_not_told(line: Line) -> None:
    (take,) = Checkpoint(line.engine, (), lambda: False).images()
    line.one(frame(12))
    assert take() is None and images(line) == []


def test_a_book_that_lacks_something_that_came_is_not_told(line: Line) -> None:
    assert images(line, unread=[line.key]) == [None]
    assert images(line, unread=["another"]) != [None]


def test_a_book_is_not_told_while_a_frame_of_it_is_not_believed(line: Line) -> None:
    """One whose id, or whose time, is from the future waits for a second one."""
    line.one(frame(8 + 10**7))
    assert images(line) == [None]
    line.one(frame(9))
    assert images(line) != [None]
    line.one(frame(10, time=line.clock.wall_ms() + 3_600_000))
    assert images(line) == [None]


def test_a_venue_that_has_ended_knows_nothing(line: Line) -> None:
    source = Checkpoint(line.engine, (), lambda: True)
    assert (list(source.images()), list(source.instruments())) == ([], [])
    ended = False
    (take,) = Checkpoint(line.engine, (), lambda: ended).images()
    ended = True
    assert take() is None


# -- what the tap was told and nobody has dealt with yet


class Tap:
    """Does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


def events(works: list[Callable[[], bool]]) -> Events:
    def nothing(*args: object) -> None:
        pass

    return Events(
        opened=nothing,
        received=nothing,
        behind=lambda connection, frames: works.pop(0),
        heard=nothing,
        may_send=nothing,
        closed=nothing,
    )


def slices(count: int) -> Callable[[], bool]:
    left = iter(range(count - 1, -1, -1))
    return lambda: bool(next(left))


def test_a_connection_is_unread_until_the_work_of_all_its_reads_is_done() -> None:
    unread = Unread()
    told = tapped(events([slices(2), slices(1)]), Tap(), unread)  # type: ignore[arg-type]
    first, second = told.behind("a", [b"1"]), told.behind("a", [b"2"])
    assert "a" in unread and "b" not in unread
    assert first() and not first() and "a" in unread
    assert not second() and "a" not in unread


def test_a_connection_that_has_ended_is_not_unread() -> None:
    unread = Unread()
    told = tapped(events([slices(3), slices(1)]), Tap(), unread)  # type: ignore[arg-type]
    work = told.behind("a", [b"1"])
    told.closed("a", Closed("remote"))
    assert "a" not in unread and work() and work() and not work() and "a" not in unread


def test_work_that_fails_ends_the_connection_and_no_other() -> None:
    def fails() -> bool:
        raise BadFrame("json")

    unread = Unread()
    told = tapped(events([fails]), Tap(), unread)  # type: ignore[arg-type]
    with pytest.raises(BadFrame):
        told.behind("a", [b"1"])()
    assert "a" in unread  # it is aborted for that
    told.closed("a", Closed("local"))
    assert "a" not in unread
