"""The server's REST, asked by the standard library: a tool's call is one small request now and then."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from cryptodash.client.connection import is_loopback

MOST_BYTES = 8 * 1024 * 1024
"""Of an answer: the catalogue of a large venue takes a fifth of that."""
TIMEOUT = 15.0
"""Seconds. The server waits 2 s for a first value and 10 s for a venue."""


class Unanswered(Exception):
    """There is no answer to be used; ``code`` is the server's word for it, or ``unreachable``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _NoRedirects(HTTPRedirectHandler):
    """The token goes to the server that was named and nowhere else."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        return None


class Rest:
    """``url`` is that of the server: ``http://127.0.0.1:8080``. ``ValueError`` for one that is none."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r}: http://host:port or https://host is meant")
        self.url = url.rstrip("/")
        self._token = token
        no_proxy = (ProxyHandler({}),) if is_loopback(url) else ()
        self._open = build_opener(_NoRedirects, *no_proxy).open

    def get(self, path: str, **parameters: str | int | None) -> Any:
        """The JSON of an answer; numbers with a point as ``Decimal``. Blocks: to be called in a thread."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(f"{self.url}{path}?{query}" if query else self.url + path, headers=headers)
        try:
            with self._open(request, timeout=TIMEOUT) as response:
                body = response.read(MOST_BYTES + 1)
        except HTTPError as refused:
            with refused:
                raise _refusal(refused.code, refused.read(65_536)) from None
        except (URLError, OSError, TimeoutError) as error:
            reason = getattr(error, "reason", error)
            raise Unanswered("unreachable", f"cannot reach {self.url}: {reason}") from None
        if len(body) > MOST_BYTES:
            raise Unanswered("too_large", f"the answer to {path} is too large")
        try:
            return json.loads(body, parse_float=Decimal)
        except ValueError:
            raise Unanswered("no_json", f"{self.url} answers {path} with what is no JSON") from None


def _refusal(status: int, body: bytes) -> Unanswered:
    try:
        error = json.loads(body)["error"]
        code, message = str(error["code"])[:60], str(error["message"])[:300]
    except (ValueError, KeyError, TypeError):
        code, message = "http_error", f"the server answers with {status}"
    if status in (401, 403):
        return Unanswered(code, f"the server denies access ({status}): {message}")
    return Unanswered(code, message)
