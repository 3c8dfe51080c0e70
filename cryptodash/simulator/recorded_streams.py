"""The data frames of a recording, each with its time and its stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from attrs import evolve, frozen

from cryptodash.simulator.dialect import IRecordingReader
from cryptodash.simulator.recorded_files import RecordedFrame

GAP_WITHOUT_TIMES = 0.1
"""Seconds between frames of a recording that has no times."""


@frozen
class Frame:
    """One recorded frame: seconds after the first one, or after the time that was asked for (never decreasing; before
    that time negative), the stream it belongs to, and its text. ``is_behind_hole``: it is the first one behind a time
    of which something is missing."""

    at: float
    stream: str
    text: str
    is_behind_hole: bool = False


def data_frames(
    lines: Sequence[RecordedFrame], reader: IRecordingReader, start: float | None = None, holes: Sequence[int] = ()
) -> Sequence[Frame]:
    """Data frames with their stream; answers are left out, because a replay gives its own, and so is what the frame of
    a checkpoint holds. ``start``: when it is 0, if not at the first. ``holes``: the places among the lines before
    which something is missing, in order."""
    kept: list[tuple[int, Frame]] = []
    held: dict[str, int] = {}
    for place, frame in reversed(list(_all_frames(lines, reader, start))):
        holds_from = lines[place].holds_from
        if holds_from is not None:
            held[frame.stream] = holds_from
        elif place >= held.get(frame.stream, len(lines)):
            continue
        kept.append((place, frame))
    return list(_with_holes(reversed(kept), deque(holes)))


def _with_holes(placed: Iterable[tuple[int, Frame]], holes: deque[int]) -> Iterator[Frame]:
    is_first = True
    for place, frame in placed:
        is_behind_hole = False
        while holes and holes[0] <= place:
            holes.popleft()
            is_behind_hole = not is_first
        yield evolve(frame, is_behind_hole=True) if is_behind_hole else frame
        is_first = False


def beginning(lines: Iterable[RecordedFrame], start: float | None) -> float:
    return start if start is not None else next((each.time for each in lines if each.came_in and each.time), 0.0)


def _all_frames(
    lines: Sequence[RecordedFrame], reader: IRecordingReader, start: float | None
) -> Iterator[tuple[int, Frame]]:
    """With their places among the lines."""
    requested = _requested(lines, reader, came_in=False) or _requested(lines, reader, came_in=True)
    first, at = start, -inf
    if start is None:
        first = next((line.time for line in lines if line.came_in and line.time is not None), None)
        at = -GAP_WITHOUT_TIMES
    for place, line in enumerate(lines):
        if not line.came_in:
            continue
        at = max(at, line.time - first) if first is not None and line.time is not None else at + GAP_WITHOUT_TIMES
        data = line.data
        found = reader.read_data(data, line.text, requested) if data is not None else None
        if found is not None:
            yield place, Frame(at, *found)


def _requested(lines: Sequence[RecordedFrame], reader: IRecordingReader, *, came_in: bool) -> list[str]:
    """The streams that the recorder asked for, by its requests, or by the answers where only these were recorded."""
    said = (line.data for line in lines if line.came_in is came_in)
    requests = (reader.read_request(each) for each in said if isinstance(each, dict))
    return [name for request in requests if request is not None for name in request.subscribes]
