"""What was measured: values by row and contestant, faults, and who was left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from attrs import asdict, define, field


@define
class Results:
    """``values[row][contestant]`` are the rounds in order."""

    values: dict[str, dict[str, list[float]]] = field(factory=dict)
    faults: list[str] = field(factory=list)
    left_out: dict[str, str] = field(factory=dict)
    quiet: bool = False

    def add(self, row: str, contestant: str, value: float) -> None:
        self.values.setdefault(row, {}).setdefault(contestant, []).append(value)
        self._print(f"{row:32} {contestant:24} {value:16,.3f}")

    def fail(self, row: str, contestant: str, reason: str) -> None:
        """A run whose result cannot be trusted: it has no value."""
        self.faults.append(f"{row}, {contestant}: {reason}")
        self._print(f"{row:32} {contestant:24} FAILED: {reason}")

    def leave_out(self, contestant: str, reason: str) -> None:
        if contestant not in self.left_out:
            self.left_out[contestant] = reason
            self._print(f"left out: {contestant}: {reason}")

    def forget(self, name: str) -> None:
        """A row is measured anew."""
        stem = name.replace("-", "/")
        self.values = {
            row: values for row, values in self.values.items() if row != stem and not row.startswith(f"{stem}/")
        }
        self.faults = [fault for fault in self.faults if not fault.startswith((f"{stem}/", f"{stem},"))]

    def median(self, row: str, contestant: str) -> float | None:
        values = self.values.get(row, {}).get(contestant)
        return median(values) if values else None

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def _print(self, line: str) -> None:
        if not self.quiet:
            sys.stderr.write(line + "\n")
