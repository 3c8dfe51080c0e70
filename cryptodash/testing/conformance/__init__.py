"""The conformance kit: what a venue's author runs over his own venue, from his own package, with plain pytest.

    EVIDENCE = Evidence(VENUE, instruments=[...], recordings=[...], requests=[...], answers=[...])

    @pytest.mark.parametrize("check", checks(EVIDENCE), ids=str)
    def test_conformance(check):
        check()

docs/add-an-exchange.md walks through it with an example.
"""

from cryptodash.testing.conformance.check import Check
from cryptodash.testing.conformance.checks import checks, recorded_checks
from cryptodash.testing.conformance.evidence import (
    Answer,
    Body,
    Evidence,
    RecordedFrame,
    Recording,
    Refusal,
    Request,
    read_recording,
)
from cryptodash.testing.conformance.failure import NotConforming
from cryptodash.testing.conformance.faults import fault_checks
from cryptodash.testing.conformance.plain import plain

__all__ = [
    "Answer",
    "Body",
    "Check",
    "Evidence",
    "NotConforming",
    "RecordedFrame",
    "Recording",
    "Refusal",
    "Request",
    "checks",
    "fault_checks",
    "plain",
    "read_recording",
    "recorded_checks",
]
