"""What a venue has traded of an instrument, in contracts and in base: two numbers that tell what a contract is worth,
and have nothing to do with its listing."""

from __future__ import annotations

from attrs import frozen

from cryptodash.core.numbers import Number


@frozen
class ContractVolumes:
    """Of the instrument with this name at the venue, over the same time."""

    native: str
    contracts: Number
    base: Number
