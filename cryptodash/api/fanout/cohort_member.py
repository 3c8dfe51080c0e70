"""One client, as its cohort sees it: the seam between the loop over many clients and the writer of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cryptodash.hub.interfaces import Batch, Message

Send = Callable[[bytes], int]
"""Puts bytes on a wire and returns how many it took; -1 if it took all but wants no more now. May raise OSError."""


class CohortMember(Protocol):
    """``send`` is called in the cohort's loop while the client is ``clean``."""

    send: Send

    @property
    def clean(self) -> bool:
        """Whether nothing is queued for the client anywhere."""

    def catch_up(self, messages: Sequence[Message | Batch]) -> None:
        """Take what the cohort's loop did not send to this client."""

    def block(self, data: bytes, sent: int) -> None:
        """The wire took only ``sent`` of the bytes (-1: all, but wants no more)."""

    def failed(self) -> None:
        """By a fault of ours the client has missed something: it has to begin anew."""
