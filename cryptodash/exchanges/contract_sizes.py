"""Whether the listed sizes of contracts are right. One wrong size makes every quantity of an instrument wrong, and no
sequence, checksum or comparison of books shows it: all of them are in contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import ratio, trimmed
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes

TOLERANCE = Decimal("0.01")
"""How far the two volumes may be apart: they are rounded, and not taken at the same instant."""
LEAST_DIGITS = 3
"""Of each volume; fewer prove nothing."""
FEW = 4
"""Fewer instruments whose sizes could be compared say nothing about the volumes themselves."""
_PLACES = 8


class ContractSizes:
    """Compares the contracts of instruments with what their volumes prove."""

    def __init__(self, volumes: Iterable[ContractVolumes]) -> None:
        self._volumes = {each.native: each for each in volumes}

    def wrong(self, instruments: Iterable[Instrument]) -> Mapping[str, str] | None:
        """Those whose contract cannot be of its size, by native name, and why. None where that is more than half of
        them: a venue does not list most of its contracts wrong, so the volumes mean something else than they did."""
        compared, found = 0, {}
        for each in instruments:
            compared += self._proof(each) is not None
            reason = self.contradict(each)
            if reason:
                found[each.native] = reason
        return None if compared >= FEW and 2 * len(found) > compared else found

    def contradict(self, instrument: Instrument) -> str:
        """Why the instrument's contract cannot be of the size that it is listed with; empty where nothing speaks
        against it."""
        size, proof = instrument.contract_size, self._proof(instrument)
        if size is None or proof is None:
            return ""
        contracts, base = proof
        listed = contracts * Decimal(size)
        if abs(listed - base) <= TOLERANCE * max(listed, base):
            return ""
        proven = ratio(base, contracts, 1, _PLACES)
        by_volume = "nothing" if proven is None else trimmed(proven)
        return f"a contract is {size} in the catalogue and {by_volume} by the traded volume"

    def _proof(self, instrument: Instrument) -> tuple[Decimal, Decimal] | None:
        """Its volumes in contracts and in base, where they prove something."""
        volumes = self._volumes.get(instrument.native)
        if instrument.contract_size is None or volumes is None:
            return None
        contracts, base = Decimal(volumes.contracts), Decimal(volumes.base)
        if any(len(each.as_tuple().digits) < LEAST_DIGITS for each in (contracts, base)):
            return None
        return contracts, base
