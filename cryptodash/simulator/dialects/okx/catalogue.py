"""OKX's catalogue: the entries of ``/api/v5/public/instruments`` and of the channel ``instruments``."""

from __future__ import annotations

from decimal import Decimal

from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.okx.instruments import contract_of
from cryptodash.simulator.dialects.okx.numbers import SPOT
from cryptodash.simulator.instrument_spec import InstrumentSpec

# Members that both kinds have and that say nothing about a listed instrument, in the order of the venue's answer.
_MEMBERS = (
    *("alias", "auctionEndTime", "baseCcy", "category", "contTdSwTime", "ctMult", "ctType", "ctVal", "ctValCcy"),
    *("expTime", "floatPxLmtPct", "freq", "futureSettlement", "groupId", "initPxLmtPct", "instCategory", "instFamily"),
    *("instId", "instIdCode", "instType", "lever", "listTime", "longPosRemainingQuota", "lotSz", "maxIcebergSz"),
    *("maxLmtAmt", "maxLmtSz", "maxMktAmt", "maxMktSz", "maxPlatOICoinLmt", "maxPlatOILmt", "maxPxLmtPct"),
    *("maxStopSz", "maxTriggerSz", "maxTwapSz", "method", "minSz", "openType", "optType", "posLmtAmt", "posLmtPct"),
    *("preMktSwTime", "quoteCcy", "rpiMinLevel", "rpiMinPxBand", "ruleType", "seriesId", "settleCcy"),
    *("shortPosRemainingQuota", "state", "stk", "tickSz", "tradeQuoteCcyList", "uly", "upcChg"),
)

_COMMON: dict[str, object] = {
    "category": "1",
    "floatPxLmtPct": "0.005",
    "futureSettlement": False,
    "instCategory": "1",
    "maxLmtAmt": "20000000",
    "maxPxLmtPct": "0.01",
    "rpiMinLevel": "3",
    "rpiMinPxBand": "20",
    "ruleType": "normal",
    "tradeQuoteCcyList": [],
    "upcChg": [],
}


_CATEGORIES = {"crypto": "1", "equity": "3", "commodity": "4", "fx": "5"}


def entry(spec: InstrumentSpec, number: int, *, state: str, contract_times: int = 1) -> dict[str, object]:
    """One instrument, ``number`` being its place in the catalogue. All but a few members are texts. A contract is said
    to be worth ``contract_times`` what it is."""
    own = _spot(spec, number) if spec.market is SPOT else _swap(spec, number, contract_times)
    tick = trim(fixed(spec.tick, spec.price_decimals, spec.price_decimals))
    known = _COMMON | own | {"instId": spec.native, "tickSz": tick, "state": state}
    known["instCategory"] = _CATEGORIES[spec.underlying]
    return {name: known.get(name, "") for name in _MEMBERS}


def _spot(spec: InstrumentSpec, number: int) -> dict[str, object]:
    """``baseCcy`` and ``quoteCcy`` are here alone."""
    step = trim(fixed(spec.step, spec.size_decimals, spec.size_decimals))
    return {
        "baseCcy": spec.base,
        "groupId": "12",
        "instIdCode": number + 2,
        "instType": "SPOT",
        "lever": "10",
        "listTime": "1611907686000",
        "lotSz": step,
        "maxIcebergSz": "9999999999.0000000000000000",
        "maxLmtSz": "9999999999",
        "maxMktAmt": "1000000",
        "maxMktSz": "1000000",
        "maxStopSz": "1000000",
        "maxTriggerSz": "9999999999.0000000000000000",
        "maxTwapSz": "9999999999.0000000000000000",
        "minSz": trim(fixed(100 * spec.step, spec.size_decimals, spec.size_decimals)),
        "openType": "fix_price",
        "quoteCcy": spec.quote,
        "tradeQuoteCcyList": [spec.quote],
    }


def _swap(spec: InstrumentSpec, number: int, contract_times: int) -> dict[str, object]:
    """Base and quote are in ``uly`` and ``instFamily`` alone; sizes are contracts."""
    contract, family = contract_of(spec), f"{spec.base}-{spec.quote}"
    return {
        "contTdSwTime": "1611916860000",
        "ctMult": "1",
        "ctType": "linear",
        "ctVal": contract.value if contract_times == 1 else format(contract_times * Decimal(contract.value), "f"),
        "ctValCcy": spec.base,
        "groupId": "4",
        "initPxLmtPct": "0.02",
        "instFamily": family,
        "instIdCode": number + 10_458,
        "instType": "SWAP",
        "lever": "100",
        "listTime": "1573557408000",
        "lotSz": contract.lot_size,
        "maxIcebergSz": "100000000.0000000000000000",
        "maxLmtSz": "100000000",
        "maxMktSz": "35000",
        "maxStopSz": "35000",
        "maxTriggerSz": "100000000.0000000000000000",
        "maxTwapSz": "100000000.0000000000000000",
        "minSz": contract.lot_size,
        "openType": "call_auction",
        "posLmtAmt": "250000",
        "posLmtPct": "30",
        "settleCcy": spec.quote,
        "uly": family,
    }


_INVERSE: dict[str, object] = {
    "contTdSwTime": "1611916860000",
    "ctMult": "1",
    "ctType": "inverse",
    "ctVal": "100",
    "ctValCcy": "USD",
    "groupId": "4",
    "initPxLmtPct": "0.02",
    "instFamily": "BTC-USD",
    "instId": "BTC-USD-SWAP",
    "instIdCode": 10_446,
    "instType": "SWAP",
    "lever": "100",
    "listTime": "1535424203000",
    "lotSz": "0.1",
    "maxLmtSz": "100000000",
    "maxMktSz": "10000",
    "minSz": "0.1",
    "openType": "call_auction",
    "settleCcy": "BTC",
    "tickSz": "0.1",
    "uly": "BTC-USD",
}


def untraded_swaps() -> list[dict[str, object]]:
    """Perpetuals that a real catalogue holds besides: one that settles in its base, its contract a hundred dollars,
    here suspended because the simulated market trades none; and one before its opening, of which nothing is known."""
    suspended = _COMMON | _INVERSE | {"state": "suspend"}
    early = {"instId": "ETH-USD_UM-SWAP", "instType": "SWAP", "state": "preopen", "futureSettlement": False}
    early |= {"tradeQuoteCcyList": [], "upcChg": []}
    return [{name: known.get(name, "") for name in _MEMBERS} for known in (suspended, early)]
