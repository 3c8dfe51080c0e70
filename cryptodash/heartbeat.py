"""The sign of life of one of several server processes to the one that watches them: a byte a second in a pipe."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime

VARIABLE: Final = "CRYPTODASH_HEARTBEAT_FD"
BEAT_S: Final = 1.0


class Heartbeat(TimerService):
    """Beats by a timer of the reactor, so that a process that hangs does not. The first beat says that it serves."""

    def __init__(self, descriptor: int, scheduler: IReactorTime) -> None:
        super().__init__(BEAT_S, self._beat)
        self.clock = scheduler
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def _beat(self) -> None:
        with suppress(OSError):  # nobody reads just now, or any more: who serves clients goes on
            os.write(self._descriptor, b".")


def heartbeat_of(environment: MutableMapping[str, str], scheduler: IReactorTime) -> Heartbeat | None:
    """None where nobody watches this process. Taken out of the environment."""
    descriptor = environment.pop(VARIABLE, "")
    return Heartbeat(int(descriptor), scheduler) if descriptor.isdigit() else None
