"""The command line's doing: ``twistd cryptodash [run|simulate|record|replay|tape|export|fault|doctor|token|
check-config]``. The only module that imports the global reactor."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any, NoReturn

from attrs import asdict, evolve
from twisted.application.service import Application, IService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, Logger, globalLogBeginner
from twisted.python import usage
from twisted.python.failure import Failure

# A public name of private origin: __all__ lacks it.
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]

from cryptodash import log
from cryptodash.api.access.access import read_rules
from cryptodash.api.access.tokens import new_token, token_line
from cryptodash.clocks import use_monotonic_time
from cryptodash.core.config import SETTINGS, Config
from cryptodash.core.errors import ConfigError, CryptodashError
from cryptodash.core.settings import origin_of
from cryptodash.core.time import SystemClock, parse_time
from cryptodash.daemon_threads import use_daemon_threads
from cryptodash.doctor.examination import Examination, Means, examine
from cryptodash.doctor.table import Report, as_json, as_text
from cryptodash.exchanges.hosts import hosts_of
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.exchanges.venues.recorded_names import listed, own_names
from cryptodash.fault_command import tell_simulator
from cryptodash.heartbeat import heartbeat_of
from cryptodash.listening import endpoint_of
from cryptodash.live_settings import LIVE
from cryptodash.memory import keep_large_blocks_apart
from cryptodash.name_lookups import NameLookups
from cryptodash.options import Options, config_of, read_config, refuse
from cryptodash.reload import Reloadable, Reloader
from cryptodash.sd_notify import Watchdog, service_manager
from cryptodash.service import StandIn, build
from cryptodash.signals import remove_pid_file, watch_signals
from cryptodash.simulator.control import CONTROL_PORT
from cryptodash.simulator.dialects import registry as dialects
from cryptodash.simulator.recording import answers_beside, read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.simulator.server import Simulator
from cryptodash.supervisor import SHARED, Supervisor
from cryptodash.tls_files import CertificateFiles

__all__ = ["Options", "makeService", "make_application"]

# One name for the global reactor, typed loosely: Twisted declares it as a module.
reactor: Any = _reactor

_log = Logger(namespace="cryptodash.service")


def _answer(text: str) -> None:
    """What a command was asked for goes to stdout at once, for whoever reads it by a pipe; the log goes elsewhere."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def makeService(options: Options) -> IService:
    """What twistd asks for. One-shot commands end the process here; the others return the service to run."""
    _settle_in()
    command, chosen = options.subCommand, options.subOptions
    if command == "fault":
        _answer(tell_simulator(chosen))
        raise SystemExit(0)
    if command == "token":
        _new_token(chosen)
    if command in ("tape", "export"):
        _read_tapes(command, chosen)
    if command == "simulate":
        return _simulate(chosen, _twistd(options))
    config = config_of(options)
    if command == "check-config":
        _print_config(config)
    if command == "doctor":
        _doctor(config, chosen)
    if command == "record":
        return _record(config, options, _twistd(options))
    if command == "replay":
        return _replay(config, options, _twistd(options))
    if chosen["processes"] > 1:
        return _supervise(config, options, _twistd(options))
    return _run(config, partial(read_config, options), _twistd(options))


def make_application(env_file: str | None = None) -> Any:
    """For a tac file: the ``Application`` with its logging, configured by environment and ``.env``."""
    _settle_in()
    options = Options()
    options.parseOptions(["run", *(["--env-file", env_file] if env_file else [])])
    config = config_of(options)
    twistd = _twistd(options)
    application = Application("cryptodash")
    if not twistd.get("syslog"):
        nodaemon = bool(twistd.get("nodaemon"))
        observer = log.observer_of(config.log_level, twistd.get("logfile"), nodaemon, config.log_format)
        application.setComponent(ILogObserver, observer)
    _run(config, partial(read_config, options), twistd).setServiceParent(application)
    return application


def _settle_in() -> None:
    """What holds for the whole process, whatever it is for."""
    use_monotonic_time(reactor, SystemClock())
    keep_large_blocks_apart()


