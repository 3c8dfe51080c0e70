"""Numbers as OKX writes them: prices without padding, sizes of perpetuals in contracts, ids of book states."""

from __future__ import annotations

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.okx.instruments import contract_of
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import HOUR

SPOT = MarketType.SPOT

_FUNDING_SPAN = 8 * HOUR
_STEP_BACK = 10_000_000
_HOURS = 1_000


def price(spec: InstrumentSpec, ticks: int) -> str:
    """Without padding: ``64324``."""
    return trim(spec.price(ticks))


def size(spec: InstrumentSpec, steps: int) -> str:
    """Base on spot, contracts on a perpetual; ``0`` for none."""
    return trim(padded_size(spec, steps))


def padded_size(spec: InstrumentSpec, steps: int) -> str:
    """The same with all decimals of its lot."""
    if spec.market is SPOT:
        return spec.size(steps)
    contract = contract_of(spec)
    return fixed(steps * contract.lot, contract.decimals, contract.decimals)


def base_size(spec: InstrumentSpec, steps: int) -> str:
    """In base, whatever the venue counts in."""
    return trim(spec.size(steps))


def exact_places(spec: InstrumentSpec) -> int:
    """Decimals of a turnover that has lost nothing."""
    return spec.price_decimals + spec.size_decimals


def turnover(spec: InstrumentSpec, amount: int) -> str:
    """Ticks times steps in quote currency, exact."""
    return trim(spec.quote_amount(amount, exact_places(spec)))


def orders(ticks: int, steps: int) -> int:
    """How many orders a level holds, which the simulated book does not know: the same for the same level; 0 for one
    that is gone."""
    return 1 + (ticks * 7 + steps) % 13 if steps else 0


def sequence(update_id: int, now: int) -> int:
    """``seqId`` of a book after this change at this time (ms).

    The venue's ids may step back after maintenance ("Sequence ID" of the documents: ``seqId`` smaller than
    ``prevSeqId``). Here all of them do so at every full hour, so that a client that cannot bear it shows.
    """
    return update_id - now // HOUR % _HOURS * _STEP_BACK


def next_funding(now: int) -> int:
    """Funding is settled at 00:00, 08:00 and 16:00 UTC."""
    return now - now % _FUNDING_SPAN + _FUNDING_SPAN


def following_funding(now: int) -> int:
    """The settlement after the next one."""
    return next_funding(now) + _FUNDING_SPAN


def instrument_type(market: MarketType) -> str:
    """``SPOT`` or ``SWAP``."""
    return "SPOT" if market is SPOT else "SWAP"
