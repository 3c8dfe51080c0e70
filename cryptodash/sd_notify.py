"""What a service manager is told: that the server is ready, reads its settings again, stops, and is alive. A datagram
of ``NAME=value`` lines each, to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)); without one nothing is sent.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

from attrs import frozen
from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

SEND_S: Final = 0.5
"""How long a datagram may wait for room, which a service manager that works always has."""

_log = Logger(namespace="cryptodash.sd_notify")


def monotonic_usec() -> int:
    """The clock by which a service manager puts a reload and its end in order: it stands still while the machine
    sleeps, other than ours."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Notifier:
    """Tells a service manager at this address: a path, ``@name`` in the abstract namespace, or none."""

    def __init__(self, address: str = "", clock: Callable[[], int] = monotonic_usec) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._clock = clock
        self._failed = False

    def ready(self, status: str = "") -> None:
        """Whoever comes is served; also after ``reloading``."""
        self._tell("READY=1", *([f"STATUS={_one_line(status)}"] if status else []))

    def reloading(self) -> None:
        """The settings are read again; ``ready`` says when it is done."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self._clock()}")

    def stopping(self) -> None:
        """Goodbye is being said to the clients."""
        self._tell("STOPPING=1", "STATUS=draining")

    def status(self, text: str) -> None:
        """One line for a person."""
        self._tell(f"STATUS={_one_line(text)}")

    def alive(self) -> None:
        """To be told at least once in the time of ``Watchdog``."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        """A server that cannot tell serves on."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_S)
                sender.sendto("\n".join(lines).encode(), self._address)
            self._failed = False
        except OSError as error:
            if not self._failed:
                _log.warn("the service manager cannot be told {line}: {error}", line=lines[0], error=str(error))
            self._failed = True


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


@frozen
class ServiceManager:
    """What the environment says of one: whom to tell, and within how many seconds it wants to hear that we live (None:
    it does not ask)."""

    notifier: Notifier
    watchdog_s: float | None = None


def service_manager(environment: MutableMapping[str, str], process: int) -> ServiceManager:
    """Taken out of the environment, so that no process that we start speaks for us. A watchdog that is meant for
    another process, as it is for the parent of one that went into the background, is none of ours."""
    address = environment.pop("NOTIFY_SOCKET", "")
    usec, meant = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return ServiceManager(Notifier())
    asked = usec.isascii() and usec.isdigit() and len(usec) <= 18 and int(usec) > 0
    watchdog_s = int(usec) / 1e6 if asked and meant in ("", str(process)) else None
    return ServiceManager(Notifier(address), watchdog_s)


class Watchdog(TimerService):
    """Says twice in the time that the service manager allows that this process lives, by a timer of the reactor: one
    that hangs says nothing and is started again. ``lives``: whether all else does."""

    def __init__(
        self,
        manager: ServiceManager,
        scheduler: IReactorTime,
        lives: Callable[[], bool] = lambda: True,
    ) -> None:
        assert manager.watchdog_s is not None, "nobody asks"
        super().__init__(manager.watchdog_s / 2, self._beat)
        self.clock = scheduler
        self._notifier = manager.notifier
        self._lives = lives

    def _beat(self) -> None:
        if self._lives():
            self._notifier.alive()