def _run(config: Config, reread: Callable[[], Config], twistd: usage.Options) -> IService:
    """The server; with ``DEMO`` on the simulator, which listens at once because the server needs its addresses.
    ``reread`` as of ``_build``."""
    if not config.demo:
        return _build(config, reread, twistd)
    simulator = _simulator(
        exchanges=config.exchanges,
        control_port=config.control_port or CONTROL_PORT,
        or_any_control_port=not config.control_port,
    )
    _check_markets(config, simulator)
    _listen(simulator)
    control_port = simulator.control_port or 0
    _log.info("start faults of this demo with: twistd cryptodash fault --control-port {port}", port=control_port)
    return _build(
        evolve(config, control_port=control_port),
        lambda: evolve(reread(), control_port=control_port),
        twistd,
        stand_in=StandIn(simulator, simulator.base_urls, "simulated"),
    )


def _record(config: Config, options: Options, twistd: usage.Options) -> IService:
    """The server for its recording alone: no clients."""
    if not config.record_dir:
        refuse("record needs RECORD_DIR, the directory to record into")
    return _run(evolve(config, role="ingest"), lambda: evolve(read_config(options), role="ingest"), twistd)


def _read_tapes(command: str, options: usage.Options) -> NoReturn:
    """Read, print, end."""
    from cryptodash import tape_commands  # nothing else of a server needs it

    try:
        code = (
            tape_commands.tape(options["words"], _answer) if command == "tape" else tape_commands.export_rows(options)
        )
    except ConfigError as error:
        refuse(str(error))
    sys.stdout.flush()
    raise SystemExit(code)


def _supervise(config: Config, options: Options, twistd: usage.Options) -> IService:
    """Several processes on one address, and this one that watches them. Each reads the same ``.env`` file."""
    chosen = options.subOptions
    given = {name: str(value) for layer in (options.layer(), chosen.layer()) for name, value in layer.values.items()}
    env_file = chosen.get("env-file") or options.get("env-file")
    own = ("--env-file", env_file) if env_file else ()

    def bind_failed(message: str) -> NoReturn:
        remove_pid_file(twistd)
        refuse(message)

    manager = service_manager(os.environ, os.getpid())
    try:
        made = Supervisor(
            config, chosen["processes"], given, own, reactor, SystemRandom(), bind_failed, manager.notifier
        )
    except ConfigError as error:
        refuse(str(error))
    if manager.watchdog_s is not None:
        made.watchdog = Watchdog(manager, reactor, made.lives)
    passed_on = Reloadable(set(LIVE) - {name.lower() for name in SHARED}, lambda old, new: made.reload())
    parts = [_LOG_LEVELS, passed_on]
    watch_signals(reactor, twistd, Reloader(config, lambda: read_config(options), parts, manager.notifier))
    return made


def _replay(config: Config, options: Options, twistd: usage.Options) -> IService:
    """The server on a recording: its venue, its streams, all of them held from the start."""
    chosen = options.subOptions
    file = Path(chosen["file"])
    try:
        recording = read_recording(
            file,
            exchange=chosen["exchange"],
            market=chosen["market"],
            symbols=chosen["symbol"],
            begin=None if chosen["from"] is None else parse_time(chosen["from"]) * 1000,
            end=None if chosen["to"] is None else parse_time(chosen["to"]) * 1000,
        )
        real = registry.load(recording.exchange)
        samples = own_names(real, recording.market, recording.symbols, recording.asked, recording.samples())
        answers = recording.answers if recording.is_taped else partial(answers_beside, file)
        known = listed(real, recording.market, lambda asked: answers(asked.path, asked.params))
        venue = RecordedVenue(real, samples, recording.limits, {**recording.instruments, **known})
        topics = venue.topics(recording.exchange, recording.market, recording.symbols, config.book_depth_default)
    except ConfigError as error:
        refuse(str(error))
    replay = Replay(reactor, recording, speed=chosen["speed"], delay=chosen["delay"])
    _listen(replay)
    stand_in = StandIn(replay, replay.base_urls, "replay")

    def of_recording(settings: Config) -> Config:
        return evolve(settings, exchanges=(recording.exchange,), symbols=tuple(topics))

    return _build(
        of_recording(config),
        lambda: of_recording(read_config(options)),
        twistd,
        stand_in=stand_in,
        venues=[venue],
    )


