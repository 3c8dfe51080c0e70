"""What a bearer may do: patterns of channels, bounds, and until when. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.quote_aliases import QuoteAliases
from cryptodash.core.topics import COMPOSITE, Channel, Topic

NO_ALIASES: Final = QuoteAliases()


@frozen
class Pattern:
    """Channels that a scope names; None stands for ``*``: any."""

    channel: Channel | None = None
    exchange: str | None = None
    market: MarketType | None = None
    base: str | None = None
    quote: str | None = None

    def covers(self, topic: Topic, symbol: Symbol) -> bool:
        """Whether the topic, with this symbol in the place of its own, is one of them. A sweep's is no name, so that
        only a pattern of all symbols covers it."""
        if self.channel not in (None, topic.channel) or self.market not in (None, topic.market):
            return False
        return self.base in (None, symbol.base) and self.quote in (None, symbol.quote)


@frozen
class Grant:
    """What one token allows, whatever kind of token it is.

    ``patterns``: channels that may be read, None: all. ``max_rate``: updates per second and channel at most;
    ``max_channels``: of one connection. ``until_ms``: epoch milliseconds of its end, None: it has none. ``proof``: what
    it rests on (the hash of a token, the mark of a key), never a secret itself. ``words``: the scopes as they were
    written. ``aliases``: the quote currencies that the composite mixes.
    """

    name: str = ""
    patterns: tuple[Pattern, ...] | None = ()
    is_admin: bool = False
    max_rate: float | None = None
    max_channels: int | None = None
    until_ms: int | None = None
    proof: bytes = field(default=b"", repr=False)
    words: tuple[str, ...] = ()
    aliases: QuoteAliases = NO_ALIASES

    @property
    def reads_all(self) -> bool:
        """Whether every channel may be read."""
        return self.patterns is None

    @property
    def reads_some(self) -> bool:
        """Whether any channel may be read."""
        return self.patterns is None or bool(self.patterns)

    def allows(self, topic: Topic) -> bool:
        """Whether this topic may be read.

        The composite tells what every venue has: it is allowed by a pattern that names it, or by one of any exchange
        that covers each symbol that may stand in this one's place as well.
        """
        if self.patterns is None:
            return True
        named = (each for each in self.patterns if each.exchange == topic.exchange)
        if any(each.covers(topic, topic.symbol) for each in named):
            return True
        anywhere = [each for each in self.patterns if each.exchange is None]
        symbols = self.aliases.of(topic.symbol) if topic.exchange == COMPOSITE else (topic.symbol,)
        return all(any(each.covers(topic, symbol) for each in anywhere) for symbol in symbols)

    def knows(self, exchange: object) -> bool:
        """Whether anything of an exchange may be read; ``exchange`` as a client names it."""
        if self.patterns is None:
            return True
        name = exchange.lower() if isinstance(exchange, str) else ""
        return any(each.exchange in (None, name) for each in self.patterns)

    def known(self, exchanges: Iterable[str]) -> tuple[str, ...]:
        """Those of which anything may be read."""
        return tuple(filter(self.knows, exchanges))

    def rate(self, wanted: float | None) -> float | None:
        """Updates per second that a channel gets which wants so many; None: as many as there are."""
        if self.max_rate is None:
            return wanted
        return self.max_rate if wanted is None else min(wanted, self.max_rate)

    def channels(self, limit: int) -> int:
        """How many channels a connection may have where the server allows so many."""
        return limit if self.max_channels is None else min(limit, self.max_channels)


EVERYTHING: Final = Grant(name="everyone", patterns=None, is_admin=True)
"""What everybody may do where no rule of access is set."""
NOTHING: Final = Grant()
"""What one without a token may do where a rule is set."""


def forbidden(what: object) -> Refused:
    """The token is good and does not allow this."""
    return Refused("forbidden", f"the token does not allow {what}", 403)
