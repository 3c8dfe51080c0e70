"""What a setting is, and how its text becomes a value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from attrs import evolve, field, fields, frozen

LEVELS = ("debug", "info", "warn", "error", "critical")

T = TypeVar("T")
Parse = Callable[[str], object]
"""Turns text into a value, or raises ``ValueError`` with what is allowed."""
Show = Callable[[str], str]
"""What of a setting's text may be shown."""


@frozen
class Setting:
    """One setting: its name in the environment, what it means to an operator, and how it is read.

    ``default`` is text as well. ``attribute`` is where its value stands, ``is_flag`` whether its option takes no value,
    ``is_secret`` whether its value is never shown, ``aliases`` are weaker names with a reading of their own.
    ``is_ambient``: the environment may name it for the sake of other programs, which then may mean more than we can do.
    ``shown``: what of its text a person may be shown, be it good or wrong.
    """

    name: str
    parse: Parse
    meaning: str
    default: str
    attribute: str = ""
    is_flag: bool = False
    is_secret: bool = False
    aliases: Mapping[str, Parse] = {}
    is_ambient: bool = False
    shown: Show = str

    @property
    def option(self) -> str:
        """The command-line option's name, without the dashes."""
        return self.name.lower().replace("_", "-")


def setting(
    parse: Callable[[str], T],
    meaning: str,
    default: str,
    *,
    name: str = "",
    is_flag: bool = False,
    is_secret: bool = False,
    aliases: Mapping[str, Parse] = {},
    is_ambient: bool = False,
) -> T:
    """A field of an attrs class that is a setting, with the value of its default text. Its name is the field's in upper
    case, unless it has a ``name``."""
    return _field(parse, meaning, default, parse(default), name, is_flag, is_secret, aliases, is_ambient)


def late_setting(parse: Parse, meaning: str, value: T) -> T:
    """One whose final value needs other settings: ``parse`` only takes its text apart. Empty by default."""
    return _field(parse, meaning, "", value, "", False, False, {}, False)


def _field(
    parse: Parse,
    meaning: str,
    default: str,
    value: T,
    name: str,
    is_flag: bool,
    is_secret: bool,
    aliases: Mapping[str, Parse],
    is_ambient: bool,
) -> T:
    made = Setting(name, parse, meaning, default, "", is_flag, is_secret, aliases, is_ambient)
    declared: T = field(default=value, metadata={Setting: made})
    return declared


def settings_of(owner: type[Any]) -> Iterator[Setting]:
    """The settings among the fields of an attrs class, in their order."""
    for each in fields(owner):
        found = each.metadata.get(Setting)
        if found is not None:
            yield evolve(found, name=found.name or each.name.upper(), attribute=each.name)


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text, re.ASCII) and low <= float(text) <= high:
            return float(text)
        raise ValueError(f"a number from {low:g} to {high:g}")

    return parse


def flag(text: str) -> bool:
    value = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }.get(text.lower())
    if value is None:
        raise ValueError("true or false (also 1/0, yes/no, on/off)")
    return value