def _build(config: Config, reread: Callable[[], Config], twistd: usage.Options, **parts: Any) -> IService:
    """Build on the global reactor. A taken port ends the process: one line, exit code 1, no pid file left.
    ``reread`` loads the settings again, or raises ``ConfigError``."""
    manager = service_manager(os.environ, os.getpid())

    def bind_failed(message: str) -> NoReturn:
        remove_pid_file(twistd)
        if not twistd.get("nodaemon"):
            twistd["pidfile"] = ""  # twistd itself would take it away only after its parent has ended
            raise CryptodashError(message)  # twistd's waiting parent prints it and exits with 1
        refuse(message)

    try:
        server = build(
            config,
            reactor,
            clock=SystemClock(),
            random=SystemRandom(),
            bind_failed=bind_failed,
            notifier=manager.notifier,
            **parts,
        )
    except ConfigError as error:
        refuse(str(error))
    if manager.watchdog_s is not None:
        Watchdog(manager, reactor).setServiceParent(server)
    if (heartbeat := heartbeat_of(os.environ, reactor)) is not None:
        heartbeat.setServiceParent(server)
    _look_up_names()
    watch_signals(reactor, twistd, Reloader(config, reread, [_LOG_LEVELS, *server.live.parts()], manager.notifier))
    reactor.callWhenRunning(_freeze_what_stays)
    reactor.callWhenRunning(lambda: manager.notifier.ready(f"listening on {server.address}"))
    return server


_LOG_LEVELS = Reloadable(("log_level",), lambda old, new: log.change_levels(new.log_level))


def _look_up_names() -> None:
    """A lookup that hangs holds nothing else, and not the end of the process."""
    use_daemon_threads(reactor.getThreadPool())
    reactor.installNameResolver(NameLookups(reactor))


def _freeze_what_stays() -> None:
    """Let no later garbage collection go through what was imported and built: that alone took 50 ms each time, in which
    nobody is served."""
    gc.collect()
    gc.freeze()


def _listen(stand_in: Simulator | Replay) -> None:
    try:
        stand_in.listen()
    except CannotListenError as error:
        refuse(f"the simulator cannot listen: {error}")


def _twistd(options: usage.Options) -> usage.Options:
    """twistd's own options: whether it daemonizes, which pid file it writes."""
    if options.parent is not None:
        return options.parent
    twistd = ServerOptions()  # a tac file: the command line is not ours, so twistd's own parser reads it again
    twistd.parseOptions(sys.argv[1:])
    return twistd


def _simulate(options: usage.Options, twistd: usage.Options) -> IService:
    """The simulated venues alone, each host on a fixed port; prints where."""
    exchanges = [each.strip() for each in options["exchanges"].split(",") if each.strip()]
    unknown = [each for each in exchanges if each not in dialects.available()]
    if unknown or not exchanges:
        said = f"{', '.join(unknown)[:80]} has no simulator" if unknown else "names no venue"
        refuse(f"--exchanges: {said}; allowed are {', '.join(dialects.available())}")
    simulator = _simulator(
        seed=options["seed"],
        exchanges=exchanges,
        interface=options["interface"],
        first_port=options["port"],
        control_port=options["control-port"],
        lags=options["lag"],
    )
    _listen(simulator)
    for dialect in simulator.dialects:
        for spec in simulator.hosts_of(dialect):
            websocket, rest = simulator.base_urls[dialect.exchange, spec.markets[0]]
            where = f"{websocket} ({', '.join(spec.websocket_paths)}) {rest} ({spec.rest_path})"
            _answer(f"{spec.name} ({', '.join(spec.markets)}): {where}")
    faults = f"twistd cryptodash fault --control-port {simulator.control_port}"
    _answer(f"start faults with: {faults}")
    watch_signals(reactor, twistd)
    return simulator


