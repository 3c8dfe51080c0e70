"""The names that other distributions import, listed once more. Whoever adds or takes away one does it twice, and knows
what it means: a name that goes, or means something else, is a major version."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec import Struct

PUBLIC = {
    "cryptodash.exchanges.adapter": """
    Ack AuditBy BadFrame Bar Best BookRules Chaining Channel Checksum ContractVolumes Control Count Data Depth Endpoint
    Fill FundingIntervals Heartbeat Hosts INTERVALS IVenue Ignored Instrument Kept LeftOut Level Limits LiquidationOrder
    Liquidations MAX_NAME MAX_TIME_MS Mark MarketType Message Name NoSeeds NotListed Number NumberRejected Part Plan
    Poll Pong Purpose Quote Rate RawLevels Reader Readers RestLimits RestRequest Restarting SendingTime Sequenced Side
    SnapshotSource SnapshotsInStream Stats StreamSpec Subscribed SweepRow SweepRows Symbol Time Topic Trades
    UNREADABLE Unwanted UpstreamError VenueWords Wrapped admit amount bad_frame both_sides check_text closed_by_next
    decoder exact fill firewall_refusal in_base kept levels misdirected multiply named nonzero not_served positive
    price quote read_data reading retry_after scale sending_time shape side signed step symbol trimmed unsigned
    """,
    "cryptodash.testing": """
    Answer Authority Bench Body Check Evidence Habits MadeUpVenue ManualClock MemoryNetwork NotConforming
    RecordedFrame Recording Refusal Request checks fault_checks make_catalogue make_instrument plain read read_recording
    recorded_checks
    """,
    "cryptodash.core.events": """
    Bbo BookDelta BookSnapshot BookView Candle Cause Event Gap Level Liquidation Side State StreamStatus Sweep Ticker
    Trade cause_of is_crossed
    """,
}
"""By module. ``core.events`` has no ``__all__``: everything that it defines itself without an underscore is public."""

EVENTS = {
    "Ticker": """
    topic timestamp received last bid ask bid_size ask_size open_24h high_24h low_24h volume_24h quote_volume_24h
    change_24h change_pct_24h mark_price index_price funding_rate funding_interval_h next_funding_time open_interest
    quote_time last_time stats_time figures
    """,
    "Bbo": "topic timestamp received bid bid_size ask ask_size",
    "Trade": "topic timestamp received id price quantity side",
    "Liquidation": "topic timestamp received side price quantity id average_price complete",
    "Candle": "topic timestamp received open high low close volume closed source corrected",
    "BookView": "topic interval timestamp received bids asks rebuilt",
    "Gap": "topic begin end missed",
    "BookSnapshot": "topic timestamp received sequence bids asks complete",
    "BookDelta": "topic timestamp received sequence bids_upserts asks_upserts bids_deletes asks_deletes",
    "Sweep": "topic tickers",
    "StreamStatus": "topic state cause fields since renamed",
}
"""Members of each event, in order."""


def exported(module: ModuleType) -> set[str]:
    """``__all__``, else what the module itself defines."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    body = _tree(module).body
    defined = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return {name for name in defined.union(*map(_targets, body)) if not name.startswith("_")}


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for each in targets if isinstance(each, ast.Name)]


@pytest.mark.parametrize("name", PUBLIC)
def test_exactly_these_names_are_public(name: str) -> None:
    module, listed = import_module(name), set(PUBLIC[name].split())
    found = exported(module)
    assert not listed - found, (
        f"{name} has lost {sorted(listed - found)}: venues of other distributions import it (a major version), or take "
        "it out of this list"
    )
    assert not found - listed, (
        f"{name} has gained {sorted(found - listed)}: is it to be kept for years? Then add it to this list and to "
        "docs/add-an-exchange.md where it is of use to a venue"
    )
    assert [each for each in listed if not hasattr(module, each)] == []


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_has_exactly_these_members(event: str) -> None:
    kind = getattr(import_module("cryptodash.core.events"), event)
    assert list(kind.__struct_fields__) == EVENTS[event].split()


def test_every_event_is_listed() -> None:
    events = import_module("cryptodash.core.events")
    values = {name: getattr(events, name) for name in exported(events)}
    assert {name for name, value in values.items() if _is_struct(value)} == EVENTS.keys()


def _is_struct(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Struct)


def is_documented(module: ModuleType, name: str) -> bool:
    """Whether a public name says what it means: by a docstring of its own, or by the text below its value."""
    value = getattr(module, name)
    return _is_described(module, name) or (_has_own(module, name) and bool(value.__doc__))


def _has_own(module: ModuleType, name: str) -> bool:
    """Whether the value is a class, an interface or a function: a docstring is then its own, not that of its type."""
    value = getattr(module, name)
    return inspect.isclass(value) or inspect.isfunction(value) or type(value).__name__ == "InterfaceClass"


def _is_described(module: ModuleType, name: str) -> bool:
    """Whether text stands below the value where it is defined: in the module, or where that imports it from."""
    body = _tree(module).body
    for node, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.ImportFrom) and any(each.name == name for each in node.names):
            return _is_described(import_module(str(node.module)), name)
        if name in _targets(node):
            return isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
    return False


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_says_what_it_means(module: str) -> None:
    found = import_module(module)
    assert [name for name in sorted(exported(found)) if not is_documented(found, name)] == []
