"""One subscribe or unsubscribe on its way: what it names, what became of it, how much fits into one frame."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

Fits = Callable[[bool, tuple[str, ...]], bool]
"""Whether the frame that begins (True) or ends these streams is short enough; one of a single stream always is."""


@frozen
class Request:
    """A subscribe (``on``) or unsubscribe that waits for its answer. ``again``: it is the second try."""

    on: bool
    names: tuple[str, ...]
    again: bool = False
    expires: float = 0.0


@define
class Settled:
    """What answers and timeouts decided."""

    subscribed: list[str] = field(factory=list)
    rejected: list[str] = field(factory=list)


def fitting(fits: Fits, on: bool, names: tuple[str, ...]) -> int:
    """How many of the streams, from the first, fit into one frame; at least one."""
    if len(names) <= 1 or fits(on, names):
        return len(names)
    most, too_many = 1, len(names)
    while too_many - most > 1:
        middle = (most + too_many) // 2
        if fits(on, names[:middle]):
            most = middle
        else:
            too_many = middle
    return most
