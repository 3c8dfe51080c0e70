"""What a failed request is answered: one shape for every error, with the headers that its code asks for."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from werkzeug.exceptions import HTTPException, MethodNotAllowed

from cryptodash.api.http.answers import Answer, error_answer, json_answer
from cryptodash.core import codec
from cryptodash.core.errors import Refused, TryLater, UpstreamError
from cryptodash.core.topics import Topic

_STATUS: Final[Mapping[str, int]] = {
    "unknown_exchange": 404,
    "unknown_symbol": 404,
    "not_yet_known": 409,
    "too_many_topics": 429,
}
"""Codes whose HTTP status does not depend on who raised them."""


def not_yet_known(topic: Topic) -> Refused:
    """Nothing came for the topic in the time a request waits."""
    return Refused("not_yet_known", f"{topic} has no value yet", 409)


def refused_answer(error: Refused) -> Answer:
    """For a request that cannot be served."""
    headers: dict[str, str] = {}
    if isinstance(error, TryLater):
        headers["Retry_After"] = str(error.retry_after)
    elif error.code in ("not_yet_known", "shutting_down"):
        headers["Retry_After"] = "1"
    elif error.code == "unauthorized":
        headers["WWW_Authenticate"] = "Bearer"
    return error_answer(error.code, error.message, _STATUS.get(error.code, error.status), **headers)


def upstream_answer(error: UpstreamError) -> Answer:
    """For a venue that did not give what the request needs."""
    body = codec.encode({"error": {"code": "upstream_error", "message": str(error), "cause": error.cause}})
    headers = {"Retry_After": str(max(1, ceil(error.retry_after)))} if error.retry_after is not None else {}
    return json_answer(body, 502, **headers)


def no_route_answer(error: HTTPException) -> Answer:
    """For a path or a method that there is not."""
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"}))
        return error_answer("method_not_allowed", f"this path takes {allowed}", 405, Allow=allowed)
    return error_answer("not_found", "no such path", 404)
