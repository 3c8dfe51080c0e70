"""What ``twistd cryptodash`` takes on its command line, and how it becomes a ``Config``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Any, NoReturn

from attrs import evolve
from dotenv import dotenv_values
from twisted.python import usage

from cryptodash import __version__, log
from cryptodash.core.config import SETTINGS, Config, host_settings
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import PREFIX, Layer, load
from cryptodash.core.settings import Setting
from cryptodash.core.time import parse_time
from cryptodash.core.topics import COMPOSITE
from cryptodash.exchanges.venues import registry
from cryptodash.simulator.control import CONTROL_PORT
from cryptodash.simulator.dialects import registry as dialects
from cryptodash.simulator.faults import DEFAULT_DELAY, FAULTS, FaultKind
from cryptodash.supervisor import MOST


def settings() -> list[Setting]:
    """Every setting there is, the endpoint overrides of every venue included."""
    return [*SETTINGS, *host_settings(registry.available())]


def refuse(message: str) -> NoReturn:
    """End the start with one line and exit code 1. Not through ``sys.stderr``:
    twistd may have turned that into a log already."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"cryptodash: {message}\n")
        sys.__stderr__.flush()
    raise SystemExit(1)


def _number(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII):
            return float(text)
        raise ValueError(f"--{option}: {text[:40]!r} is not allowed; allowed is a number from 0 to 999999")

    return parse


