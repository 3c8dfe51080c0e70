"""What a refusal of OKX's REST means. Source: www.okx.com/docs-v5, "Error Code / REST API / Public"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from cryptodash.exchanges.adapter.decode import decoder, firewall_refusal, retry_after

ALTERNATIVE = "the host of your region: eea.okx.com and wseea.okx.com, or us.okx.com and wsus.okx.com"


# {"code":"51001","data":[],"msg":"Instrument ID, Instrument ID code, or Spread ID doesn't exist."}
class _Failure(Struct, gc=False):
    code: Annotated[str, Meta(max_length=64)] = "0"
    message: str = field(name="msg", default="")


_failure = decoder(_Failure)

_GOOD = b'{"code":"0",'
_TOO_MANY = frozenset({"50011", "50013", "50040", "50061"})
"""Over a limit, which counts two seconds; systems are busy."""
_NOT_HERE = frozenset({"50051", "50059"})
"""Rules of the caller's region."""
_BAD_PARAMETER = frozenset({"50014", "50015", "50016", "50024", "50025", "51000", "51001", "51002"})
"""Something about the request itself (51001: no such instrument)."""
_UNAVAILABLE = frozenset({"50001", "50046", "50062"})
"""The service, or this part of it, for the time being."""


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """As ``IVenue.rest_error``. Failures may come with HTTP 200; a 429 without the API's code is a firewall's, which
    is waited out longer."""
    if status < 300 and body.startswith(_GOOD):
        return None
    failure = _read_failure(body)
    code, text = failure.code, failure.message[:200]
    if status < 300 and code == "0":
        return None
    message = f"HTTP {status}" + (f", {code} {text}" if code != "0" else "")
    if code in _TOO_MANY:
        return "banned", f"{message}: too many requests", retry_after(headers, 5.0)
    if status == 429:
        return "banned", f"{message}: too many requests", retry_after(headers, 60.0)
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", f"{firewall}; try {ALTERNATIVE}", None
    if status in (403, 451) or code in _NOT_HERE:
        return "blocked", f"{message}: not served from here; try {ALTERNATIVE}", None
    if code in _UNAVAILABLE or "maintenance" in text.lower():
        return "maintenance", message, None
    return ("rejected" if code in _BAD_PARAMETER else ""), message, None


def _read_failure(body: bytes) -> _Failure:
    """A refusal may carry anything (a proxy's HTML page): then there is simply no code."""
    try:
        return _failure(body)
    except (ValueError, RecursionError):
        return _Failure()
