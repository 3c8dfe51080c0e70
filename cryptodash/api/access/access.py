"""Who may do what: the rules of access that are in force, and the one place where a token is judged.

One object for both doors, REST and ``/ws``. ``replace`` reads the rules again: what is broken leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen
from twisted.logger import Logger

from cryptodash.api.access.failures import Failures
from cryptodash.api.access.grant import EVERYTHING, NO_ALIASES, Grant
from cryptodash.api.access.jwt_keys import Expired, JwtKey, Read, looks_signed, read_keys, read_signed
from cryptodash.api.access.tokens import MAX_FILE, MAX_TOKEN, find, hash_of, read_tokens
from cryptodash.core.config import Config
from cryptodash.core.errors import ConfigError, Refused, TryLater
from cryptodash.core.quote_aliases import QuoteAliases
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock

OWN_TOKEN: Final = "AUTH_TOKEN"
"""The name of the one token of that setting."""

_log = Logger(namespace="cryptodash.api.access")


def read_file(path: str) -> bytes:
    """Of a file as much as can be one of ours, and a byte. Raises ``OSError``."""
    with Path(path).open("rb") as file:
        return file.read(MAX_FILE + 1)


@frozen
class Rules:
    """What the settings say. ``is_on``: whether any rule is set, even one that lets nobody in; ``protects_ops``:
    whether what an operator asks for needs an admin."""

    is_on: bool = False
    protects_ops: bool = False
    tokens: Mapping[bytes, Grant] = field(factory=dict, repr=False)
    keys: tuple[JwtKey, ...] = ()
    aliases: QuoteAliases = NO_ALIASES

    def still(self, grant: Grant) -> Grant | None:
        """What a grant of earlier rules is under these; None: its token is none any more."""
        if not self.is_on:
            return EVERYTHING
        if any(grant.proof == key.proof for key in self.keys):
            return evolve(grant, aliases=self.aliases)
        return self.tokens.get(grant.proof)


def read_rules(config: Config, read: Read = read_file) -> Rules:
    """The rules of these settings, with the files that they name. Raises ``ConfigError``, without a word of what is
    secret."""
    aliases = QuoteAliases(config.quote_aliases)
    tokens: dict[bytes, Grant] = {}
    if config.auth_tokens_file:
        origin = f"AUTH_TOKENS_FILE: {config.auth_tokens_file}"
        try:
            data = read(config.auth_tokens_file)
        except OSError as error:
            raise ConfigError(f"{origin} cannot be read ({error.strerror or error})") from None
        tokens = read_tokens(data, origin)
    if config.auth_token:
        digest = hash_of(config.auth_token)
        tokens.setdefault(digest, Grant(OWN_TOKEN, patterns=None, proof=digest, words=("read",)))
    keys = read_keys(config.auth_jwt_keys, read) if config.auth_jwt_keys else ()
    tokens = {digest: evolve(grant, aliases=aliases) for digest, grant in tokens.items()}
    return Rules(config.has_access_rules, config.protect_ops, tokens, keys, aliases)


class Access:
    """Judges tokens. Raises ``ConfigError`` where the settings' rules cannot be read."""

    def __init__(self, config: Config, clock: Clock, tally: Tally, read: Read = read_file) -> None:
        self._clock = clock
        self._read = read
        self._rules = read_rules(config, read)
        self._failures = Failures(clock)
        self.on_replaced: list[Callable[[], None]] = []
        """Called when other rules are in force: whoever holds a grant asks ``still`` about it."""
        self._refused = tally.counter(
            "cryptodash_auth_refused_total", "What was refused because of the rules of access.", "reason"
        )
        tally.gauge(
            "cryptodash_auth_failing_addresses",
            "Addresses whose wrong tokens are remembered.",
            lambda: {(): len(self._failures)},
        )

    @property
    def is_on(self) -> bool:
        """Whether there is any rule."""
        return self._rules.is_on

    @property
    def protects_ops(self) -> bool:
        """Whether what an operator asks for needs the scope ``admin``."""
        return self._rules.protects_ops

    def check(self, token: str, address: str) -> Grant:
        """What a token allows; ``address`` is whom a wrong one is counted for. Raises ``Refused`` ``unauthorized``
        (401), or ``TryLater`` ``rate_limited`` where the address has presented too many."""
        rules = self._rules
        if not rules.is_on:
            return EVERYTHING
        digest = hash_of(token[: MAX_TOKEN + 1])
        wait = self._failures.wait(address, digest)
        if wait:
            self._refused.add("limited")
            raise TryLater("rate_limited", "too many wrong tokens came from this address", ceil(wait))
        grant: Grant | None = None
        try:
            if len(token) <= MAX_TOKEN:
                grant = find(rules.tokens, digest)
                if grant is None and rules.keys and looks_signed(token):
                    grant = read_signed(rules.keys, token, self._clock.wall_ms())
        except Expired:
            # Whoever has it had it from the issuer: no guess.
            self._refused.add("expired")
            raise Refused("unauthorized", "the token has ended, or has not begun", 401) from None
        if grant is None:
            self._refused.add("wrong")
            if self._failures.add(address, digest):
                _log.warn("{address}: too many wrong tokens; it has to wait between two", address=address)
            raise Refused("unauthorized", "the token is not known", 401)
        self._failures.good(address, digest)
        return grant if grant.aliases == rules.aliases else evolve(grant, aliases=rules.aliases)

    def still(self, grant: Grant) -> Grant | None:
        """What a grant is now; None: its token is none any more."""
        return self._rules.still(grant)

    def count(self, reason: str) -> None:
        """Something was refused: ``missing`` (no token), ``late``, ``forbidden``, ``ended``, ``revoked``."""
        self._refused.add(reason)

    def replace(self, config: Config) -> bool:
        """Read the rules again, of these settings; connections whose token is none any more end. Whether the new ones
        are in force: what is broken is told in one line of the log, and the old ones stay."""
        try:
            rules = read_rules(config, self._read)
        except ConfigError as error:
            _log.error("{error}; the rules of access stay as they are", error=str(error))
            return False
        self._rules = rules
        said = f"{len(rules.tokens)} tokens, {len(rules.keys)} keys" if rules.is_on else "none: open to everyone"
        _log.info("rules of access: {said}", said=said)
        for told in tuple(self.on_replaced):
            told()
        return True
