"""One run of one writer: its segments, opened when they are read."""

from __future__ import annotations

from attrs import define, field

from cryptodash.recording.layout import SegmentFile
from cryptodash.recording.segment import Replaced, Segment
from cryptodash.recording.tape_errors import BadTape


@define(eq=False)
class Run:
    """The segments of one run, oldest first."""

    id: bytes
    writer: str
    segments: list[Segment] = field(factory=list)
    files: list[SegmentFile] = field(factory=list)

    def opened(self, place: int) -> Segment:
        """One of the segments, its file open: the one that has its name now, where it was sorted meanwhile. Raises
        ``BadTape`` and ``OSError``."""
        segment = self.segments[place]
        try:
            segment.touch()
        except Replaced:
            segment.close()
            segment = self.segments[place] = self.files[place].open()
            if segment.run != self.id:
                raise BadTape("a segment of another run has its name") from None
        return segment

    @property
    def first(self) -> int:
        return self.segments[0].first

    @property
    def last(self) -> int:
        return max(each.last for each in self.segments)
