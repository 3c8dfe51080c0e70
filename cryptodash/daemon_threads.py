"""A thread pool that the end of the process does not wait for.

Twisted looks names up in the reactor's thread pool, by ``getaddrinfo``, which cannot be interrupted and takes minutes
where the name service does not answer. At the end the reactor joins the threads of its pool, and then the interpreter
joins every thread that is no daemon: either would keep the process for as long as the lookup lasts.
"""

from __future__ import annotations

from threading import Thread
from typing import Any, Final

from twisted.python.threadpool import ThreadPool

JOIN_S: Final = 0.05
"""What each of at most 10 threads gets to end: an idle one needs less than a millisecond."""


class DaemonThread(Thread):
    """A daemon, whose ``join`` gives up after ``JOIN_S`` seconds where no timeout is named."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "daemon": True})

    def join(self, timeout: float | None = None) -> None:
        super().join(JOIN_S if timeout is None else timeout)


def use_daemon_threads(pool: ThreadPool) -> None:
    """Every thread that the pool makes from now on is a ``DaemonThread``; what it works on at the end is lost."""
    pool.threadFactory = DaemonThread
