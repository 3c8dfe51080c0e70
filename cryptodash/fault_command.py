"""``twistd cryptodash fault``: what it asks the control port of a running simulator."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from cryptodash.options import refuse
from cryptodash.simulator.control import CONTROL_PORT
from cryptodash.simulator.faults import OPTIONS


def tell_simulator(options: usage.Options) -> str:
    """Tell the running simulator what the command line says; its answer. Blocking, because nothing else runs in this
    process. What is wrong ends it with one line."""
    words: Sequence[str] = options["words"]
    if list(words) == ["list"]:
        wanted = None
    elif list(words) == ["stop"]:
        wanted = {"stop": True} | _market(options)
    elif 2 <= len(words) <= 4:
        wanted = _request(words, options)
    else:
        refuse("fault takes EXCHANGE NAME [SYMBOL] [SECONDS], or list, or stop; see twistd cryptodash fault --help")
    port = options["control-port"]
    if port is None:
        refuse(
            "fault needs --control-port: there may be several demos here, and each says at its start which port is its "
            f"own ({CONTROL_PORT} unless that was taken)"
        )
    return _control(port, wanted)


def _request(words: Sequence[str], options: usage.Options) -> dict[str, Any]:
    """``EXCHANGE silent BTC-USDT 10`` as the control port takes it; a last word that is a number is the seconds."""
    exchange, fault, *rest = words
    wanted: dict[str, Any] = {"exchange": exchange, "fault": fault}
    if rest and rest[-1].replace(".", "", 1).isdecimal():
        wanted["seconds"] = float(rest.pop())
    if len(rest) > 1:
        refuse(f"fault: {rest[1]!r} is not a number of seconds")
    if rest:
        symbol = rest[0].replace("/", "-")
        wanted["symbol"] = symbol if fault == "list" else symbol.upper()  # what is new has the case it is given
    besides = {name: options[name] for name in OPTIONS if options[name] is not None}
    return wanted | besides | _market(options)


def _market(options: usage.Options) -> dict[str, Any]:
    """``--spot`` or ``--perpetual`` as the control port takes it."""
    named = [market for market in ("spot", "perpetual") if options[market]]
    if len(named) > 1:
        refuse("fault: --spot and --perpetual do not go together; leave both out for both markets")
    return {"market": named[0]} if named else {}


def _control(port: int, wanted: object) -> str:
    """Send what is wanted, or ask what there is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    body = None if wanted is None else json.dumps(wanted)
    try:
        connection.request("GET" if body is None else "POST", "/faults", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        refuse(
            f"no simulator answers on control port {port} ({error}); "
            "start one with `twistd -n cryptodash --demo` or `make demo`"
        )
    finally:
        connection.close()
    if response.status != 200:
        refuse(f"fault: {answer.get('error', response.status)}")
    return json.dumps(answer, indent=2)
