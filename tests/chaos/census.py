"""What the server holds in memory, counted each minute of a run: objects of its own, by the garbage collector. What the
run itself writes down, and what the simulated venues hold, is not among them."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

OF_OTHERS = ("cryptodash.simulator", "cryptodash.testing")
MOST_GROWTH = 0.05
FEW = 300
"""Objects by which the count may differ whatever it is: frames on their way, records of what was asked."""


def resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def objects() -> Counter[str]:
    """How many there are of each module of the server."""
    gc.collect()
    names = (str(type(each).__module__) for each in gc.get_objects())
    return Counter(name for name in names if name.startswith("cryptodash.") and not name.startswith(OF_OTHERS))


class Census:
    """One count a minute."""

    def __init__(self) -> None:
        self._counts: list[tuple[float, int, Counter[str], Mapping[str, int], int]] = []

    def take(self, at: float, held: Mapping[str, int]) -> None:
        """``held``: what the run counts anyway."""
        found = objects()
        self._counts.append((at, found.total(), found, held, resident_bytes()))

    def grown(self) -> list[str]:
        """What the last third of the run holds more of than the middle: nothing, where memory is flat."""
        third = len(self._counts) // 3
        if not third:
            return []
        middle, last = self._counts[third:-third], self._counts[-third:]
        before, after = (max(total for _, total, *_ in part) for part in (middle, last))
        found = [f"memory: {after} objects in the last third, {before} in the second"] if _more(before, after) else []
        for name in self._counts[0][3]:
            before, after = (max(held[name] for *_, held, _ in part) for part in (middle, last))
            if _more(before, after):
                found.append(f"memory: {name}: {after} in the last third, {before} in the second")
        return found

    def report(self) -> Iterator[str]:
        for at, total, _, held, resident in self._counts:
            figures = " ".join(f"{name} {held[name]}" for name in ("topics", "cached", "streams", "calls", "queued"))
            yield f"{at:6.1f} s: {total} objects of the server, {figures}; resident {resident >> 20} MB"
        if len(self._counts) > 1:
            moved = {name: count - self._counts[1][2][name] for name, count in self._counts[-1][2].items()}
            most = sorted(moved.items(), key=lambda each: -abs(each[1]))[:4]
            yield "since the second minute: " + ", ".join(f"{name} {count:+d}" for name, count in most)


def _more(before: int, after: int) -> bool:
    return after > before * (1 + MOST_GROWTH) + FEW
