"""Whether the listed sizes of contracts are right. One wrong size makes every quantity of an instrument wrong, and no
sequence, checksum or comparison of books shows it: all of them are in contracts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import ratio, trimmed
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes

TOLERANCE = Decimal("0.01")
"""How far the two volumes may be apart: they are rounded, and not taken at the same instant."""
LEAST_DIGITS = 3
"""Of each volume; fewer prove nothing."""
_PLACES = 8


class ContractSizes:
    """Compares the contracts of instruments with what their volumes prove."""

    def __init__(self, volumes: Iterable[ContractVolumes]) -> None:
        self._volumes = {each.native: each for each in volumes}

    def contradict(self, instrument: Instrument) -> str:
        """Why the instrument's contract cannot be of the size that it is listed with; empty where nothing speaks
        against it."""
        size, volumes = instrument.contract_size, self._volumes.get(instrument.native)
        if size is None or volumes is None:
            return ""
        contracts, base = Decimal(volumes.contracts), Decimal(volumes.base)
        if any(len(each.as_tuple().digits) < LEAST_DIGITS for each in (contracts, base)):
            return ""
        listed = contracts * Decimal(size)
        if abs(listed - base) <= TOLERANCE * max(listed, base):
            return ""
        proven = ratio(base, contracts, 1, _PLACES)
        by_volume = "nothing" if proven is None else trimmed(proven)
        return f"a contract is {size} in the catalogue and {by_volume} by the traded volume"
