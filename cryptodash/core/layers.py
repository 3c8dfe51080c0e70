"""Where settings come from, and which source wins. Checked once, at start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen

from cryptodash.core.config import SETTINGS, Config, Limits, host_settings
from cryptodash.core.errors import ConfigError, Refused
from cryptodash.core.proxies import ProxyUnsupported
from cryptodash.core.record_patterns import RecordPattern
from cryptodash.core.settings import Setting, settings_of
from cryptodash.core.topics import COMPOSITE, Channel, Topic, parse_topic

PREFIX = "CRYPTODASH_"
"""``CRYPTODASH_DEMO`` beats ``DEMO`` within one layer: bare names are common words."""

T = TypeVar("T")

_HOST_SETTING = re.compile(r"([A-Z0-9]+)_(?:PERPETUAL_)?(WS|REST)_URL").fullmatch


@frozen
class Layer:
    """One source of settings; ``origin`` names it in errors. ``own``: it is ours entirely, as the command line and a
    ``.env`` file are, so that unknown keys mean something and no name is there for other programs."""

    origin: str
    values: Mapping[str, str | None]
    own: bool = False


def load(layers: Sequence[Layer], available: Sequence[str], *, simulated: Sequence[str] | None = None) -> Config:
    """A checked ``Config`` from layers in order of precedence, strongest first.

    ``available`` are the venues there are, ``simulated`` those of them the simulator speaks (None: all): they are what
    a demo starts where no setting names its venues.
    Raises ``ConfigError`` with one line that names the setting and what is allowed.
    """
    settings = {setting.name: setting for setting in (*SETTINGS, *host_settings(available))}
    unusable: list[ConfigError] = []
    values = {
        name: value for name, setting in settings.items() if (value := _value(setting, layers, unusable)) is not None
    }
    warnings = [
        f"{layer.origin}: unknown setting {key}" for layer in layers if layer.own for key in _unknown(layer, settings)
    ]
    config = _assemble(values, warnings)
    config = evolve(config, warnings=(*config.warnings, *_left_out(unusable, config)))
    if config.demo and "EXCHANGES" not in values and simulated is not None:
        config = evolve(config, exchanges=tuple(simulated))
    _check_record(config)
    _check_exchanges(config, available, available if simulated is None else simulated)
    return evolve(config, symbols=_topics(values.get("SYMBOLS", ()), config))


def _unknown(layer: Layer, settings: Mapping[str, Setting]) -> list[str]:
    known = {*settings, *(alias for setting in settings.values() for alias in setting.aliases)}
    return [key for key in layer.values if key.removeprefix(PREFIX) not in known]


class _Unsupported(ConfigError):
    """The setting means something that we cannot do."""


def _value(setting: Setting, layers: Sequence[Layer], unusable: list[ConfigError]) -> object | None:
    """The strongest layer's value; empty text means unset. One that we cannot use and that need not be meant for us is
    left out, with its error in ``unusable``."""
    readings = [(setting.name, setting.parse), *setting.aliases.items()]
    for layer in layers:
        for name, parse in readings:
            for key in (PREFIX + name, name):
                text = (layer.values.get(key) or "").strip()
                if not text:
                    continue
                try:
                    return _parsed(key, text, parse, layer, "" if setting.is_secret else setting.shown(text))
                except ConfigError as error:
                    if layer.own or key != name or not setting.is_ambient:
                        raise
                    unusable.append(error)
    return None


def _left_out(unusable: Sequence[ConfigError], config: Config) -> list[str]:
    """Warnings of the environment's values that are left out. Raises the first that is plainly wrong,
    unless nothing needs it: a demo connects to nobody."""
    for error in unusable:
        if not config.demo and not isinstance(error, _Unsupported):
            raise error
    return [f"{error}; it is left out" for error in unusable]


def _parsed(key: str, text: str, parse: Callable[[str], T], layer: Layer, shown: str) -> T:
    """``shown``: what of the text a refusal may repeat."""
    try:
        return parse(text)
    except ProxyUnsupported as error:
        raise _Unsupported(f"{key} ({layer.origin}): {error}") from None
    except ValueError as error:
        what = f" {shown[:80]!r}" if shown else ""
        raise ConfigError(f"{key} ({layer.origin}):{what} is not allowed; allowed is {error}") from None


def _assemble(values: Mapping[str, object], warnings: list[str]) -> Config:
    plain, limits = _fields(Config, values), _fields(Limits, values)
    plain.pop("symbols", None)  # needs the others
    endpoints = {name.lower(): str(value) for name, value in values.items() if _HOST_SETTING(name)}
    if bool(plain.get("tls_cert")) != bool(plain.get("tls_key")):
        raise ConfigError("TLS_CERT and TLS_KEY: allowed are both or neither")
    config = Config(**plain, endpoints=endpoints, limits=Limits(**limits))
    if config.protect_ops and not config.has_access_rules:
        raise ConfigError("PROTECT_OPS: nobody would be let in; allowed is with AUTH_TOKENS_FILE or AUTH_JWT_KEYS")
    if config.protect_ops and not (config.auth_tokens_file or config.auth_jwt_keys):
        warnings.append("PROTECT_OPS: AUTH_TOKEN has the scope read alone, so that nobody gets what needs admin")
    if config.role != "all" and not config.enable_redis:
        raise ConfigError(f"ROLE {config.role!r}: without ENABLE_REDIS=true allowed is all")
    if config.tls_cert:
        config = evolve(config, bind_addr=_with_tls(config))
    return evolve(config, warnings=tuple(warnings))


def _fields(owner: type[Config | Limits], values: Mapping[str, object]) -> dict[str, Any]:
    """Values by attribute. Each was parsed as its field is typed, which the type of a mapping cannot say."""
    return {each.attribute: values[each.name] for each in settings_of(owner) if each.name in values}


def _with_tls(config: Config) -> str:
    kind, _, rest = config.bind_addr.partition(":")
    if kind == "systemd":
        return config.bind_addr  # such a text has no place for them
    if kind not in ("tcp", "tcp6"):
        raise ConfigError(
            f"TLS_CERT and TLS_KEY: with BIND_ADDR {config.bind_addr[:60]!r} name the files in the endpoint string; "
            "allowed here is host:port, or systemd:..."
        )

    def escaped(path: str) -> str:
        return path.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")

    return f"ssl:{rest}:certKey={escaped(config.tls_cert)}:privateKey={escaped(config.tls_key)}"


def _check_exchanges(config: Config, available: Sequence[str], simulated: Sequence[str]) -> None:
    if not config.exchanges:
        raise ConfigError(f"EXCHANGES: names no venue; allowed are {', '.join(available)}")
    for exchange in config.exchanges:
        if exchange not in available:
            raise ConfigError(f"EXCHANGES: {exchange[:40]!r} is not a venue; allowed are {', '.join(available)}")
        if config.demo and exchange not in simulated:
            raise ConfigError(
                f"DEMO: {exchange} has no simulator; allowed in EXCHANGES with DEMO are {', '.join(simulated)}"
            )
    if config.demo and config.endpoints:
        names = ", ".join(name.upper() for name in config.endpoints)
        raise ConfigError(f"DEMO: does not go together with {names}; allowed is one or the other")


def _check_record(config: Config) -> None:
    """What is to be recorded is of the venues that are enabled."""
    for pattern in config.record:
        if isinstance(pattern, RecordPattern) and pattern.exchange not in ("*", *config.exchanges):
            raise ConfigError(
                f"RECORD: {pattern.exchange[:40]!r} is a venue that is not enabled; "
                f"allowed are *, {', '.join(config.exchanges)}"
            )


def _topics(texts: object, config: Config) -> tuple[Topic, ...]:
    topics = []
    for text in texts if isinstance(texts, tuple) else ():
        try:
            topic = parse_topic(text, default_depth=config.book_depth_default)
        except Refused as error:
            raise ConfigError(
                f"SYMBOLS: {error.message}; allowed is exchange:market:SYMBOL[:channel[:depth or interval]]"
            ) from None
        if topic.exchange == COMPOSITE and topic.channel not in (Channel.BBO, Channel.ORDER_BOOK):
            raise ConfigError(f"SYMBOLS: {text[:80]!r}: of {COMPOSITE} there are bbo and order_book only")
        if topic.exchange not in (*config.exchanges, COMPOSITE):
            raise ConfigError(
                f"SYMBOLS: {text[:80]!r} names a venue that is not enabled; allowed are {', '.join(config.exchanges)}"
            )
        topics.append(topic)
    return tuple(dict.fromkeys(topics))
