"""Everything about snapshots that the books of one venue share."""

from __future__ import annotations

from attrs import frozen

from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.subscriptions.opening_books import OpeningBooks
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.snapshot_sizes import SnapshotSizes


@frozen
class Snapshots:
    """Their queue, which books may join it, how large snapshots are asked for, and what the frames of all books that
    wait for one may weigh."""

    queue: SnapshotQueue
    opening: OpeningBooks
    sizes: SnapshotSizes
    budget: FrameBudget
