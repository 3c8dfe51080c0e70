"""Where a token stands in a request."""

from __future__ import annotations

from collections.abc import Sequence


def bearer_token(headers: Sequence[str]) -> str | None:
    """The token of ``Authorization: Bearer <token>`` (RFC 6750, section 2.1). None where there is none, or the header
    is another scheme's, as a proxy's own may be; several headers are a token that is none."""
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        return None
    return token.strip() if len(headers) == 1 else ""


def query_token(values: Sequence[str]) -> str | None:
    """The token of ``?token=``; given twice it is one that is none."""
    if not values:
        return None
    return values[0] if len(values) == 1 else ""
