"""The command line: ``twistd cryptodash [run|simulate|replay|fault|check-config]``. The only module that imports the global reactor."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any, NoReturn

from attrs import asdict, evolve
from dotenv import dotenv_values
from twisted.application.service import Application, IService
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.scripts._twistd_unix import ServerOptions

from cryptodash import __version__, log
from cryptodash.core.config import Config, Layer, load
from cryptodash.core.errors import ConfigError, CryptodashError
from cryptodash.core.settings import SETTINGS, Setting, host_settings
from cryptodash.core.time import SystemClock
from cryptodash.exchanges import registry
from cryptodash.exchanges.recorded import RecordedVenue
from cryptodash.service import StandIn, build
from cryptodash.simulator.control import CONTROL_PORT, ask
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.recording import read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.simulator.server import Simulator

FLAGS = ("DEMO", "ENABLE_REDIS")


def settings() -> list[Setting]:
    """Every setting there is, the endpoint overrides of every venue included."""
    return [*SETTINGS, *host_settings(registry.available())]


class CommandOptions(usage.Options):
    """What all our commands share: a mistake is one line and exit code 1."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            names = ", ".join(f"--{name.rstrip('=')}" for name in sorted(self.longOpt) if name.rstrip("=") not in ("version", "help"))
            refuse(f"{error}; allowed here are {names}" if "option" in str(error) else str(error))

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"cryptodash {__version__}")  # noqa: T201 (what the option is for)
        raise SystemExit(0)


class RunOptions(CommandOptions):
    """Options of the server: one for each setting, beating environment and ``.env``."""

    optFlags = [[setting.option, None, setting.meaning] for setting in SETTINGS if setting.name in FLAGS]
    optParameters: list[list[Any]] = [
        ["env-file", None, None, "read settings from this file instead of ./.env"],
        *([setting.option, None, None, f"{setting.meaning} [{setting.default}]"] for setting in settings() if setting.name not in FLAGS),
    ]

    def layer(self) -> Layer:
        """What was given on the command line, by setting name."""
        given = {setting.name: self.get(setting.option) for setting in settings()}
        return Layer("command line", {name: "true" if name in FLAGS else value for name, value in given.items() if value})


class SimulateOptions(CommandOptions):
    """The simulator alone, as a stand-in venue for any client."""

    optParameters: list[list[Any]] = [
        ["exchanges", None, "binance,bybit", "venues to simulate"],
        ["interface", None, "127.0.0.1", "address to listen on"],
        ["port", "p", "9100", "first port; every venue host takes the next one", int],
        ["seed", None, "1", "seed of the market", int],
        ["control-port", None, str(CONTROL_PORT), "where `twistd cryptodash fault` reaches it", int],
    ]


