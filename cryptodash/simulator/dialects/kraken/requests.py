"""What a client may ask of Kraken's WebSocket v2: a request's channel and parameters, and the streams it is about."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from cryptodash.simulator.dialects.kraken.numbers import INTERVALS

DEPTHS = (10, 25, 100, 500, 1000)
TRIGGERS = ("trades", "bbo")
PRIVATE = ("executions", "balances", "level3")


class Refused(Exception):
    """A request with the venue's words; ``symbol`` where it is about one."""

    def __init__(self, error: str, symbol: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.symbol = symbol


@frozen
class Wanted:
    """A channel with its parameter as a request names them.

    ``echo`` is what an answer says of them. ``value``: a book's depth, a bar's minutes, a ticker's trigger.
    """

    channel: str
    value: int | str
    echo: Mapping[str, object]
    symbols: tuple[str, ...]
    snapshot: bool

    def stream(self, symbol: str) -> str:
        """The name of the stream about a symbol: ``book:BTC/USD:10``, ``trade:BTC/USD``, ``instrument``."""
        return ":".join(filter(None, (self.channel, symbol, str(self.value))))

    def family(self, symbol: str) -> str:
        """What the streams of a symbol begin with of which a connection has one: a book has one depth, a ticker one
        trigger. Bars of several intervals go together."""
        return self.stream(symbol) if self.channel in ("ohlc", "instrument") else f"{self.channel}:{symbol}"


def read(params: object) -> Wanted:
    """What ``params`` ask for. Raises ``Refused``."""
    if not isinstance(params, dict):
        raise Refused("Malformed request")
    channel = params.get("channel")
    if channel in PRIVATE:
        raise Refused("Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com")
    if channel not in ("book", "ticker", "trade", "ohlc", "instrument"):
        raise Refused("Unsupported event")
    snapshot = params.get("snapshot", True)
    if not isinstance(snapshot, bool):
        raise Refused("Malformed request")
    if channel == "instrument":
        return Wanted(channel, "", {"channel": channel}, ("",), snapshot)
    symbols = params.get("symbol")
    if symbols is None or symbols == []:
        raise Refused("Symbol(s) not found")
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise Refused("Symbol field must be an array")
    name, value = _parameter(channel, params, symbols[0])
    echo = {"channel": channel, **({name: value} if name else {})}
    return Wanted(channel, value, echo, tuple(symbols), snapshot)


def _parameter(channel: str, params: Mapping[str, object], symbol: str) -> tuple[str, int | str]:
    """The name and the value of a channel's own parameter; empty for one that has none."""
    if channel == "book":
        depth = params.get("depth", DEPTHS[0])
        if not isinstance(depth, int) or depth not in DEPTHS:
            raise Refused("Subscription depth not supported", symbol)
        return "depth", depth
    if channel == "ohlc":
        minutes = params.get("interval", 1)
        if not isinstance(minutes, int) or minutes not in INTERVALS:
            raise Refused("Subscription ohlc interval not supported", symbol)
        return "interval", int(minutes)
    if channel == "ticker":
        trigger = params.get("event_trigger", TRIGGERS[0])
        if not isinstance(trigger, str) or trigger not in TRIGGERS:
            raise Refused("Unsupported event", symbol)
        return "event_trigger", trigger
    return "", ""
