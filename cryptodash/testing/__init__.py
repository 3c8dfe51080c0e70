"""What ships for tests, of this package and of venues of other distributions: the conformance kit, and doubles of what
a venue, an engine and a network do. What stands in ``__all__`` keeps its name and meaning within a major version;
``tests/exchanges/adapter/test_public_names.py`` guards it."""

from cryptodash.core.time import ManualClock
from cryptodash.testing.authority import Authority
from cryptodash.testing.bench import Bench
from cryptodash.testing.conformance import (
    Answer,
    Body,
    Check,
    Evidence,
    NotConforming,
    RecordedFrame,
    Recording,
    Refusal,
    Request,
    checks,
    fault_checks,
    plain,
    read_recording,
    recorded_checks,
)
from cryptodash.testing.network import MemoryNetwork
from cryptodash.testing.readers import read
from cryptodash.testing.venue import Habits, MadeUpVenue, make_catalogue, make_instrument

__all__ = [
    "Answer",
    "Authority",
    "Bench",
    "Body",
    "Check",
    "Evidence",
    "Habits",
    "MadeUpVenue",
    "ManualClock",
    "MemoryNetwork",
    "NotConforming",
    "RecordedFrame",
    "Recording",
    "Refusal",
    "Request",
    "checks",
    "fault_checks",
    "make_catalogue",
    "make_instrument",
    "plain",
    "read",
    "read_recording",
    "recorded_checks",
]