class ReplayOptions(RunOptions):
    """Play recorded frames through the whole server: ``replay FILE``. Takes every option of ``run`` as well."""

    optParameters: list[list[Any]] = [
        ["speed", None, "1", "how many times faster than recorded", float],
        ["delay", None, "3", "seconds between the last upstream subscription and the first frame", float],
        ["exchange", None, "", "whose frames they are (else told from the frames)"],
        ["market", None, "", "spot or perpetual (else told from the file's name)"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["symbol"] = []

    def opt_symbol(self, split: str) -> None:
        """NATIVE=BASE-QUOTE: how a native name splits, where it cannot be guessed; may be given several times."""
        self["symbol"].append(split)

    def parseArgs(self, *files: str) -> None:
        if len(files) != 1:
            raise usage.UsageError("replay takes one FILE of recorded frames (.jsonl or .jsonl.gz)")
        self["file"] = files[0]


class FaultOptions(CommandOptions):
    """Break the simulator of a running demo: ``fault EXCHANGE NAME [SYMBOL] [SECONDS]``; ``fault list``; ``fault stop``."""

    optFlags = [["perpetual", None, "the symbol's perpetual market (without it: both markets)"], ["spot", None, "the symbol's spot market"]]
    optParameters = [["control-port", None, str(CONTROL_PORT), "control port of the simulator", int]]
    longdesc = "Faults:\n" + "\n".join(f"  {name:14} {fault.description}" for name, fault in FAULTS.items())

    def getSynopsis(self) -> str:
        return "Usage: twistd cryptodash fault EXCHANGE NAME [SYMBOL] [SECONDS] | list | stop"

    def parseArgs(self, *words: str) -> None:
        self["words"] = words


class CheckOptions(RunOptions):
    """Check the settings and print them."""


class Options(RunOptions):
    """``twistd cryptodash`` without a command runs the server."""

    subCommands = [
        ["run", None, RunOptions, "run the server (the default)"],
        ["simulate", None, SimulateOptions, "run the simulated venues alone"],
        ["replay", None, ReplayOptions, "play recorded frames through the server"],
        ["fault", None, FaultOptions, "break the simulator of a running demo and watch"],
        ["check-config", None, CheckOptions, "check the settings, print them, exit"],
    ]
    defaultSubCommand = "run"

    def postOptions(self) -> None:
        """Give twistd our observer, unless the operator chose one: it filters by level and namespace."""
        if self.parent is None or self.parent.get("logger") or self.parent.get("syslog") or self.subCommand not in ("run", "simulate", "replay"):
            return
        levels = config_of(self).log_level if self.subCommand != "simulate" else "info"
        self.parent["logger"] = log.observer_factory(levels, self.parent.get("logfile"), bool(self.parent.get("nodaemon")))


def refuse(message: str) -> NoReturn:
    """End the start with one line and exit code 1."""
    raise SystemExit(f"cryptodash: {message}")


def config_of(options: Options) -> Config:
    """The settings of a command: its own options, then those before it, the environment, the ``.env`` file. Refuses what is wrong."""
    command = options.subOptions
    try:
        layers = [command.layer(), options.layer(), Layer("environment", os.environ), _env_file(command.get("env-file") or options.get("env-file"))]
        return load(layers, registry.available(), simulated=_simulated(layers))
    except ConfigError as error:
        refuse(str(error))


def _simulated(layers: Sequence[Layer]) -> list[str] | None:
    """Which venues the simulator speaks: asked only for a demo, because it means importing them."""
    if not any(layer.values.get(name) for layer in layers for name in ("DEMO", "CRYPTODASH_DEMO")):
        return None
    return [name for name in registry.available() if registry.load(name).simulated]


def _env_file(path: str | None) -> Layer:
    """``./.env`` if there is one, or the named file, which must be there. Read without interpolation; ``os.environ`` stays as it is."""
    file = Path(path or ".env")
    if not file.is_file():
        if path:
            raise ConfigError(f"--env-file: {path[:200]!r} is not a file; allowed is the path of one")
        return Layer(".env", {}, own=True)
    try:
        values: Mapping[str, str | None] = dotenv_values(file, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error}); allowed is a UTF-8 file of NAME=value lines") from None
    return Layer(str(file), values, own=True)


def makeService(options: Options) -> IService:
    """What twistd asks for. One-shot commands end the process here; the others return the service to run."""
    command, chosen = options.subCommand, options.subOptions
    if command == "fault":
        _fault(chosen)
    if command == "simulate":
        return _simulator(chosen)
    config = config_of(options)
    if command == "check-config":
        _print_config(config)
    make = _replay(config, chosen) if command == "replay" else _server(config)
    return make(_pid_file(options))


def make_application(env_file: str | None = None) -> Any:
    """For a tac file: the ``Application`` with its logging, configured by environment and ``.env``."""
    options = Options()
    options.parseOptions(["run", *(["--env-file", env_file] if env_file else [])])
    config = config_of(options)
    application = Application("cryptodash")
    application.setComponent(ILogObserver, log.make_observer(config.log_level, sys.stdout))
    _server(config)(_pid_file(options)).setServiceParent(application)
    return application


def _server(config: Config) -> Callable[[Path | None], IService]:
    """The server on the global reactor; with ``DEMO`` on the simulator, which listens at once because the server needs its addresses."""

    def make(pid_file: Path | None) -> IService:
        from twisted.internet import reactor

        stand_in = None
        if config.demo:
            simulator = Simulator(reactor, SystemClock(), exchanges=config.exchanges, control_port=CONTROL_PORT)
            simulator.listen()
            stand_in = StandIn(simulator, simulator.hosts, "simulated")
        return _build(config, pid_file, stand_in=stand_in)

    return make


def _replay(config: Config, options: usage.Options) -> Callable[[Path | None], IService]:
    """The server on a recording: its venue, its streams, all of them held from the start."""
    try:
        recording = read_recording(Path(options["file"]), exchange=options["exchange"], market=options["market"], symbols=options["symbol"])
        venue = RecordedVenue(registry.load(recording.exchange), recording.samples())
    except ConfigError as error:
        refuse(str(error))
    topics = venue.topics(recording.exchange, recording.market, recording.symbols, config.book_depth_default)

    def make(pid_file: Path | None) -> IService:
        from twisted.internet import reactor

        replay = Replay(reactor, recording, speed=options["speed"], delay=options["delay"])
        replay.listen()
        stand_in = StandIn(replay, replay.hosts, "replay")
        return _build(evolve(config, exchanges=(recording.exchange,), symbols=tuple(topics)), pid_file, stand_in=stand_in, venues=[venue])

    return make


def _build(config: Config, pid_file: Path | None, **parts: Any) -> IService:
    """Build on the global reactor. A taken port ends the process: one line, exit code 1, no pid file left."""
    from twisted.internet import reactor

    def bind_failed(message: str) -> NoReturn:
        if pid_file is not None:
            pid_file.unlink(missing_ok=True)
        refuse(message)

    try:
        server = build(config, reactor, clock=SystemClock(), random=SystemRandom(), bind_failed=bind_failed, **parts)
    except ConfigError as error:
        refuse(str(error))
    reactor.addSystemEventTrigger("before", "shutdown", _second_signal_ends, reactor)
    return server


def _second_signal_ends(reactor: Any) -> None:
    """While the server drains, another SIGTERM or SIGINT ends the process at once."""

    def end(number: int, frame: object) -> None:
        reactor.callFromThread(reactor.crash)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)


