"""Settings read again while the server runs (SIGHUP): those whose change is safe take effect, of the others is said
that they need a restart. Settings that cannot be read leave everything as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from attrs import evolve, fields, frozen
from twisted.logger import Logger

from cryptodash.core.config import SETTINGS, Config, Limits
from cryptodash.core.errors import ConfigError
from cryptodash.sd_notify import Notifier

_log = Logger(namespace="cryptodash.reload")

_NAMES: Final = {setting.attribute: setting.name for setting in SETTINGS}
_LIMITS: Final = frozenset(each.name for each in fields(Limits))


class NotTaken(Exception):
    """A part goes on with what it had, and has said why."""


def no_more(old: Config, new: Config) -> Collection[str]:
    """All that a part names can be changed."""
    return ()


@frozen
class Reloadable:
    """A part of the server that takes settings while it runs.

    ``settings`` are their attributes in ``Config`` and ``Limits``. ``take(old, new)`` is called each time the settings
    are read, also where none has changed: it may read files that they name, and raises ``NotTaken`` where they are no
    good. ``new`` holds what is in force from now on: of settings that need a restart the old values. ``but_not`` names
    those of ``settings`` that cannot be changed from one to the other after all.
    """

    settings: Collection[str]
    take: Callable[[Config, Config], None]
    but_not: Callable[[Config, Config], Collection[str]] = no_more


class Reloader:
    """``read`` loads the settings by the same layers as at the start, or raises ``ConfigError``."""

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config],
        parts: Sequence[Reloadable],
        notifier: Notifier | None = None,
    ) -> None:
        self.config = config
        self._read = read
        self._parts = tuple(parts)
        self._notifier = notifier or Notifier()
        self._told: frozenset[str] = frozenset(config.warnings)

    def reload(self) -> None:
        """Once; never raises."""
        self._notifier.reloading()
        try:
            new = self._read()
        except ConfigError as error:
            _log.error("the settings stay as they are: {error}", error=str(error))
        except Exception:
            _log.failure("the settings stay as they are: an error of ours")
        else:
            self._change(new)
        self._notifier.ready()

    def _change(self, wanted: Config) -> None:
        old, changed = self.config, changes(self.config, wanted)
        can = {name for part in self._parts for name in part.settings}
        can -= {name for part in self._parts for name in part.but_not(old, wanted)}
        new = self.config = _with(old, wanted, changed & can)
        failed = set()
        for part in self._parts:
            try:
                part.take(old, new)
            except NotTaken:
                failed |= changed & set(part.settings)
            except Exception:
                _log.failure("a change of settings failed, an error of ours: {names}", names=_spoken(part.settings))
                failed |= changed & set(part.settings)
        _log.info("settings read again: {outcome}", outcome=_outcome(changed & can - failed, changed - can, failed))
        for warning in wanted.warnings:
            if warning not in self._told:
                _log.warn("{warning}", warning=warning)
        self._told = frozenset(wanted.warnings)


def changes(old: Config, new: Config) -> set[str]:
    """The attributes, of ``Limits`` too, whose values differ; base URLs of exchanges by their own names."""
    found = {each.name for each in fields(Config) if getattr(old, each.name) != getattr(new, each.name)}
    found -= {"limits", "endpoints", "warnings"}
    found |= {name for name in _LIMITS if getattr(old.limits, name) != getattr(new.limits, name)}
    found |= {
        name
        for name in old.endpoints.keys() | new.endpoints.keys()
        if old.endpoints.get(name) != new.endpoints.get(name)
    }
    if old.tls_cert and new.tls_cert and _without_files(old.bind_addr) == _without_files(new.bind_addr):
        found.discard("bind_addr")
    return found


def _without_files(bind_addr: str) -> str:
    """Of an address that was made of ``BIND_ADDR``, ``TLS_CERT`` and ``TLS_KEY`` the first alone."""
    return bind_addr.partition(":certKey=")[0]


def _with(old: Config, wanted: Config, names: set[str]) -> Config:
    limits = evolve(old.limits, **_values(wanted.limits, names & _LIMITS))
    own = _values(wanted, names - _LIMITS)
    if names & {"tls_cert", "tls_key"} and _without_files(old.bind_addr) == _without_files(wanted.bind_addr):
        own["bind_addr"] = wanted.bind_addr
    return evolve(old, limits=limits, **own)


def _values(owner: Config | Limits, names: Collection[str]) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in names}


def _outcome(taken: set[str], left: set[str], failed: set[str]) -> str:
    """Names only: a value may be a secret."""
    parts = [f"{_spoken(taken)} took effect"] * bool(taken)
    parts += [f"{_spoken(left)} {'needs' if len(left) == 1 else 'need'} a restart"] * bool(left)
    parts += [f"{_spoken(failed)} failed"] * bool(failed)
    return "; ".join(parts) or "nothing has changed"


def _spoken(names: Collection[str]) -> str:
    return ", ".join(sorted(_NAMES.get(name, name.upper()) for name in names))
