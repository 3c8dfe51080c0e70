"""The states an upstream stream can be in, and what moves it from one to another.

A plain transition table, and not Automat: every signal is legal in every state (a venue owes us no order), the state is
read on the hot path (``stream.phase is Phase.LIVE``), and a test walks the whole table.
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """How far a stream has come."""

    WAITING = "waiting"  # for a connection, or for the ack
    ACKED = "acked"  # subscribed, no frame yet on this connection
    LIVE = "live"
    QUIET = "quiet"
    SILENT = "silent"  # frames are missing, and that is certain
    REJECTED = "rejected"


class Signal(enum.Enum):
    """What can happen to a stream."""

    ACK = "ack"
    FRAME = "frame"
    LULL = "lull"  # no frame for longer than usual, nothing contradicts
    SILENCE = "silence"  # no frame although there must have been one
    ALIVE = "alive"  # its connection, which had fallen silent with it, says something again
    LOST = "lost"  # its connection ended
    REFUSAL = "refusal"
    RETRY = "retry"  # give a rejected stream another chance


TRANSITIONS: dict[tuple[Phase, Signal], Phase] = {
    (Phase.WAITING, Signal.ACK): Phase.ACKED,
    (Phase.WAITING, Signal.FRAME): Phase.LIVE,  # data before the ack is data
    (Phase.WAITING, Signal.REFUSAL): Phase.REJECTED,
    (Phase.ACKED, Signal.FRAME): Phase.LIVE,
    (Phase.ACKED, Signal.LULL): Phase.QUIET,
    (Phase.ACKED, Signal.SILENCE): Phase.SILENT,
    (Phase.ACKED, Signal.LOST): Phase.WAITING,
    (Phase.ACKED, Signal.REFUSAL): Phase.REJECTED,
    (Phase.LIVE, Signal.LULL): Phase.QUIET,
    (Phase.LIVE, Signal.SILENCE): Phase.SILENT,
    (Phase.LIVE, Signal.LOST): Phase.WAITING,
    (Phase.LIVE, Signal.REFUSAL): Phase.REJECTED,
    (Phase.QUIET, Signal.FRAME): Phase.LIVE,
    (Phase.QUIET, Signal.SILENCE): Phase.SILENT,
    (Phase.QUIET, Signal.LOST): Phase.WAITING,
    (Phase.QUIET, Signal.REFUSAL): Phase.REJECTED,
    (Phase.SILENT, Signal.FRAME): Phase.LIVE,
    (Phase.SILENT, Signal.ALIVE): Phase.QUIET,
    (Phase.SILENT, Signal.LOST): Phase.WAITING,
    (Phase.SILENT, Signal.REFUSAL): Phase.REJECTED,
    (Phase.REJECTED, Signal.RETRY): Phase.WAITING,
}
"""Every pair that is not listed leaves the phase as it is."""
