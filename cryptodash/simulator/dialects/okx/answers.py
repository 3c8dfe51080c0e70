"""What OKX answers to requests on a WebSocket: acknowledgements, refusals, notices; a real one stands above each."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

PING, PONG = "ping", "pong"
"""Heartbeats are bare texts, no JSON."""


def name_of(argument: Mapping[str, str]) -> str:
    """A stream by its argument as the venue writes it: ``"channel":"books","instId":"BTC-USDT"``."""
    return msgspec.json.encode(dict(argument)).decode()[1:-1]


def ack(request_id: str | None, op: str, name: str, connection: str) -> str:
    """One for each argument.

    ``{"id":"a1","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"503b4b32"}``
    """
    echoed = f'"id":"{request_id}",' if request_id is not None else ""
    return f'{{{echoed}"event":"{op}","arg":{{{name}}},"connId":"{connection}"}}'


def error(request_id: str | None, code: int, message: str, connection: str) -> str:
    """``{"event":"error","msg":"Illegal request: {...}","code":"60012","connId":"78d58071"}``"""
    echoed = {"id": request_id} if request_id is not None else {}
    said = {"event": "error", "msg": message, "code": str(code), "connId": connection}
    return msgspec.json.encode(echoed | said).decode()


def unknown_channel(argument: Mapping[str, str]) -> str:
    """The text of code 60018: ``Wrong URL or channel:books,instId:NOPE-USDT doesn't exist. Please use ...``"""
    said = ",".join(f"{key}:{text}" for key, text in argument.items())
    advice = "Please use the correct URL, channel and parameters referring to API document."
    return f"Wrong URL or {said} doesn't exist. {advice}"


def notice(connection: str) -> str:
    """``{"event":"notice","code":"64008","msg":"The connection will soon be closed ...","connId":"a4d3ae55"}``"""
    text = "The connection will soon be closed for a service upgrade. Please reconnect."
    return f'{{"event":"notice","code":"64008","msg":"{text}","connId":"{connection}"}}'
