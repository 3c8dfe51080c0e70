"""Why a venue cannot be reached, in words for the operator, and what can be done. Pure."""

from __future__ import annotations

import re

from attrs import frozen

from cryptodash.core.events import Cause

_NAME = "check the name server of this machine; where only a proxy may look up names, set HTTPS_PROXY"
_TLS = (
    "a proxy or firewall that opens TLS needs its authority among this machine's certificates (SSL_CERT_FILE); "
    "a clock that is wrong by months looks the same"
)
_TCP = "a firewall may forbid connections to that host and port; where a proxy is the way out, set HTTPS_PROXY"
_PROXY = "check HTTPS_PROXY: its address, user and password, and whether it allows CONNECT to this host and port"
_BLOCKED = (
    "run from a country that the venue serves, or through a proxy there (HTTPS_PROXY); a firewall's 403 may also mean "
    "too many requests from this address: wait some minutes"
)
_BANNED = "wait as long as the venue says, and let no other program use its limits from this address"
_MAINTENANCE = "wait: the venue's status page says until when"
_PATH = "the venue has moved or ended what we ask for: the adapter must be looked at, or the base URL that replaces it"
_BETWEEN = (
    "a login page of this network, or a proxy or firewall, may answer for the venue, or pass no WebSocket; else the "
    "venue has moved what we ask for"
)


OUR_DOING = frozenset({"rollover", "empty", "unwanted", "shutdown"})
"""What the engine ends a connection for though nothing is wrong with it."""
GIVEN_UP = {
    "idle": "nothing came on it",
    "stale": "nothing came on it",
    "timeout": "it did not answer a ping",
    "poison": "too many frames that cannot be read",
    "gap": "the venue's numbers of its frames have a gap",
    "requests": "no more requests are allowed on it",
}


@frozen
class Words:
    """``what`` is one of a fixed set of words, for programs; ``text`` and ``advice`` are for people."""

    what: str
    text: str
    advice: str


def of_failure(kind: str, status: int | None, reason: str) -> Words:
    """Of a connection that could not be opened, as ``connections.commands.Closed`` tells it."""
    if "ProxyRefused" in reason or "the proxy" in reason:
        return Words("proxy", f"the proxy did not let us through: {_plain(reason)}", _PROXY)
    if status is not None:
        return of_status(status, reason)
    if kind == "dns":
        return Words("dns", f"its name cannot be resolved: {_plain(reason)}", _NAME)
    if kind == "tls":
        return Words("tls", f"TLS failed: {_plain(reason)}", _TLS)
    if kind == "timeout":
        return Words("timeout", f"it did not answer in time: {_plain(reason)}", _TCP)
    if kind == "http":
        return Words("http", f"the WebSocket handshake failed: {_plain(reason)}", _PATH)
    return Words("tcp", f"no connection: {_plain(reason)}", _TCP)


def of_status(status: int, reason: str = "") -> Words:
    """Of an HTTP status that refuses."""
    if status in (451, 403):
        return Words("geo-block", f"it does not serve this address ({status})", _BLOCKED)
    if status in (429, 418):
        text = "too many requests" if status == 429 else "this address is banned"
        return Words("ban", f"{text} ({status})", _BANNED)
    if status >= 500:
        return Words("maintenance", f"it is not available now ({status})", _MAINTENANCE)
    if status < 400:
        text = f"it answers HTTP {status} and not what was asked for: {_plain(reason)}"
        return Words("http", text.removesuffix(": "), _BETWEEN)
    return Words("http", f"it refuses with HTTP {status}: {_plain(reason)}".removesuffix(": "), _PATH)


def by_proxy(said: Words, proxy: str) -> Words:
    """The same of what went through a proxy (host and port; empty: it went directly). What was connected to and looked
    up then was the proxy and not the venue, and to say that there may be a proxy is no help."""
    if not proxy or said.what not in ("tcp", "dns", "timeout"):
        return said
    return Words("timeout" if said.what == "timeout" else "proxy", said.text, _PROXY)


def of_request(cause: str, message: str) -> Words:
    """Of a REST request that failed, as ``UpstreamError`` tells it."""
    if cause == Cause.BLOCKED:
        return Words("geo-block", f"it does not serve this address: {message}", _BLOCKED)
    if cause == Cause.BANNED:
        return Words("ban", f"too many requests, or a ban: {message}", _BANNED)
    if cause == Cause.MAINTENANCE:
        return Words("maintenance", f"it is not available now: {message}", _MAINTENANCE)
    if cause == Cause.CAPACITY:
        return Words("budget", f"our own REST budget had no room: {message}", "try again in some minutes")
    if cause == Cause.REJECTED:
        return Words("rejected", f"it refuses the request: {message}", _PATH)
    if "unreadable" in message:
        return Words("unreadable", message, "the adapter must be looked at: send what --save wrote")
    status = re.search(r"\bHTTP ([1-5][0-9]{2})\b", message)
    return of_failure(_kind_in(message), int(status[1]) if status else None, message)


def _kind_in(message: str) -> str:
    if "DNSLookupError" in message:
        return "dns"
    if re.search(r"SSL|VerificationError|certificate", message):
        return "tls"
    return "timeout" if "did not answer within" in message else "tcp"


def of_end(code: int | None, reason: str) -> str:
    """How an open connection was ended by the venue."""
    known = {1001: "going away", 1006: "without a closing handshake", 1008: "policy", 1012: "restart"}
    if code is None:
        return f"the network ended it: {reason[:120]}".removesuffix(": ")
    said = ", ".join(filter(None, (known.get(code, ""), reason[:120])))
    return f"code {code}" + (f" ({said})" if said else "")


def _plain(reason: str) -> str:
    """Without the name of the exception's class."""
    return re.sub(r"\b(?:\w+\.)*(?:[A-Z]\w*)?(?:Error|Refused|Lost|Done): ", "", reason)[:200]
