"""What one client may do, until when, and when it is told: no timer and no socket."""

from __future__ import annotations

import enum
from typing import Final

from cryptodash.api.access.access import Access
from cryptodash.api.access.grant import EVERYTHING, Grant
from cryptodash.core.time import Clock

WAIT_S: Final = 5.0
"""Seconds that a client has for its first token."""
WARN_S: Final = 60.0
"""Seconds before the end of a token at which its client is told."""
LOOK_S: Final = 300.0
"""Seconds after which the wall clock is looked at again at the latest: it may have been set."""


class Due(enum.Enum):
    """What has to be done."""

    NOTHING = "nothing"
    LATE = "no token came in time"
    WARN = "the token is about to end"
    END = "the token has ended"


class Authentication:
    """``grant`` is None until a good token has come. ``address`` is whom a wrong one is counted for."""

    def __init__(self, access: Access | None, address: str, clock: Clock, grant: Grant | None) -> None:
        self.grant = grant
        self._access = access
        self._address = address
        self._clock = clock
        self._began = clock.monotonic()
        self._warned = False

    @classmethod
    def none_needed(cls, clock: Clock) -> Authentication:
        """Of a client that may do everything."""
        return cls(None, "", clock, EVERYTHING)

    @property
    def is_on(self) -> bool:
        """Whether there are rules of access."""
        return self._access is not None and self._access.is_on

    def present(self, token: str) -> Grant:
        """The client shows a token: what it allows, from now on. Raises ``Refused``, and all stays as it was."""
        grant = EVERYTHING if self._access is None else self._access.check(token, self._address)
        self.hold(grant)
        return grant

    def hold(self, grant: Grant) -> None:
        """This is what the client may do from now on."""
        self.grant = grant
        self._warned = False

    def refused(self, reason: str) -> None:
        """Count that something was refused."""
        if self._access is not None:
            self._access.count(reason)

    def due(self) -> tuple[float, Due]:
        """In how many seconds what is to be done next. ``NOTHING``: look again then; after a ``WARN`` at once."""
        if self.grant is None:
            return max(0.0, self._began + WAIT_S - self._clock.monotonic()), Due.LATE
        if self.grant.until_ms is None:
            return LOOK_S, Due.NOTHING
        left = (self.grant.until_ms - self._clock.wall_ms()) / 1000
        if left <= 0:
            return 0.0, Due.END
        if not self._warned and left <= WARN_S:
            self._warned = True
            return 0.0, Due.WARN
        return min(LOOK_S, left if self._warned else left - WARN_S), Due.NOTHING
