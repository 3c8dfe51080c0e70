"""Dialects are found by name, imported only when asked for, refused with one line when they are broken; and one of
another distribution gets the faults without a word about them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from zope.interface.verify import verifyObject

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType
from cryptodash.core.time import ManualClock
from cryptodash.simulator.dialect import IDialect, IRecordingReader
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.dialects.binance.dialect import DIALECT as BINANCE
from cryptodash.simulator.fault_runner import UnknownFault
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.server import Simulator

MODULE = """
from attrs import evolve
from cryptodash.simulator.dialects.bybit.dialect import BybitDialect
class Other(BybitDialect):
    exchange = {name!r}
    hosts = [evolve(each, name={host!r}) for each in BybitDialect.hosts]
    {more}
DIALECT = Other()
"""


def announce(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    """Pretend that another distribution announces ``other_<name>:DIALECT``."""
    (folder / f"other_{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint(name, f"other_{name}:DIALECT", group)])


def refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        registry.load(name)
    return str(caught.value)


def test_listing_and_loading_import_only_what_is_asked_for() -> None:
    program = (
        "import sys\n"
        "from cryptodash.simulator.dialects import registry\n"
        "assert {'binance', 'bybit'} <= set(registry.available())\n"
        "assert 'cryptodash.simulator.dialects.bybit.dialect' not in sys.modules\n"
        "registry.load('bybit')\n"
        "assert 'cryptodash.simulator.dialects.bybit.dialect' in sys.modules\n"
        "assert 'cryptodash.simulator.dialects.binance.dialect' not in sys.modules\n"
    )
    root = Path(registry.__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)


@pytest.mark.parametrize("name", registry.available())
def test_own_dialects_keep_the_interface(name: str) -> None:
    dialect = registry.load(name)
    assert verifyObject(IDialect, dialect)
    assert dialect.recordings is not None and verifyObject(IRecordingReader, dialect.recordings)
    for market, spec in dialect.markets.items():
        assert {(each.exchange, each.market) for each in spec.instruments} == {(name, market)}


@pytest.mark.parametrize("name", ["nope", "", "../binance", "registry", "BINANCE", "binance.dialect", "x" * 4000])
def test_an_unknown_name_is_refused_with_the_list(name: str) -> None:
    line = refusal(name)
    assert "has no simulator; available: binance, bybit" in line and "\n" not in line and len(line) < 300


def test_a_dialect_of_another_distribution_is_listed_and_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    announce(monkeypatch, tmp_path, "plugged", MODULE.format(name="plugged", host="plugged", more=""))
    assert "plugged" in registry.available()
    assert registry.load("plugged").exchange == "plugged"


def test_an_announced_dialect_cannot_take_the_place_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    announce(monkeypatch, tmp_path, "binance", "raise RuntimeError('must not be imported')")
    assert registry.load("binance") is BINANCE


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("raising", "raise RuntimeError('two\\nlines')", "cannot be loaded: RuntimeError: two lines"),
        ("hollow", "DIALECT = object()", "is not a dialect"),
        ("without", "X = 1", "cannot be loaded: AttributeError"),
        ("other", MODULE.format(name="another", host="x", more=""), "calls itself 'another'"),
        ("hosted", MODULE.format(name="hosted", host="bybit", more=""), "hosts that are not called hosted"),
        ("bare", MODULE.format(name="bare", host="bare", more="markets = {}"), "lists the markets"),
        ("odd", MODULE.format(name="odd", host="odd", more="faults = ['flood']"), "faults that there are not: flood"),
        ("mute", MODULE.format(name="mute", host="mute", more="recordings = object()"), "is not a dialect"),
    ],
)
def test_a_broken_dialect_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, source: str, said: str
) -> None:
    announce(monkeypatch, tmp_path, name, source)
    line = refusal(name)
    assert said in line and f"the simulator of {name}" in line and "available: " in line and "\n" not in line


# -- what a stranger's dialect gets for free


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch, make_world: Any) -> Iterator[Any]:
    """A simulator of the made-up venue alone."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("acme", "acme:DIALECT", group)])
    made = make_world(exchanges=["acme"])
    yield made
    made.simulator.stopService()


def test_ports_are_given_spot_before_perpetual_in_the_order_of_the_exchanges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("acme", "acme:DIALECT", group)])
    simulator = Simulator(MemoryReactorClock(), ManualClock(), exchanges=["bybit", "acme", "binance", "bybit"])
    assert list(simulator.hosts) == ["bybit", "acme-spot", "acme-perpetual", "binance-spot", "binance-perpetual"]
    assert [name for name, host in simulator.hosts.items() if len(host.markets) == 2] == ["bybit"]


