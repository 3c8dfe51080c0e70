"""Memory that was freed goes back to the system.

glibc keeps what a storm of clients needed, and objects that refer to each other in a circle wait for a collection
that a quiet server may not make for an hour. So, some time after a large drop: ``malloc_trim`` (a few milliseconds),
and before it, where no client is left whom half a second would hurt, a whole collection. Large blocks go back at once
(``keep_large_blocks_apart``). docs/operations.md has figures.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from cryptodash.core.tally import Tally

CHECK_S: Final = 10.0
_MALLOC: Final = {-3: 128 * 1024, -1: 256 * 1024, -8: 2}
"""M_MMAP_THRESHOLD: the least large block; M_TRIM_THRESHOLD: so much may lie free at the end of the heap; M_ARENA_MAX:
heaps, of which every thread would have its own."""

_log = Logger(namespace="cryptodash.memory")


class LargeDrop:
    """Tells when to trim, from amounts that memory goes with: ``look`` once a check with what there is of each now.

    ``large`` are the amounts by which one must have dropped from its peak. Nothing may have changed by more than a
    tenth of that for ``quiet`` checks in a row: a storm that is under way brings the next clients, and topics linger.
    """

    def __init__(self, large: Mapping[str, int], quiet: int) -> None:
        self._large = large
        self._enough = quiet
        self._peaks = dict.fromkeys(large, 0)
        self._last = dict.fromkeys(large, 0)
        self._quiet = 0

    def look(self, now: Mapping[str, int]) -> bool:
        """Whether to trim now."""
        moved = any(abs(now[name] - self._last[name]) * 10 > large for name, large in self._large.items())
        self._quiet = 0 if moved else self._quiet + 1
        self._last = dict(now)
        self._peaks = {name: max(peak, now[name]) for name, peak in self._peaks.items()}
        dropped = any(self._peaks[name] - now[name] >= large for name, large in self._large.items())
        if not dropped or self._quiet < self._enough:
            return False
        self._peaks = dict(now)
        return True


def keep_large_blocks_apart() -> bool:
    """Let this process have each large block (a long REST answer, a full read) from the system by itself, so that it
    goes back when it is freed; whether that can be done here.

    glibc begins so too, but from the first block it is given back on it takes blocks of that size out of the heap,
    where small ones that stay keep their place from ever being returned: the memory of a server grew by steps of ten
    megabytes for as long as half an hour.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return all(mallopt(option, size) for option, size in _MALLOC.items())


def find_trim() -> Callable[[], object] | None:
    """glibc's ``malloc_trim``; None elsewhere (musl, macOS)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)


class MemoryTrim(Service):
    """Looks at the amounts every ten seconds, as long as the server runs. One of them is ``clients``."""

    name = "memory trim"

    def __init__(
        self,
        amounts: Callable[[], Mapping[str, int]],
        large: Mapping[str, int],
        quiet_s: float,
        trim: Callable[[], object] | None,
        collect: Callable[[], object],
        reactor: IReactorTime,
        tally: Tally,
    ) -> None:
        self._amounts = amounts
        self._drop = LargeDrop(large, ceil(quiet_s / CHECK_S))
        self._trim = trim
        self._collect = collect
        self._reactor = reactor
        self._call: IDelayedCall | None = None
        self._trims = tally.counter(
            "cryptodash_memory_trims_total", "Times that freed memory was given back to the system."
        )

    def startService(self) -> None:
        super().startService()
        if self._trim is not None:
            self._call = self._reactor.callLater(CHECK_S, self._check)

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _check(self) -> None:
        self._call = self._reactor.callLater(CHECK_S, self._check)
        amounts = self._amounts()
        if self._trim is not None and self._drop.look(amounts):
            if not amounts["clients"]:
                self._collect()
            self._trim()
            self._trims.add()
            _log.info("freed memory was given back to the system")