def _check_markets(config: Config, simulator: Simulator) -> None:
    """A demo shows every market of its venues, or does not start."""
    try:
        for exchange in config.exchanges:
            missing = [each for each in registry.load(exchange).markets if (exchange, each) not in simulator.markets]
            if missing:
                refuse(f"DEMO: the simulator of {exchange} has no {' and no '.join(missing)} market")
    except ConfigError as error:
        refuse(str(error))


def _simulator(**options: Any) -> Simulator:
    try:
        return Simulator(reactor, SystemClock(), **options)
    except ConfigError as error:
        refuse(str(error))


def _new_token(options: usage.Options) -> NoReturn:
    """Two lines: the token, then the file's."""
    token = new_token(SystemRandom())
    try:
        line = token_line(options["name"], token, tuple(options["scope"]) or ("read",))
    except ValueError as error:
        refuse(f"token: {error}")
    _answer(token)
    _answer(line)
    raise SystemExit(0)


def _doctor(config: Config, options: usage.Options) -> NoReturn:
    """Examine, print, end. The reactor runs in here, before twistd would daemonize and start it: a process whose
    reactor twistd has run ends with exit code 0 whatever came of it."""
    levels = "warn" if config.log_level == "info" else config.log_level
    globalLogBeginner.beginLoggingTo([log.make_observer(levels, sys.stderr)], redirectStandardIO=False)
    for warning in config.warnings:
        _log.warn("{warning}", warning=warning)
    _look_up_names()
    outcome: list[Any] = []
    try:
        examinations = _examinations(config, options)
    except ConfigError as error:
        refuse(str(error))

    def begin() -> None:
        examining = Deferred.fromCoroutine(examine(examinations))
        examining.addBoth(outcome.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not outcome:
        refuse("doctor: interrupted, so that nothing was judged")
    if isinstance(outcome[0], Failure):
        refuse(f"doctor: an error of ours: {outcome[0].getErrorMessage()}; LOG_LEVEL=debug says more")
    reports: Sequence[Report] = outcome[0]
    _answer(json.dumps(as_json(reports), indent=2) if options["json"] else as_text(reports))
    sys.stdout.flush()
    raise SystemExit(1 if any(each.is_wrong for each in reports) else 0)


def _examinations(config: Config, options: usage.Options) -> list[Examination]:
    """One for each venue; with ``DEMO`` of the simulator. Raises ``ConfigError``."""
    save = Path(options["save"]) if options["save"] else None
    clock = SystemClock()
    means = Means(
        config=config, reactor=reactor, clock=clock, random=SystemRandom(), seconds=options["seconds"], save=save
    )
    venues = [registry.load(name) for name in config.exchanges]
    if not config.demo:
        return [Examination(venue, *hosts_of(venue, config), means) for venue in venues]
    simulator = _simulator(exchanges=config.exchanges)
    _check_markets(config, simulator)
    _listen(simulator)
    simulator.startService()
    stand_in = StandIn(simulator, simulator.base_urls, "simulated")
    return [Examination(venue, *stand_in.of(venue), means) for venue in venues]


def _print_config(config: Config) -> NoReturn:
    """One setting a line, secrets hidden. What only the start would find out is tried,
    but for the socket that systemd alone can pass on."""
    try:
        if not config.bind_addr.startswith("systemd:"):
            endpoint_of(reactor, config.bind_addr)
        elif config.tls_cert:
            CertificateFiles(config.tls_cert, config.tls_key).load()
    except ConfigError as error:
        refuse(str(error))
    except Exception as error:  # whatever is wrong with the certificate's files
        refuse(f"TLS_CERT and TLS_KEY cannot be used: {error}")
    try:
        read_rules(config)
    except ConfigError as error:
        refuse(str(error))
    secrets = {setting.attribute for setting in SETTINGS if setting.is_secret}
    settings = asdict(config, recurse=False)
    settings |= asdict(settings.pop("limits"))
    settings |= {name: origin_of(text) for name, text in settings.pop("endpoints").items()}
    for name, value in sorted(settings.items()):
        hidden = name in secrets and value
        shown = "(set)" if hidden else ", ".join(map(str, value)) if isinstance(value, tuple) else value
        _answer(f"{name} = {shown}")
    _answer("the settings are good")
    raise SystemExit(0)
