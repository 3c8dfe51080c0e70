"""The last numbers that were seen of a venue's count, as few runs as they make: a bitmap's memory without its base."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict

KNOWN_IDS = 10_000
"""Ids remembered of one topic."""
_SPARE = 1_000
"""So many more are kept before the oldest are forgotten together."""


class KnownNumbers:
    """A set of at least the last ``most`` numbers added. Numbers that follow each other, which is the rule, take the
    room of two; in the worst case (none follows another) a number takes about 200 bytes."""

    def __init__(self, most: int = KNOWN_IDS) -> None:
        self._most = most
        # The run that grows: [first, next).
        self._first = self.next = 0
        """``next`` goes on from the number added last. While it is below ``limit``, a caller may add it by counting it
        up: there is nothing else to be done."""
        self.limit = 0
        self._runs: OrderedDict[int, int] = OrderedDict()
        """The other runs, first to end, the oldest at the front."""
        self._firsts: list[int] = []
        """Their firsts, sorted."""
        self._others = 0
        """How many numbers the others hold."""

    def __len__(self) -> int:
        return self._others + self.next - self._first

    def __contains__(self, number: int) -> bool:
        return self._first <= number < self.next or self._has(number)

    def add(self, number: int, count: int = 1) -> bool:
        """Remember it; False where it is remembered already. It stands for ``count`` numbers, of which it is the last:
        the others are remembered with it, as far as they can be and none of them was."""
        if number in self:
            return False
        first = number - count + 1
        self._begin(number if count > self._most or self._overlaps(first, number) else first, number + 1)
        return True

    def between(self, first: int, end: int) -> int:
        """How many numbers of ``first`` up to (without) ``end`` are remembered."""
        runs = ((self._first, self.next), *self._runs.items())
        return sum(max(0, min(end, until) - max(first, begin)) for begin, until in runs)

    def _has(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number < self._runs[self._firsts[at]]

    def _overlaps(self, first: int, end: int) -> bool:
        """Whether a number of ``first`` up to (without) ``end`` is remembered."""
        if self._first < self.next and self._first < end and first < self.next:
            return True
        at = bisect_left(self._firsts, end) - 1
        return at >= 0 and first < self._runs[self._firsts[at]]

    def _begin(self, first: int, end: int) -> None:
        """Add the numbers of ``first`` up to (without) ``end``, of which none is remembered: they become part of the
        run that grows, that of their neighbours or a new one."""
        if self.next > self._first:
            if self.next == first:
                first = self._first
            elif self._first == end:
                end = self.next
            else:
                self._put_aside(self._first, self.next)
        at = bisect_right(self._firsts, first) - 1
        if at >= 0 and self._runs[self._firsts[at]] == first:
            first = self._take_back(at)[0]
        at = bisect_right(self._firsts, end) - 1
        if at >= 0 and self._firsts[at] == end:
            end = self._take_back(at)[1]
        self._first, self.next = first, end
        if len(self) >= self._most + _SPARE:
            self._forget(len(self) - self._most)
        self.limit = 0 if self._runs else self._first + self._most + _SPARE

    def _put_aside(self, first: int, end: int) -> None:
        self._runs[first] = end
        self._firsts.insert(bisect_right(self._firsts, first), first)
        self._others += end - first

    def _take_back(self, at: int) -> tuple[int, int]:
        first = self._firsts.pop(at)
        end = self._runs.pop(first)
        self._others -= end - first
        return first, end

    def _forget(self, numbers: int) -> None:
        """The oldest runs lose their lowest numbers."""
        while numbers > 0 and self._runs:
            first = next(iter(self._runs))
            taken = min(numbers, self._runs[first] - first)
            _, end = self._take_back(bisect_right(self._firsts, first) - 1)
            if first + taken < end:
                self._put_aside(first + taken, end)
                self._runs.move_to_end(first + taken, last=False)
            numbers -= taken
        self._first += numbers
