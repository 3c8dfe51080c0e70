"""Frames and REST answers of a tape of ours, for a replay. Loaded when one is played."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from attrs import define, field

from cryptodash.core.errors import ConfigError
from cryptodash.core.printable import printable
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.frames import TapedAnswer, TapedFrame, markets_in, read_frames
from cryptodash.recording.tape_errors import BadTape
from cryptodash.simulator import recorded_files
from cryptodash.simulator.recorded_files import RecordedAnswer, RecordedFrame, one_line

_OF_ONE: Final = 512
"""Bytes that a frame or an answer takes beside its own, about: there may be millions that are empty."""


@define(eq=False)
class TapeOfFrames:
    """One venue and market of a tape of ours, read whole. Raises ``ConfigError`` where there is none, several, or too
    much."""

    exchange: str
    market: str
    lines: list[RecordedFrame] = field(factory=list)
    answers: list[RecordedAnswer] = field(factory=list)
    holes: int = 0

    @classmethod
    def read(
        cls, path: Path, exchange: str, market: str, known: Collection[str], begin: int | None, end: int | None
    ) -> TapeOfFrames:
        """``known``: the venues that can be replayed."""
        try:
            made = cls(*_chosen(path, exchange, market, known))
            made._take(path, begin, end)
        except (BadTape, OSError) as error:
            raise ConfigError(f"replay: {path.name or path} cannot be read: {one_line(error)}") from None
        return made

    def _take(self, path: Path, begin: int | None, end: int | None) -> None:
        size = 0
        for each in read_frames(path, self.exchange, self.market, begin or 0, MOST_TIME if end is None else end):
            if isinstance(each, TapedFrame):
                text = each.frame.decode("utf-8", "replace")
                size += len(each.frame) + _OF_ONE
                self.lines.append(RecordedFrame(each.came_in, each.at, text))
            elif isinstance(each, TapedAnswer):
                size += len(each.body) + _OF_ONE
                self.answers.append(RecordedAnswer(each.url, each.body))
            else:
                self.holes += 1
            if size > recorded_files.MOST_BYTES:
                raise ConfigError(
                    f"replay: {path.name or path} is too large; allowed are {recorded_files.MOST_BYTES} bytes: "
                    "choose a time by --from and --to"
                )


def _chosen(path: Path, exchange: str, market: str, known: Collection[str]) -> tuple[str, str]:
    found = markets_in(path)
    pairs = [
        (each, kind)
        for each, kinds in sorted(found.items())
        for kind in sorted(kinds)
        if each in known and exchange in ("", each) and market in ("", kind)
    ]
    if len(pairs) != 1:
        there = printable(
            ", ".join(f"{each} {kind}" for each, kinds in sorted(found.items()) for kind in sorted(kinds))
        )
        raise ConfigError(
            f"replay: {path.name or path} holds {printable(there) or 'no connection'}: "
            "name one by --exchange and --market"
        )
    return pairs[0]
