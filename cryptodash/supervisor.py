"""Several server processes on one address: this one binds it once, starts the others on it, and starts again what
ends. ``twistd cryptodash run --processes N``."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, NoReturn

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.core.config import Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import PREFIX
from cryptodash.heartbeat import BEAT_S, VARIABLE
from cryptodash.sd_notify import Notifier

MOST: Final = 64
BACKLOG: Final = 1024
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
STEADY_S: Final = 60.0
"""One that has run for so long begins anew with the shortest wait."""
END_S: Final = 7.0
"""Seconds that a process may take to end: two more than it promises."""
SHARED: Final = ("MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_IP")
"""Limits of all together: each process gets its part."""
LONGEST_LINE: Final = 16_384
SILENT_BEATS: Final = 30
"""So many looks, one a second, at a process that serves and gives no sign of life: it hangs, and is killed. Counted are
looks and not seconds, so that a machine that slept kills nobody."""
START_BEATS: Final = 120
"""The same for one that does not serve yet."""
LIVELY_BEATS: Final = 5
_SOCKET_FD: Final = 3
"""Where a process finds the socket that is passed on, as systemd does."""
_HEARTBEAT_FD: Final = 4

_log = Logger(namespace="cryptodash.supervisor")


def check(config: Config, processes: int) -> tuple[str, int] | None:
    """Where the processes are to listen; None: on a socket that systemd passes on. Raises ``ConfigError`` where several
    cannot."""
    name = f"--processes {processes}"
    if not config.enable_redis:
        raise ConfigError(f"{name} needs ENABLE_REDIS=true: without Redis each would be a server of its own")
    if config.demo:
        raise ConfigError(f"{name} and --demo: each would have markets of its own; `make demo-cluster` shows several")
    parts = re.split(r"(?<!\\):", config.bind_addr)
    if parts[0] == "systemd":
        return None
    default = "::" if parts[0] == "tcp6" else ""
    interface = next((part.partition("=")[2] for part in parts if part.startswith("interface=")), default)
    with_tls = parts[0] == "ssl" and config.tls_cert  # each reads TLS_CERT and TLS_KEY itself
    if (parts[0] not in ("tcp", "tcp6") and not with_tls) or len(parts) < 2 or not parts[1].isdigit():
        raise ConfigError(
            f"{name}: BIND_ADDR {config.bind_addr!r} cannot be shared; allowed is host:port, or systemd:..."
        )
    return interface.replace("\\", ""), int(parts[1])


def listening_socket(host: str, port: int) -> socket.socket:
    """Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def inherited_socket(reactor: Any, text: str) -> socket.socket:
    """The one that a ``systemd:...`` endpoint string means. Raises ``ValueError`` where none was passed on."""
    try:
        endpoint = serverFromString(reactor, text)
        return socket.socket(fileno=os.dup(endpoint.fileno))
    except Exception as error:  # whatever the parser raises for what is not there
        raise ValueError(f"BIND_ADDR {text!r}: no such socket was passed on ({error!r})") from None


