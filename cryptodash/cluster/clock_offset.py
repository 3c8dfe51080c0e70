"""Another process's monotonic clock in terms of ours: no wall clock crosses.

What comes shows that its clock stood at ``sent`` no later than ours at ``received``. The least difference of the last
minute is of the message that was quickest; by how much another exceeds it is how long that was under way at least. How
long the quickest one was itself no message tells, but it was no longer than the quickest echo: what we sent and the
other process sent back.
"""

from __future__ import annotations

from typing import Final

SLOT_S: Final = 10.0
SLOTS: Final = 6


class _Least:
    """The least of what came in the last minute."""

    def __init__(self) -> None:
        self._slots: dict[int, float] = {}
        self.value: float | None = None

    def took(self, value: float, now: float) -> float:
        slot = int(now // SLOT_S)
        known = self._slots.get(slot)
        if known is None or value < known:
            self._slots[slot] = value
            self.forget(now)
            self.value = min(self._slots.values())
        assert self.value is not None
        return self.value

    def forget(self, now: float) -> None:
        """What is older than a minute counts no more."""
        old = [each for each in self._slots if each <= now // SLOT_S - SLOTS]
        for each in old:
            del self._slots[each]
        if old:
            self.value = min(self._slots.values(), default=None)


class ClockOffset:
    """Seconds, as of both clocks."""

    def __init__(self) -> None:
        self._difference = _Least()
        self._echo = _Least()

    def took(self, sent: float, received: float) -> float:
        """A message has come; returns by how much longer than the quickest it was under way."""
        difference = received - sent
        self._echo.forget(received)  # with the message that brought it: else it would stand beside slower ones
        return difference - self._difference.took(difference, received)

    def echoed(self, sent: float, held: float, received: float) -> None:
        """What we sent then has come back, after the other process had kept it for a while."""
        self._echo.took(max(0.0, received - sent - held), received)

    @property
    def is_known(self) -> bool:
        """Whether anything can be said: a message has come, and an echo."""
        return self._difference.value is not None and self._echo.value is not None

    def ours(self, theirs: float) -> float:
        """What our clock showed when theirs showed that, or up to the quickest echo earlier: nothing is taken for
        younger than it is."""
        assert self._difference.value is not None and self._echo.value is not None, "nothing has come yet"
        return theirs + self._difference.value - self._echo.value