def _pid_file(options: usage.Options) -> Path | None:
    """The pid file twistd writes, to be taken away when the start fails."""
    twistd = options.parent
    if twistd is None:  # a tac file: the command line is not ours, so twistd's own parser reads it again
        twistd = ServerOptions()
        twistd.parseOptions(sys.argv[1:])
    name = twistd.get("pidfile")
    return Path(name).absolute() if name else None


def _simulator(options: usage.Options) -> IService:
    from twisted.internet import reactor

    exchanges = tuple(each.strip() for each in options["exchanges"].split(",") if each.strip())
    first = options["port"]
    try:
        simulator = Simulator(
            reactor,
            SystemClock(),
            seed=options["seed"],
            exchanges=exchanges,
            interface=options["interface"],
            first_port=first,
            control_port=options["control-port"],
        )
    except (ConfigError, ValueError) as error:
        refuse(str(error))
    try:
        simulator.listen()
    except CannotListenError as error:
        refuse(str(error))
    for (exchange, market), (ws, rest) in simulator.hosts.items():
        print(f"{exchange} {market}: {ws} {rest}", flush=True)  # noqa: T201 (the command's answer)
    return simulator


def _fault(options: usage.Options) -> NoReturn:
    """Tell the running simulator, print its answer, end."""
    try:
        print(ask(options["control-port"], options["words"], market="perpetual" if options["perpetual"] else "spot" if options["spot"] else None))  # noqa: T201
    except CryptodashError as error:
        refuse(str(error))
    raise SystemExit(0)


def _print_config(config: Config) -> NoReturn:
    """One setting a line, secrets hidden."""
    for name, value in sorted(asdict(config, recurse=False).items()):
        if name in ("auth_token", "https_proxy", "redis_url") and value:
            value = "(set)"
        print(f"{name} = {', '.join(map(str, value)) if isinstance(value, tuple) else value}")  # noqa: T201 (the command's answer)
    print("the settings are good")  # noqa: T201
    raise SystemExit(0)
