"""When to ask again, counted in occasions and not in seconds: the builders have no clock."""

from __future__ import annotations

LONGEST = 7
"""The pause doubles until it is 2 to this power of occasions (looks come twice a second: about a minute)."""


class Backoff:
    """The first occasion is due at once, the next after 2, 4, 8, ... further ones."""

    def __init__(self) -> None:
        self.tries = 0
        self._left = 0

    def is_due(self) -> bool:
        """Take one occasion (a frame, a look at the clock); whether to try on it."""
        self._left -= 1
        if self._left > 0:
            return False
        self.tries += 1
        self._left = 2 ** min(self.tries, LONGEST)
        return True

    def reset(self) -> None:
        """It has worked: the next occasion is due at once."""
        self.tries = self._left = 0
