"""The list of checks for one venue: each by itself, with a name that says what failed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cryptodash.testing.conformance import interface, plans, tables
from cryptodash.testing.conformance.bodies import check_body, check_mutated_body
from cryptodash.testing.conformance.check import Check
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.mutations import check_mutated_frames
from cryptodash.testing.conformance.odd_elements import check_odd_elements, check_odd_rows, has_elements
from cryptodash.testing.conformance.other_instruments import check_other_instruments
from cryptodash.testing.conformance.recordings import check_events, check_frames

GENERAL: dict[str, Callable[[Evidence], None]] = {
    "interface": interface.check_interface,
    "data": interface.check_data,
    "endpoints and limits": interface.check_endpoints,
    "routing": interface.check_routing,
    "budgets": interface.check_budgets,
    "catalogue and probe": interface.check_catalogue_requests,
    "snapshot requests": interface.check_snapshot_requests,
    "candle requests": interface.check_candle_requests,
    "polls": interface.check_polls,
    "plans": plans.check_plans,
    "book tiers": plans.check_tiers,
    "every request": tables.check_every_request,
    "http answers": tables.check_http_answers,
}
"""Those that need no more than the venue and its instruments."""


def checks(evidence: Evidence) -> list[Check]:
    """Everything that can be checked with this evidence: ``@pytest.mark.parametrize("check", checks(...), ids=str)``
    over ``def test_conformance(check): check()``."""
    found = [Check(name, partial(check, evidence)) for name, check in GENERAL.items()]
    found.append(Check("instruments", partial(interface.check_instruments, evidence.instruments, evidence)))
    for number, request in enumerate(evidence.requests):
        found.append(Check(f"request {number}", partial(tables.check_request, evidence, request)))
    for number, answer in enumerate(evidence.answers):
        found.append(Check(f"answer {number}", partial(tables.check_answer, evidence, answer)))
    for number, refusal in enumerate(evidence.refusals):
        found.append(Check(f"http answer {number}", partial(tables.check_refusal, evidence, refusal)))
    return found + recorded_checks(evidence)


def recorded_checks(evidence: Evidence) -> list[Check]:
    """Only those of recordings and bodies: for a module of its own that is skipped where the recordings are not
    there."""
    found = []
    for recording in evidence.recordings:
        found.append(Check(f"frames of {recording.name}", partial(check_frames, evidence, recording)))
        if recording.topics:
            found.append(Check(f"events of {recording.name}", partial(check_events, evidence, recording)))
        found.append(Check(f"mutants of {recording.name}", partial(check_mutated_frames, evidence, recording)))
        name = f"other instruments in {recording.name}"
        found.append(Check(name, partial(check_other_instruments, evidence, recording)))
        found.append(Check(f"odd rows of {recording.name}", partial(check_odd_rows, evidence, recording)))
    for number, body in enumerate(evidence.bodies):
        name = f"{body.request.purpose.value} {number}"
        found.append(Check(f"body {name}", partial(check_body, evidence, body)))
        found.append(Check(f"mutants of body {name}", partial(check_mutated_body, evidence, body)))
        if has_elements(body):
            found.append(Check(f"odd elements of body {name}", partial(check_odd_elements, evidence, body)))
    return found
