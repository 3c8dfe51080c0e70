"""OKX's WebSocket side: its requests on ``/ws/v5/public`` and ``/ws/v5/business``, its heartbeats and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from attrs import define

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.okx import answers
from cryptodash.simulator.dialects.okx.answers import name_of
from cryptodash.simulator.dialects.okx.catalogue import entry
from cryptodash.simulator.dialects.okx.channels import BUSINESS, NEED_LOGIN, PUBLIC, argument_of, find
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.host_streams import HostEnvironment
from cryptodash.simulator.limits import SlidingWindow
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream

# Documents, "WebSocket", "Overview" and "Connect".
PATIENCE = 30.0
MOST_REQUESTS = 480
MOST_BYTES = 65_536
_HOUR = 3_600_000
_WRONG_CONTRACT = 10
"""How many times what it is a contract is said to be worth by the fault ``wrong-contract``."""

_is_id = re.compile(r"[A-Za-z0-9]{1,32}").fullmatch


@define
class Usage:
    """What a connection has used: its requests of the last hour, the bytes of its arguments, and when (seconds, never
    jumps) something was last sent to it."""

    requests: SlidingWindow
    bytes: int
    sent: float


class OkxWebSocket(VenueHost):
    """Both markets behind one host name and on each connection; the path says which channels."""

    id_members = ("seqId", "prevSeqId", "tradeId")
    time_members = ("ts",)
    garbage = (
        '{"arg":{"channel":"books"},"action":"update","data":null}',
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["1_000"]],"bids":[[]],'
        '"ts":"1e300","checksum":0,"seqId":"1","prevSeqId":null}]}',
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":1,"px":"NaN","sz":"-"}]}',
    )

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self._usage: dict[ClientSession, Usage] = {}

    # --- connections ---

    def market_of(self, path: str) -> MarketType | None:
        """No path has a market of its own."""
        return None

    def has_path(self, path: str) -> bool:
        return path in (PUBLIC, BUSINESS)

    def greeted(self, session: ClientSession, query: Mapping[str, str]) -> None:
        self._usage[session] = Usage(SlidingWindow(_HOUR), 0, self.clock.monotonic())
        session.later(PATIENCE, lambda: self._check(session))

    def _check(self, session: ClientSession) -> None:
        """Close code 4004: nothing was sent for 30 s, and the client asked for no sign of life."""
        if session.frozen:
            return
        silent = self.clock.monotonic() - max(session.heard, self._usage[session].sent)
        if silent >= PATIENCE:
            self.ledger.violate(f"nothing to send and no ping for {silent:.0f} s")
            session.close(4004, "No data received in 30s.")
            return
        session.later(max(0.05, PATIENCE - silent), lambda: self._check(session))

    def closed(self, session: ClientSession) -> None:
        super().closed(session)
        self._usage.pop(session, None)

    def deliver(self, session: ClientSession, stream: Stream, payload: str) -> None:
        if session in self._usage:
            self._usage[session].sent = self.clock.monotonic()
        super().deliver(session, stream, payload)

    def announce_maintenance(self, session: ClientSession) -> None:
        """The venue says so a minute before; a fault is shorter than that."""
        session.push(answers.notice(self._connection(session)))
        session.later(0.5, lambda: session.close(1012, "service restart"))

    def _connection(self, session: ClientSession) -> str:
        """``connId``: eight hexadecimal digits."""
        return f"{(session.number * 2_654_435_761) & 0xFFFFFFFF:08x}"

    # --- requests ---

    def received(self, session: ClientSession, text: str) -> None:
        if text == answers.PING:
            self.reply(session, answers.PONG)
            return
        request = _request(text)
        if request is None:
            self._refuse(session, None, 60012, f"Illegal request: {text[:1000]}")
            return
        request_id, op, args = request
        if op not in ("subscribe", "unsubscribe"):
            self._refuse(session, request_id, 60019, f"Invalid op: {op[:40]}")
        elif self._is_too_frequent(session):
            self._refuse(session, request_id, 60014, "Requests too frequent")
        else:
            for argument in args:
                self._change(session, op, argument, request_id)

    def _refuse(self, session: ClientSession, request_id: str | None, code: int, message: str) -> None:
        self.reply(session, answers.error(request_id, code, message, self._connection(session)))

    def _is_too_frequent(self, session: ClientSession) -> bool:
        """480 requests an hour on one connection."""
        count = self._usage[session].requests.add(self.clock.wall_ms() - self.ledger.step_ms)
        if count > MOST_REQUESTS:
            self.ledger.violate(f"{count} requests in an hour on one connection")
        return count > MOST_REQUESTS

    def _change(self, session: ClientSession, op: str, argument: Mapping[str, str], request_id: str | None) -> None:
        """One argument; the others of its request are done whatever becomes of it."""
        if argument["channel"] in NEED_LOGIN:
            self._refuse(session, request_id, 60011, "Please log in")
            return
        found = find(argument, session.path, self.markets, self.entries)
        if found is None:
            self._refuse(session, request_id, 60018, answers.unknown_channel(argument))
            return
        if op == "subscribe" and not self._has_room(session, found.name):
            self._refuse(session, request_id, 60013, "Invalid args")
            return
        self.reply(session, answers.ack(request_id, op, found.name, self._connection(session)))
        if op == "unsubscribe":
            # What goes on under a name that is no more ends by the new one ("the book channel", change log 2026-06).
            former = [name_of({**argument, "instId": each}) for each in self.former_names(found.native)]
            for name in (found.name, *former):
                if self.unsubscribe(session, name):
                    self._usage[session].bytes -= len(name)
        elif found.name not in session.names:
            # A second subscription is acknowledged, and nothing comes of it.
            self._usage[session].bytes += len(found.name)
            self.ledger.streams(len(session.names) + 1)
            self.subscribe(session, found.name, found.kind, found.native, found.make, found.market)

    def _has_room(self, session: ClientSession, name: str) -> bool:
        """ "The total length of multiple channels cannot exceed 64 KB"; taken to be of one connection."""
        fits = name in session.names or self._usage[session].bytes + len(name) <= MOST_BYTES
        if not fits:
            self.ledger.violate(f"arguments over {MOST_BYTES} bytes on one connection")
        return fits

    # --- the catalogue ---

    def state_of(self, market: MarketType, native: str) -> str:
        """``live`` or ``suspend``."""
        spec = self.markets[market].spec(native)
        return "live" if spec is not None and spec.trading and not self.is_delisted(market, native) else "suspend"

    def entries(self, market: MarketType) -> Mapping[str, str]:
        """A market's catalogue by native name, as JSON."""
        found = {}
        for number, spec in enumerate(self.markets[market].specs, 1):
            times = _WRONG_CONTRACT if self.has_wrong_contract(market, spec.native) else 1
            listing = entry(spec, number, state=self.state_of(market, spec.native), contract_times=times)
            found[spec.native] = msgspec.json.encode(listing).decode()
        return found


def _request(text: str) -> tuple[str | None, str, Sequence[Mapping[str, str]]] | None:
    """(id, op, arguments) of a request that has the venue's form."""
    try:
        request = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        return None
    request_id, args = request.get("id"), request.get("args", [])
    if request_id is not None and not (isinstance(request_id, str) and _is_id(request_id)):
        return None
    arguments = [argument_of(each) for each in args] if isinstance(args, list) else []
    known = [each for each in arguments if each is not None]
    if request["op"] in ("subscribe", "unsubscribe") and (not known or len(known) < len(arguments)):
        return None
    return request_id, request["op"], known
