"""Venues are found by name, imported only when asked for, and refused with one line when they are broken."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from cryptodash.core.errors import ConfigError
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.binance.venue import VENUE as BINANCE

MODULE = """
from cryptodash.exchanges.venues.binance.venue import Binance
class Acme(Binance):
    id = {id!r}
VENUE = Acme()
"""


def announce(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    """Pretend that another distribution announces ``acme_<name>:VENUE``."""
    (folder / f"acme_{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint(name, f"acme_{name}:VENUE", group)])


def refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        registry.load(name)
    return str(caught.value)


def test_own_venues_are_listed_and_other_modules_are_not() -> None:
    assert {"binance", "bybit"} <= set(registry.available())
    assert not {"registry", "recorded", "venues", "streams", "rest"} & set(registry.available())


def test_listing_and_loading_import_only_what_is_asked_for() -> None:
    program = (
        "import sys\n"
        "from cryptodash.exchanges.venues import registry\n"
        "assert registry.available()\n"
        "assert 'cryptodash.exchanges.venues.bybit.venue' not in sys.modules\n"
        "registry.load('bybit')\n"
        "assert 'cryptodash.exchanges.venues.bybit.venue' in sys.modules\n"
        "assert 'cryptodash.exchanges.venues.binance.venue' not in sys.modules\n"
    )
    root = Path(registry.__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)


@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_own_venues_keep_the_interface(name: str) -> None:
    venue = registry.load(name)
    assert verifyObject(IVenue, venue)
    assert venue.id == name
    assert set(venue.hosts) == set(venue.markets) == set(venue.book_rules) == set(venue.alternative)
    assert set(venue.limits) == set(venue.endpoints)
    assert all(key == endpoint.key and endpoint.market in venue.markets for key, endpoint in venue.endpoints.items())


@pytest.mark.parametrize(
    "name", ["nope", "", "../binance", "registry", "recorded", "BINANCE", "binance.venue", "x" * 4000]
)
def test_an_unknown_name_is_refused_with_the_list(name: str) -> None:
    line = refusal(name)
    assert line.startswith("unknown exchange ")
    assert "binance" in line and "bybit" in line and "\n" not in line and len(line) < 300


def test_a_venue_of_another_distribution_is_listed_and_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    announce(monkeypatch, tmp_path, "plugged", MODULE.format(id="plugged"))
    assert "plugged" in registry.available()
    assert registry.load("plugged").id == "plugged"


def test_an_announced_venue_cannot_take_the_place_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    announce(monkeypatch, tmp_path, "binance", "raise RuntimeError('must not be imported')")
    assert registry.load("binance") is BINANCE


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        (
            "missing",
            "import a_module_that_is_not_there",
            "cannot be loaded: ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        ),
        ("raising", "raise RuntimeError('two\\nlines')", "cannot be loaded: RuntimeError: two lines"),
        ("syntax", "def broken(:", "cannot be loaded: SyntaxError"),
        ("hollow", "VENUE = object()", "is not a venue"),
        ("without", "X = 1", "cannot be loaded: AttributeError"),
        ("other", MODULE.format(id="another"), "calls itself 'another'"),
    ],
)
def test_a_broken_venue_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, source: str, said: str
) -> None:
    announce(monkeypatch, tmp_path, name, source)
    line = refusal(name)
    assert said in line and f"exchange {name}" in line and "available: " in line and "\n" not in line
