"""What the requests of one address make the server do beside answering them, in tokens, as on ``/ws``."""

from __future__ import annotations

from math import ceil
from typing import Final

from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.core.config import Limits
from cryptodash.core.errors import TryLater
from cryptodash.core.time import Clock

MOST_ADDRESSES: Final = 10_000


class AddressWork:
    """A budget for each address that was charged lately. Who is forgotten is the one that asked longest ago."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._budgets: dict[str, WorkBudget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, address: str) -> WorkBudget:
        """The budget of an address, for one request that is about to be answered. Raises ``TryLater``
        ``rate_limited`` while it is in debt."""
        budget = self._budgets.pop(address, None)
        if budget is None:
            budget = WorkBudget(self.limits.ops_per_second, self.limits.ops_burst, self._clock)
        self._budgets[address] = budget
        if len(self._budgets) > MOST_ADDRESSES:
            del self._budgets[next(iter(self._budgets))]
        debt = budget.seconds_in_debt()
        if debt:
            raise TryLater("rate_limited", "this address has asked for more history than it may", ceil(debt))
        budget.charge(1)
        return budget