def test_a_made_up_venue_streams(acme: Any) -> None:
    wire = acme.connect("acme-spot", "/feed")
    wire.say({"want": "BTC_USDT"})
    acme.run(10)
    frames = wire.take()
    assert {"ok": True} in frames
    assert {frame["of"] for frame in frames if "of" in frame} == {"BTC_USDT"}
    assert acme.json("acme-perpetual", "/list") == ["BTC_USDT", "ETH_USDT"]


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_faults_of_a_made_up_venue(acme: Any, name: str) -> None:
    wire = acme.connect("acme-spot", "/feed")
    wire.say({"want": "BTC_USDT"})
    acme.run(3)
    wire.frames.clear()
    symbol = "btc-usdt" if FAULTS[name].per_symbol and name != "slow" else None
    symbol = "NEW-USDT" if name == "list" else symbol
    if name in ("old-snapshot", "crossed", "delist", "future-id", "future-time"):
        with pytest.raises(UnknownFault, match=f"the simulated acme does not do {name}; it does: drop, half-open"):
            acme.simulator.faults.start("acme", name, symbol)
        return
    acme.simulator.faults.start(
        "acme", name, symbol, 20, step=7.0 if name == "clock" else None, to="NEW" if name == "rename" else None
    )
    acme.run(12)
    seen = {
        "drop": lambda: wire.ended == (1006, "aborted"),
        "half-open": lambda: not wire.frames and wire.ended is None,
        "silent": lambda: not wire.frames,
        "list": lambda: "NEW_USDT" in acme.json("acme-spot", "/list"),
        "rename": lambda: not wire.frames and acme.json("acme-spot", "/list")[0] == "NEW_USDT",
        "silent-venue": lambda: not wire.frames,
        "skip": lambda: len(wire.frames) > 10,  # there is no book to lose a frame of
        "duplicate": lambda: wire.frames[::2] == wire.frames[1::2],
        "wrong-size": lambda: len(wire.frames) > 10,  # nor one to make wrong
        "wrong-contract": lambda: len(wire.frames) > 10,  # nor a contract
        "reorder": lambda: [each["fill"] for each in wire.take()][:2] == _ids(acme)[1::-1],
        "garbage": lambda: "[1,2,3]" in wire.frames,
        "429": lambda: _status(acme) == 429,
        "418": lambda: _status(acme) == 418,
        "slow": lambda: acme.simulator.hosts["acme-spot"].rest_delay("/list", {}) == 5.0,
        "clock": lambda: len(wire.frames) > 10 and _offset(acme) == 7_000,
        "maintenance": lambda: _status(acme) == 503 and wire.ended == (1012, "service restart"),
        "cut24h": lambda: wire.ended == (1001, "going away"),
        "451": lambda: _status(acme) == acme.simulator.hosts["acme-spot"].refuse("/feed").status == 451,
    }
    assert seen[name]()
    acme.simulator.faults.stop()
    assert _status(acme) == 200


@pytest.mark.parametrize("step", [7.0, -7.0])
def test_a_strangers_frames_are_in_the_time_of_a_stepped_clock(
    acme: Any, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """Those of his own ``now`` and those of a trade: he has written nothing for it."""
    monkeypatch.setattr(
        "acme.Fills.frames",
        lambda self, now: [f'{{"at":{now},"traded":{fill.time}}}' for fill in self._instrument.changes.trades],
    )
    wire = acme.connect("acme-spot", "/feed")
    wire.say({"want": "BTC_USDT"})
    for offset in (0, round(step * 1000), 0):
        if offset:
            acme.simulator.faults.start("acme", "clock", step=step, seconds=5)
        acme.run(4.9)
        frames = [frame for frame in wire.take() if "at" in frame]
        now = acme.clock.wall_ms() + offset
        assert len(frames) > 5 and all(now - 4_900 <= each["at"] <= now for each in frames)
        assert all(each["at"] - 100 < each["traded"] <= each["at"] for each in frames)
        acme.run(0.1)
        wire.take()


def _offset(acme: Any) -> int:
    """By how many ms the host's clock is off."""
    return int(acme.simulator.hosts["acme-spot"].clock.wall_ms()) - int(acme.clock.wall_ms())


def _status(acme: Any) -> int:
    return int(acme.get("acme-spot", "/list").status)


def _ids(acme: Any) -> list[int]:
    """The ids of the last twelve seconds' fills."""
    instrument = acme.simulator.markets["acme", MarketType.SPOT].get("BTC_USDT")
    return [fill.id for fill in instrument.trades if fill.time > acme.clock.wall_ms() - 12_000]


@pytest.mark.parametrize("silence", ["silent", "silent-venue", None])
def test_a_subscriber_gets_what_its_stream_opens_with_once_and_after_a_silence(
    acme: Any, monkeypatch: pytest.MonkeyPatch, silence: str | None
) -> None:
    monkeypatch.setattr("acme.Fills.opening", lambda self, now: (f'{{"opened":{now}}}',))
    wire, start = acme.connect("acme-spot", "/feed"), acme.clock.wall_ms()
    if silence is not None:
        acme.simulator.faults.start("acme", silence, "BTC_USDT" if silence == "silent" else None, 5)
    wire.say({"want": "BTC_USDT"})
    acme.run(6)
    opened = [frame["opened"] - start for frame in wire.take() if "opened" in frame]
    assert len(opened) == 1
    assert 4_900 <= opened[0] <= 5_100 if silence is not None else opened[0] == 0