def _signed(option: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if re.fullmatch(r"[+-]?[0-9]{1,6}(\.[0-9]{1,3})?", text, re.ASCII):
            return float(text)
        raise ValueError(f"--{option}: {text[:40]!r} is not allowed; allowed is a number from -999999 to 999999")

    return parse


def _whole(option: str, low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"--{option}: {text[:40]!r} is not allowed; allowed is a whole number from {low} to {high}")

    return parse


def _lags(text: str) -> dict[str, int]:
    found = {name: ms for name, _, ms in (each.strip().partition("=") for each in text.split(","))}
    unknown = sorted(found.keys() - set(dialects.available()))
    if unknown:
        raise ValueError(f"--lag: {unknown[0][:40]!r} has no simulator; allowed are {', '.join(dialects.available())}")
    return {name: _whole("lag", 0, 10_000)(ms) for name, ms in found.items()}


class CommandOptions(usage.Options):
    """What all our commands share: a mistake is one line and exit code 1."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            refuse(self._explained(str(error).removeprefix("Parameter type enforcement failed: ")))

    def _explained(self, message: str) -> str:
        """Twisted's message, with what is allowed where it only says what is not."""
        if message.startswith("option "):
            names = ", ".join(
                f"--{name.rstrip('=')}" for name in sorted(self.longOpt) if name.rstrip("=") not in ("version", "help")
            )
            return f"{message}; allowed here are {names}"
        if message.startswith("Unknown command"):
            return f"{message}; allowed are {', '.join(command for command, *_ in Options.subCommands)}"
        return message

    def parseArgs(self, *words: str) -> None:
        """A command takes options only, unless it says otherwise."""
        if words:
            raise usage.UsageError(f"{words[0][:40]!r} is not understood: only options are allowed here")

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        sys.stdout.write(f"cryptodash {__version__}\n")
        raise SystemExit(0)


class RunOptions(CommandOptions):
    """Options of the server: one for each setting, beating environment and ``.env``."""

    optFlags = [[setting.option, None, setting.meaning] for setting in SETTINGS if setting.is_flag]
    optParameters: list[list[Any]] = [
        ["env-file", None, None, "read settings from this file instead of ./.env"],
        *(
            [setting.option, None, None, f"{setting.meaning} [{setting.default}]"]
            for setting in settings()
            if not setting.is_flag
        ),
    ]

    def layer(self) -> Layer:
        """What was given on the command line, by setting name."""
        given = {setting.name: self.get(setting.option) for setting in settings()}
        flags = {setting.name for setting in SETTINGS if setting.is_flag}
        values = {name: "true" if name in flags else value for name, value in given.items() if value}
        return Layer("command line", values, own=True)


class ProcessesOptions(RunOptions):
    """Run the server; with ``--processes`` several that are one by Redis, on one address."""

    optParameters: list[list[Any]] = [
        [
            "processes",
            None,
            1,
            f"server processes that share the address and, with ENABLE_REDIS, the exchanges (1-{MOST})",
            _whole("processes", 1, MOST),
        ],
    ]


def _format(text: str) -> str:
    if text not in ("csv", "parquet", "arrow"):
        raise ValueError(f"--format: {text[:40]!r} is not allowed; allowed are csv, parquet and arrow")
    return text


def _time(option: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parse_time(text)
        except ValueError as error:
            raise ValueError(f"--{option}: {error}") from None
        return text

    return parse


class RecordOptions(RunOptions):
    """Record into RECORD_DIR, without clients: the address answers operators only."""


class SimulateOptions(CommandOptions):
    """The simulator alone, as a stand-in venue for any client. Prints each host with its markets and URLs."""

    optParameters: list[list[Any]] = [
        ["exchanges", None, ",".join(dialects.available()), "venues to simulate, in this order"],
        ["interface", None, "127.0.0.1", "address the hosts listen on"],
        [
            "port",
            "p",
            9100,
            "port of the first host; the others take the ports after it, in the order of --exchanges and within an "
            "exchange spot before perpetual (a host that serves both counts once)",
            _whole("port", 1, 65_500),
        ],
        ["seed", None, 1, "seed of the market", _whole("seed", 0, 2**32)],
        [
            "control-port",
            None,
            CONTROL_PORT,
            "where `twistd cryptodash fault` reaches it, on 127.0.0.1",
            _whole("control-port", 1, 65_535),
        ],
        ["lag", None, None, "EXCHANGE=MS[,...]: by how many ms its quotes follow the price that all share", _lags],
    ]


class ReplayOptions(RunOptions):
    """Play recorded frames through the whole server: ``replay FILE``, or ``replay TAPE``. Takes every option of ``run``
    as well."""

    optParameters: list[list[Any]] = [
        ["speed", None, 1.0, "how many times faster than recorded; 0: as fast as it goes", _number("speed")],
        ["delay", None, 3.0, "seconds between the last upstream subscription and the first frame", _number("delay")],
        ["exchange", None, "", "whose frames they are (else told from the frames)"],
        ["market", None, "", "spot or perpetual (else told from the file's name)"],
        ["from", None, None, "of a tape: begin here (RFC 3339, or milliseconds)", _time("from")],
        ["to", None, None, "of a tape: end here", _time("to")],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["symbol"] = []

    def getSynopsis(self) -> str:
        return "Usage: twistd [twistd options] cryptodash replay [options] FILE"

    def opt_symbol(self, split: str) -> None:
        """NATIVE=BASE-QUOTE: how a native name splits, where it cannot be guessed; may be given several times."""
        self["symbol"].append(split)

    def parseArgs(self, *files: str) -> None:
        """The one file. Options may also stand behind it, where the parser takes them for further files."""
        if len(files) > 1 and files[1].startswith("-"):
            self.parseOptions([*files[1:], files[0]])
            return
        if len(files) != 1:
            raise usage.UsageError("replay takes one FILE of recorded frames (.jsonl, .jsonl.gz, or a tape of ours)")
        self["file"] = files[0]


def _fault_help(name: str, kind: FaultKind) -> str:
    """Two lines about a fault, with one more for what it takes if that is long."""
    head = f"{name} {kind.takes}"
    space = " " if len(head) <= 32 else f"\n{'':35}"
    return f"  {head:32}{space}{kind.does};\n{'':35}a client sees: {kind.client_sees}"


class WordsAmongOptions(CommandOptions):
    """Options may stand among and behind the words, where the parser takes them for further words."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """The options first, then the words."""
        try:
            given, words = gnu_getopt(list(options or ()), self.shortOpt, self.longOpt)
        except GetoptError as error:
            refuse(self._explained(str(error)))
        super().parseOptions([*(part for each in given for part in self._said_again(*each)), "--", *words])

    def _said_again(self, name: str, text: str) -> tuple[str, ...]:
        if name.startswith("--"):
            return (f"{name}={text}",) if f"{name[2:]}=" in self.longOpt else (name,)
        return (name, text) if f"{name[1]}:" in self.shortOpt else (name,)


class FaultOptions(WordsAmongOptions):
    """Break the simulator of a running demo."""

    optFlags = [["spot", None, "only the spot market"], ["perpetual", None, "only the perpetual market"]]
    optParameters: list[list[Any]] = [
        [
            "control-port",
            None,
            None,
            f"control port of the simulator, which each names at its start ({CONTROL_PORT} unless that was taken)",
            _whole("control-port", 1, 65_535),
        ],
        ["delay", None, None, f"seconds by which `slow` makes everything late [{DEFAULT_DELAY:.0f}]", _number("delay")],
        ["step", None, None, "seconds by which `clock` steps the clock forward, or back if negative", _signed("step")],
        ["to", None, None, "the base that `rename` gives a symbol"],
        ["stream", None, None, "the one stream that `slow` is about, as the venue names it"],
    ]
    longdesc = "Faults, what they take (SECONDS is 10 if left out), and what a client sees of them:\n" + "\n".join(
        _fault_help(name, kind) for name, kind in FAULTS.items()
    )

    def getSynopsis(self) -> str:
        return "Usage: twistd cryptodash fault --control-port N [options] EXCHANGE NAME [SYMBOL] [SECONDS]|list|stop"

    def parseArgs(self, *words: str) -> None:
        self["words"] = words

    def getUsage(self, width: int | None = None) -> str:
        """The list of faults keeps its lines (twisted would fill them into one paragraph)."""
        longdesc, self.longdesc = self.longdesc, ""
        try:
            return f"{super().getUsage(width)}\n{longdesc}\n"
        finally:
            self.longdesc = longdesc


class DoctorOptions(WordsAmongOptions, RunOptions):
    """Connect to each venue for half a minute and say what is wrong. Prints a table; exit code 1 when anything is
    wrong. Takes the settings of ``run`` as well: proxies, base URLs, ``--demo``."""

    optFlags = [["json", None, "print JSON instead of the table"]]
    optParameters: list[list[Any]] = [
        ["seconds", None, 30, "how long to watch the streams (5-3600)", _whole("seconds", 5, 3600)],
        ["save", None, None, "keep what came in this directory, as `replay` reads it"],
    ]

    def getSynopsis(self) -> str:
        return "Usage: twistd [twistd options] cryptodash doctor [options] [VENUE...]"

    def parseArgs(self, *venues: str) -> None:
        """Without venues those of ``EXCHANGES``."""
        if venues:
            self["exchanges"] = ",".join(venues)


class TokenOptions(WordsAmongOptions):
    """Make a token: ``token new NAME``. Prints two lines, the token and the line for AUTH_TOKENS_FILE."""

    longdesc = (
        "Scopes: read, read:CHANNEL[:EXCHANGE[:MARKET[:SYMBOL]]] with * for any (read:ticker:EXCHANGE:*), "
        "max_rate=UPDATES A SECOND AND CHANNEL, max_channels=N, admin. The token is shown this once; the file holds "
        "its hash alone."
    )

    def __init__(self) -> None:
        super().__init__()
        self["scope"] = []

    def getSynopsis(self) -> str:
        return "Usage: twistd cryptodash token new NAME [--scope SCOPE ...]"

    def opt_scope(self, scopes: str) -> None:
        """what it is to allow; may be given several times, or several in one [read]"""
        self["scope"].extend(scopes.split())

    def parseArgs(self, *words: str) -> None:
        if len(words) != 2 or words[0] != "new":
            raise usage.UsageError("token takes: new NAME")
        self["name"] = words[1]


class TapeOptions(WordsAmongOptions):
    """List tapes, or verify them: every block, every hole, numbers and counts. ``verify`` exits with 0 when every whole
    block is good, else with 1; its last line is a summary."""

    def getSynopsis(self) -> str:
        return "Usage: twistd cryptodash tape ls|verify DIR"

    def parseArgs(self, *words: str) -> None:
        if len(words) != 2 or words[0] not in ("ls", "verify"):
            raise usage.UsageError("tape takes ls DIR or verify DIR, where DIR is a RECORD_DIR, or one file of it")
        self["words"] = words


class ExportOptions(WordsAmongOptions):
    """Write recorded messages into a file, for other programs. Topics as `tape ls` lists them, all of one channel, with
    `*` for any: '*:spot:*-USDT:trade'. Holes are told on stderr."""

    optFlags = [["text", None, "numbers as text, digit for digit, in Parquet and Arrow too (in CSV they always are)"]]
    optParameters: list[list[Any]] = [
        ["format", None, "csv", "csv, parquet or arrow; the latter two need pyarrow (cryptodash[export])", _format],
        ["output", "o", None, "the file to write, which must not be there"],
        ["from", None, None, "begin here (RFC 3339, or milliseconds)", _time("from")],
        ["to", None, None, "end here", _time("to")],
    ]

    def getSynopsis(self) -> str:
        return "Usage: twistd cryptodash export [options] --output FILE DIR TOPIC..."

    def parseArgs(self, *words: str) -> None:
        if len(words) < 2 or not self["output"]:
            raise usage.UsageError("export takes --output FILE, the DIR of a recording and at least one TOPIC")
        self["path"], *self["topics"] = words


class CheckOptions(RunOptions):
    """Check the settings and print them."""


class Options(RunOptions):
    """``twistd cryptodash`` without a command runs the server."""

    subCommands: list[tuple[str, None, type[CommandOptions], str]] = [
        ("run", None, ProcessesOptions, "run the server (the default)"),
        ("simulate", None, SimulateOptions, "run the simulated venues alone"),
        ("record", None, RecordOptions, "record into RECORD_DIR, without clients"),
        ("replay", None, ReplayOptions, "play recorded frames through the server"),
        ("tape", None, TapeOptions, "list recordings, or verify them"),
        ("export", None, ExportOptions, "write what was recorded into CSV, Parquet or Arrow"),
        ("fault", None, FaultOptions, "break the simulator of a running demo and watch"),
        ("doctor", None, DoctorOptions, "connect to each venue, look at everything, say what is wrong"),
        ("token", None, TokenOptions, "make a token for AUTH_TOKENS_FILE"),
        ("check-config", None, CheckOptions, "check the settings, print them, exit"),
    ]
    defaultSubCommand = "run"
    env_file: Path | None = None
    """Where the ``.env`` file was looked for at first: a daemon may have another working directory later."""

    def postOptions(self) -> None:
        """Give twistd our observer, unless the operator chose one: it filters by level and namespace."""
        twistd = self.parent
        if (
            twistd is None
            or twistd.get("logger")
            or twistd.get("syslog")
            or self.subCommand not in ("run", "simulate", "replay", "record")
        ):
            return
        levels, form = "info", "text"
        if self.subCommand != "simulate":
            config = config_of(self)
            levels, form = config.log_level, config.log_format
        twistd["logger"] = log.choose(levels, twistd.get("logfile"), bool(twistd.get("nodaemon")), form)


def config_of(options: Options) -> Config:
    """The settings of a command. Refuses what is wrong."""
    try:
        return read_config(options)
    except ConfigError as error:
        refuse(str(error))


def read_config(options: Options) -> Config:
    """The settings of a command: its own options, then those before it, the environment, the ``.env`` file as it is
    now. Raises ``ConfigError``."""
    command = options.subOptions
    named = command.get("env-file") or options.get("env-file")
    if options.env_file is None:
        options.env_file = Path(named or ".env").absolute()
    layers = [
        command.layer(),
        options.layer(),
        Layer("environment", os.environ),
        _env_file(options.env_file, named),
    ]
    if isinstance(command, DoctorOptions):
        layers = [_without_topics(each) for each in layers]
    config = load(layers, registry.available(), simulated=_simulated())
    _check_topics(config)
    return config


def _without_topics(layer: Layer) -> Layer:
    """The doctor chooses what it looks at: what a server keeps warm may be of venues that it is not asked about."""
    values = {name: text for name, text in layer.values.items() if name.removeprefix(PREFIX) != "SYMBOLS"}
    return evolve(layer, values=values)


def _check_topics(config: Config) -> None:
    """Raise ``ConfigError`` for a topic to be kept warm that no adapter has: the server could not start with it, or
    would wait for it for ever."""
    for topic in config.symbols:
        names = config.exchanges if topic.exchange == COMPOSITE else (topic.exchange,)
        venues = [registry.load(name) for name in names]
        markets = sorted({market.value for venue in venues for market in venue.markets})
        if topic.market.value not in markets:
            raise ConfigError(
                f"SYMBOLS: {topic.text!r}: no {topic.market} market there; allowed is {', '.join(markets)}"
            )
        intervals = venues[0].intervals(topic.market)
        if topic.interval and topic.interval not in intervals:
            raise ConfigError(f"SYMBOLS: {topic.text!r}: no such candles there; allowed are {', '.join(intervals)}")


def _simulated() -> list[str]:
    """The venues that have a simulator."""
    return [name for name in registry.available() if name in dialects.available()]


def _env_file(file: Path, named: str | None) -> Layer:
    """``./.env`` if there is one, or the file that was named, which must be there. Read without interpolation;
    ``os.environ`` stays as it is."""
    origin = named or ".env"
    if not file.is_file():
        if named:
            raise ConfigError(f"--env-file: {named[:200]!r} is not a file; allowed is the path of one")
        return Layer(origin, {}, own=True)
    try:
        values: Mapping[str, str | None] = dotenv_values(file, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: cannot be read ({error}); allowed is a UTF-8 file of NAME=value lines") from None
    return Layer(origin, values, own=True)