class Supervisor(Service):
    """``given``: settings of the command line, by name, handed on to each process; ``options``: what else it is given.
    ``bind_failed`` is told in one line why the address could not be had, and ends the process."""

    name = "supervisor"

    def __init__(
        self,
        config: Config,
        processes: int,
        given: Mapping[str, str],
        options: tuple[str, ...],
        reactor: Any,
        random: Random,
        bind_failed: Callable[[str], NoReturn],
        notifier: Notifier | None = None,
    ) -> None:
        self.watchdog: IService | None = None
        """What tells a service manager as long as ``lives``, where one asks."""
        self._notifier = notifier or Notifier()
        self._serving = False
        self._look_call: IDelayedCall | None = None
        self._place, self._bind_addr = check(config, processes), config.bind_addr
        limits = {"MAX_CONNECTIONS": config.limits.max_connections}
        limits["MAX_CONNECTIONS_PER_IP"] = config.limits.max_connections_per_ip
        self._settings = dict(given) | {name: str(max(1, limits[name] // processes)) for name in SHARED}
        self._options = options
        self._reactor = reactor
        self._random = random
        self._bind_failed = bind_failed
        self._socket: socket.socket | None = None
        self.children = [Child(number + 1, self) for number in range(processes)]

    def privilegedStartService(self) -> None:
        """Bind now, perhaps as root."""
        super().privilegedStartService()
        try:
            if self._place is None:
                self._socket = inherited_socket(self._reactor, self._bind_addr)
            else:
                self._socket = listening_socket(*self._place)
        except ValueError as error:
            self._bind_failed(str(error))
        except OSError as error:
            assert self._place is not None, "what is inherited is not bound"
            host, port = self._place
            self._bind_failed(f"cannot listen on {host}:{port}: {error.strerror or error}")

    def startService(self) -> None:
        super().startService()
        _log.info("{status}", status=self._status())
        for child in self.children:
            child.start()
        if self.watchdog is not None:
            self.watchdog.startService()
        self._look_call = self.call_later(BEAT_S, self._look)

    def lives(self) -> bool:
        """Whether a process has served within the last seconds; each that has not is being started or killed."""
        return any(child.serves and child.silent <= LIVELY_BEATS for child in self.children)

    def reload(self) -> None:
        """Each process reads its settings again."""
        for child in self.children:
            child.reload()

    def served(self) -> None:
        """A process says that it serves."""
        if not self._serving:
            self._serving = True
            self._notifier.ready(self._status())

    def _status(self) -> str:
        assert self._socket is not None
        name = self._socket.getsockname()
        where = ":".join(map(str, name[:2])) if isinstance(name, tuple) else os.fsdecode(name)
        return f"{len(self.children)} processes listen on {where}"

    def _look(self) -> None:
        self._look_call = self.call_later(BEAT_S, self._look)
        for child in self.children:
            child.look()

    def stopService(self) -> Deferred[Any]:
        """Fires when all have ended: each has some seconds for its clients."""
        super().stopService()
        self._notifier.stopping()
        if self._look_call is not None:
            self._look_call.cancel()
            self._look_call = None
        if self.watchdog is not None and self.watchdog.running:
            self.watchdog.stopService()
        done = DeferredList([child.stop() for child in self.children])
        return done.addCallback(lambda _: self._close())

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def spawn(self, protocol: ProcessProtocol) -> Any:
        """One process more on the socket."""
        assert self._socket is not None
        family = self._socket.family.name.removeprefix("AF_")
        own = {f"{PREFIX}{name}": value for name, value in self._settings.items()}
        own[f"{PREFIX}BIND_ADDR"] = f"systemd:domain={family}:index=0"
        own[VARIABLE] = str(_HEARTBEAT_FD)
        command = [sys.executable, "-m", "cryptodash.adopt", "run", *self._options]
        descriptors = {0: "w", 1: "r", 2: "r", _SOCKET_FD: self._socket.fileno(), _HEARTBEAT_FD: "r"}
        return self._reactor.spawnProcess(
            protocol, sys.executable, command, {**os.environ, **own}, childFDs=descriptors
        )

    def call_later(self, seconds: float, call: Callable[[], object]) -> IDelayedCall:
        made: IDelayedCall = self._reactor.callLater(seconds, call)
        return made

    def seconds(self) -> float:
        return float(self._reactor.seconds())

    def jitter(self) -> float:
        return self._random.uniform(0.5, 1.0)


class Child(ProcessProtocol):
    """One of the processes: started again whenever it ends, unless that is wanted."""

    transport: Any
    """An ``IProcessTransport``, once it has been started."""

    def __init__(self, number: int, supervisor: Supervisor) -> None:
        self.number = number
        self.starts = 0
        self._supervisor = supervisor
        self._lines = {1: _Lines(number), 2: _Lines(number)}
        self._begun = 0.0
        self._wait = FIRST_WAIT_S
        self._call: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._is_running = False
        self.serves = False
        """Whether it has given a sign of life since it was started."""
        self.silent = 0
        """Looks since the last one."""
        self._reload_due = False

    def start(self) -> None:
        self._call = None
        self.serves, self.silent, self._reload_due = False, 0, False
        self._begun = self._supervisor.seconds()
        self._is_running = True
        self.starts += 1
        self._supervisor.spawn(self)

    def stop(self) -> Deferred[None]:
        """SIGTERM, and after a while SIGKILL; fires when it has ended."""
        ended: Deferred[None] = Deferred()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if not self._is_running:
            ended.callback(None)
            return ended
        self._ended = ended
        self._call = self._supervisor.call_later(END_S, self._kill)
        self._signal("TERM")
        return ended

    def reload(self) -> None:
        """SIGHUP, as soon as it can take one: before it serves it would end by it."""
        if self.serves:
            self._signal("HUP")
        else:
            self._reload_due = self._is_running

    def look(self) -> None:
        """Once a second."""
        if not self._is_running:
            return
        self.silent += 1
        if self.silent == (SILENT_BEATS if self.serves else START_BEATS):
            _log.error("process {number} gives no sign of life: it is killed", number=self.number)
            self._signal("KILL")

    def _beat(self) -> None:
        self.silent = 0
        if self.serves:
            return
        self.serves = True
        self._supervisor.served()
        if self._reload_due:
            self._reload_due = False
            self._signal("HUP")

    def _kill(self) -> None:
        self._call = None
        _log.error("process {number} does not end: it is killed", number=self.number)
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        try:
            self.transport.signalProcess(name)
        except Exception as error:  # it has ended meanwhile
            _log.debug("signalling process {number}: {error!r}", number=self.number, error=error)

    # -- ProcessProtocol

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == _HEARTBEAT_FD:
            self._beat()
        else:
            self._lines[childFD].took(data)

    def processEnded(self, reason: Failure) -> None:
        self._is_running = self.serves = False
        if self._ended is not None:
            if self._call is not None:
                self._call.cancel()
                self._call = None
            self._ended.callback(None)
            return
        if self._supervisor.seconds() - self._begun >= STEADY_S:
            self._wait = FIRST_WAIT_S
        wait = self._wait * self._supervisor.jitter()
        self._wait = min(LONGEST_WAIT_S, self._wait * 2)
        _log.error(
            "process {number} has ended ({reason}): it is started again in {wait:.1f} s",
            number=self.number,
            reason=reason.getErrorMessage(),
            wait=wait,
        )
        self._call = self._supervisor.call_later(wait, self.start)


class _Lines:
    """What a process says, in our log."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._rest = b""

    def took(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LONGEST_LINE + 1]  # of what is longer only that it is
        for line in lines:
            said = line if len(line) <= LONGEST_LINE else line[:200] + b"..."
            _log.info("[{process}] {relayed}", process=self._number, relayed=said.decode(errors="replace"))