def words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def word(text: str) -> str:
    """One that may stand in a key."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", text, re.ASCII):
        return text
    raise ValueError("letters, digits, '_', '.' and '-', at most 60")


def long_secret(text: str) -> str:
    """One that cannot be guessed, or none."""
    if text and len(text) < 16:
        raise ValueError("16 characters or more")
    return text


def token(text: str) -> str:
    """One that a header can carry (RFC 6750, section 2.1) and nobody guesses, or none."""
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,512}=*", text, re.ASCII):
        raise ValueError("16 to 512 letters, digits and -._~+/; `twistd cryptodash token new NAME` makes one")
    return text


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() in allowed:
            return text.lower()
        raise ValueError(" or ".join(allowed))

    return parse


def names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.lower() for part in words(text)))


ENDPOINT_TYPES = ("tcp", "tcp6", "ssl", "unix", "systemd", "fd", "haproxy")


def bind_address(text: str) -> str:
    """``host:port`` (``[::1]:8080`` too) as an endpoint string; an endpoint string as it is."""
    if text.partition(":")[0] in ENDPOINT_TYPES and ":" in text:
        return text
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(
            "host:port with a port from 0 to 65535, or a Twisted endpoint string ("
            + ":..., ".join(ENDPOINT_TYPES)
            + ":...)"
        )
    bare = host.strip("[]")
    try:
        address = ipaddress.ip_address(bare or "0.0.0.0")
    except ValueError:
        if bare != "localhost":
            raise ValueError("an IP address (or localhost) before the port, or a Twisted endpoint string") from None
        address = ipaddress.ip_address("127.0.0.1")
    kind = "tcp6" if address.version == 6 else "tcp"
    return f"{kind}:{int(port)}:interface={str(address).replace(':', chr(92) + ':')}"


UNIX_PEER = "unix"
"""Stands for the peer of a unix socket among networks: it has no IP address."""


def networks(text: str) -> tuple[str, ...]:
    """Networks in CIDR notation, and ``unix`` (nginx writes ``unix:``) as that word."""
    try:
        return tuple(
            UNIX_PEER if part.lower().rstrip(":") == UNIX_PEER else str(ipaddress.ip_network(part, strict=False))
            for part in words(text)
        )
    except ValueError as error:
        raise ValueError(f"IP addresses, networks such as 10.0.0.0/8, or unix, separated by commas ({error})") from None


def origin_of(text: str) -> str:
    """Scheme, host and port of a URL: what of it can be no secret. Empty where it is no URL."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not parts.scheme or not host:
        return ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port is not None else ''}"


def url(*schemes: str, credentials: bool = False) -> Callable[[str], str]:
    """A base URL. ``credentials``: it may name a user and a password."""
    allowed = (
        "a URL that starts with "
        + " or ".join(f"{scheme}://" for scheme in schemes)
        + " and has a host, and perhaps a port from 1 to 65535"
        + ("" if credentials else ", but no user, password or query")
    )

    def parse(text: str) -> str:
        if not text:
            return text  # unset
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(allowed) from None
        if (
            parts.scheme not in schemes
            or not parts.hostname
            or "?" in text
            or "#" in text
            or ("@" in parts.netloc and not credentials)
            or port == 0
            or not text.isascii()
            or any(each.isspace() for each in text)
        ):
            raise ValueError(allowed)
        return text.rstrip("/")

    return parse


def origins(text: str) -> tuple[str, ...]:
    found = words(text)
    for origin in found:
        if origin != "*" and origin != "null" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError("'*' or origins such as https://example.org, separated by commas")
    return tuple(origin.lower() for origin in found)  # as browsers send them


def parse_levels(text: str) -> tuple[str, dict[str, str]]:
    """``info,cryptodash.exchanges=debug`` as (default level, level by namespace). Raises ``ValueError``."""
    default, by_namespace = "info", {}
    for part in words(text):
        namespace, equals, level = part.rpartition("=")
        level = {"trace": "debug", "warning": "warn"}.get(level.lower(), level.lower())
        if level not in LEVELS or (equals and not namespace):
            raise ValueError(
                f"a level ({', '.join(LEVELS)}) or levels by namespace such as info,cryptodash.exchanges=debug"
            )
        if equals:
            by_namespace[namespace] = level
        else:
            default = level
    return default, by_namespace


def levels(text: str) -> str:
    parse_levels(text)
    return text


def rust_log(text: str) -> str:
    """The seed's variable: targets that are not ours say nothing here, whatever their level is
    called, so they are left out."""
    known = [
        part for part in words(text) if "=" not in part or part.partition("=")[0].partition(".")[0] == "cryptodash"
    ]
    default, by_namespace = parse_levels(",".join(known))
    return ",".join([default, *(f"{name}={level}" for name, level in by_namespace.items())])
