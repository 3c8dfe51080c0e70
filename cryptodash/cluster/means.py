"""What the venues of one process share, as far as the cluster needs it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import frozen

from cryptodash.cluster.channels import Channels
from cryptodash.cluster.questions import Asking
from cryptodash.core.interfaces import IRemoteInlet
from cryptodash.core.quality import StreamRecords
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDemand, IStates


@frozen
class Leases:
    """The leases of a process together. ``may_hold`` tells whether it opens venues now, ``may_try`` whether it may ask
    for one more at this moment, ``held`` how many it has; ``granted`` is called when it has one more."""

    may_hold: Callable[[], bool]
    may_try: Callable[[], bool]
    held: Callable[[], int]
    granted: Callable[[], None]


@frozen
class Means:
    """What all venues of a process share. ``send`` tells something to the holder of a venue, or to a process;
    ``records`` is where the ledger counts what comes of a venue, ``trouble`` says why nothing comes from other
    processes."""

    process: str
    inlet: IRemoteInlet
    demand: IDemand
    states: IStates
    reactor: Any
    clock: Clock
    random: Random
    tally: Tally
    channels: Channels
    asking: Asking
    leases: Leases
    send: Callable[[str, bytes], None]
    records: Callable[[str], StreamRecords]
    trouble: Callable[[], str]
