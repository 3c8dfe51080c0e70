"""How often an address may present a token that is none: rationed by address, bounded over all of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from attrs import define

from cryptodash.core.time import Clock

BURST: Final = 20
"""So many wrong tokens at once, from one address."""
EVERY_S: Final = 6.0
"""And then one in so many seconds."""
MOST: Final = 10_000
"""Addresses that are remembered. The one whose last failure is longest ago gives way."""
MOST_GOOD: Final = 4_096
"""Good tokens that are remembered with the address they came from."""


@define
class _Address:
    tokens: float
    at: float
    last: bytes
    """The hash of the last one: the same again is no other guess."""


class Failures:
    """By address as it is counted elsewhere (of IPv6 its /64)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        """The one that failed last stands last."""
        self._good: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._addresses)

    def wait(self, address: str, digest: bytes) -> float:
        """Seconds until a token of this hash is looked at; 0: now. One that was good here before is always: those
        behind a shared address do not pay for their neighbour."""
        known = self._addresses.get(address)
        if known is None or (address, digest) in self._good:
            return 0.0
        tokens = self._refill(known)
        return 0.0 if tokens >= 1 else (1 - tokens) * EVERY_S

    def add(self, address: str, digest: bytes) -> bool:
        """A token of this hash was wrong. Whether the address has used up its ration with it."""
        known = self._addresses.pop(address, None)
        if known is None:
            known = _Address(BURST, self._clock.monotonic(), b"")
            self._make_room()
        self._addresses[address] = known
        if known.last == digest:
            return False
        known.tokens = self._refill(known) - 1
        known.at = self._clock.monotonic()
        known.last = digest
        self._good.pop((address, digest), None)
        return known.tokens < 1

    def good(self, address: str, digest: bytes) -> None:
        """A token of this hash was good."""
        key = (address, digest)
        if key in self._good:
            self._good.move_to_end(key)
            return
        if len(self._good) >= MOST_GOOD:
            self._good.popitem(last=False)
        self._good[key] = None

    def _refill(self, known: _Address) -> float:
        return min(BURST, known.tokens + (self._clock.monotonic() - known.at) / EVERY_S)

    def _make_room(self) -> None:
        while self._addresses:
            oldest = next(iter(self._addresses.values()))
            if len(self._addresses) < MOST and self._refill(oldest) < BURST:
                return
            self._addresses.popitem(last=False)
