"""Lists of many instruments, rows, bars or trades: one that cannot be read never takes the others with it.

A venue lists test contracts and half-made ones, once served a bar with a negative volume for years, and sends the rows
of all its instruments in one frame. What cannot be read is left out and said (``LeftOut``), for callers to count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from cryptodash.core.errors import ZeroRejected
from cryptodash.core.instruments import Symbol
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.decode import MAX_NAME, UNREADABLE, bad_frame
from cryptodash.exchanges.adapter.messages import Bar, LeftOut, Message

T = TypeVar("T")
E = TypeVar("E")

_any = msgspec.json.Decoder().decode


class NotListed(Exception):
    """A listing of a catalogue that can be read and is none of ours to list, and why: ``settled in its base``."""


def tradable(name: Symbol | None, tick_size: Number | None, step_size: Number | None) -> tuple[Symbol, Number, Number]:
    """What no instrument can be without, as it was read. Raises ``NotListed`` for what is missing."""
    if tick_size is None or step_size is None:
        raise NotListed("no tick size or no step size")
    if name is None:
        raise NotListed("base and quote are no symbol")
    return name, tick_size, step_size


class Kept(list[T]):
    """The elements that could be read; ``left_out`` are those that could not, each by its name and why, ``not_listed``
    those for which ``NotListed`` was raised."""

    left_out: tuple[tuple[str, str], ...] = ()
    not_listed: tuple[tuple[str, str], ...] = ()

    def told(self, stream: str, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages of a frame of this stream that were made of what was kept, and what was left out."""
        return (*messages, LeftOut(stream, self.left_out)) if self.left_out else messages


def kept(
    elements: Iterable[E], read: Callable[[E], T | None], name: Callable[[E], object] = lambda each: ""
) -> Kept[T]:
    """What ``read`` makes of each element, less those of which it makes None (not ours) and those that it cannot read.

    ``read`` may raise whatever decoding raises (``UNREADABLE``), and ``NotListed``; ``name`` is how the venue calls an
    element, for the log (``named``). Declare the list as ``list[msgspec.Raw]`` and decode its elements here, so that a
    malformed one is found by itself. Raises the first error where not one element could be read: that is no odd
    element, but another format.
    """
    found: Kept[T] = Kept()
    odd: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    first: Exception | None = None
    skipped = False
    for each in elements:
        try:
            made = read(each)
        except NotListed as reason:
            others.append((_name_of(each, name), str(reason)))
        except UNREADABLE as error:
            first = first or error
            odd.append((_name_of(each, name), str(bad_frame(error))))
        else:
            if made is None:
                skipped = True
            else:
                found.append(made)
    found.not_listed = tuple(others)
    if first is not None:
        if not (found or skipped or others):
            raise first
        found.left_out = tuple(odd)
    return found


def nonzero(elements: Iterable[E], read: Callable[[E], T], name: Callable[[E], object] = lambda each: "") -> Kept[T]:
    """What ``read`` makes of each element, less those with zero for a price or a quantity: for the trades or bars of
    one stream, in a frame of several. Any other element that cannot be read makes the whole frame bad, and so does a
    frame of nothing but zeros (``ZeroRejected``)."""
    found: Kept[T] = Kept()
    odd: list[tuple[str, str]] = []
    last: ZeroRejected | None = None
    for each in elements:
        try:
            found.append(read(each))
        except ZeroRejected as error:
            last = error
            odd.append((_name_of(each, name), str(error)))
    if last is not None and not found:
        raise last
    found.left_out = tuple(odd)
    return found


def named(member: str | int) -> Callable[[msgspec.Raw], object]:
    """How an element that is not decoded yet is called: its member of that name, or in that place of an array."""

    def name(raw: msgspec.Raw) -> object:
        return _any(raw)[member]

    return name


def left_out_of(found: object) -> tuple[tuple[str, str], ...]:
    """What a venue's function left out of the list that it returned."""
    return found.left_out if isinstance(found, Kept) else ()


def not_listed_of(found: object) -> tuple[tuple[str, str], ...]:
    """What a page of a venue's catalogue holds that is not listed, each by its name and why."""
    return found.not_listed if isinstance(found, Kept) else ()


def _name_of(each: E, name: Callable[[E], object]) -> str:
    """Whatever can be had of an element that is odd already."""
    try:
        return str(name(each))[:MAX_NAME]
    except (*UNREADABLE, LookupError, TypeError):
        return ""


def closed_by_next(bars: Sequence[Bar]) -> Sequence[Bar]:
    """The bars of one frame of a venue that has no closed flag, oldest first: each is over that is followed by one that
    had begun when the frame was sent. Where the frame says no time, nothing is proven."""
    if len(bars) < 2:
        return bars
    begun = [each.open_time for each in bars if each.time is not None and each.open_time <= each.time]
    newest = max(begun, default=0)
    return [replace(each, closed=True) if each.open_time < newest else each for each in bars]
