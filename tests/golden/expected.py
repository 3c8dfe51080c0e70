"""What every run gave when it was last written, and how a run of today differs from it.

Of what was received only counts and hashes are kept: the recordings are not part of the project, nor is any text made
of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.golden.captures import Capture
from tests.golden.run import Run

FILE = Path(__file__).with_name("expected.json")


def result(run: Run) -> dict[str, Any]:
    """A run that has been played, as it is kept."""
    return {"frames": run.frames, "channels": run.transcript.digest()}


def played(capture: Capture, folder: Path) -> dict[str, Any]:
    """Play a capture and say what came of it."""
    run = Run(capture, folder)
    run.play()
    return result(run)


def load() -> dict[str, Any]:
    """All results by the capture's name."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def write(results: Mapping[str, Any]) -> None:
    """All results, in the order of their names, a line for each channel."""
    FILE.write_text(_object({name: _one(results[name]) for name in sorted(results)}, "") + "\n", encoding="utf-8")


def _one(found: Mapping[str, Any]) -> str:
    channels = {name: json.dumps(channel) for name, channel in found["channels"].items()}
    return _object({"frames": str(found["frames"]), "channels": _object(channels, "  ")}, " ")


def _object(members: Mapping[str, str], margin: str) -> str:
    """A JSON object of members that are JSON already, each on a line of its own."""
    lines = ",\n".join(f"{margin} {json.dumps(name)}: {member}" for name, member in members.items())
    return f"{{\n{lines}\n{margin}}}"


def differences(capture: Capture, expected: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each channel that is not as it was, and how to look at it; empty where nothing has changed."""
    found = [] if expected["frames"] == now["frames"] else [f"{now['frames']} frames, expected {expected['frames']}"]
    before, after = expected["channels"], now["channels"]
    for channel in sorted(before.keys() | after.keys()):
        if channel not in after:
            found.append(f"{channel}: nothing came")
        elif channel not in before:
            found.append(f"{channel}: was not there before")
        elif before[channel]["messages"] != after[channel]["messages"]:
            found.append(f"{channel}: {after[channel]['messages']}, expected {before[channel]['messages']}")
        elif before[channel] != after[channel]:
            found.append(f"{channel}: as many messages as expected, but not the same")
    if found:
        found.insert(0, f"{capture.name} is not what it was:")
        found.append(f"run `python -m tests.golden --dump DIR {capture.name}` here and before the change, then diff -r")
    return found
