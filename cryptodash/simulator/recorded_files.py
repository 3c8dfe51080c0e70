"""Where recorded frames and REST answers come from: a file of lines, and what lies beside it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, MsgspecError, Struct
from msgspec.json import Decoder, decode

from cryptodash.core.errors import ConfigError

LONGEST_LINE = 8 * 1024 * 1024
MOST_BYTES = 512 * 1024 * 1024
"""What is read of one file, unpacked: it is held in memory."""

UNREADABLE = (MsgspecError, UnicodeError, RecursionError)


class RecordedFrame(NamedTuple):
    """One recorded frame. ``holds_from``: it was made of a checkpoint and holds what came of its stream before it, from
    this place in the recording on."""

    came_in: bool
    time: float | None
    text: str
    holds_from: int | None = None

    @property
    def data(self) -> dict[str, Any] | list[Any] | None:
        """What it says: None where that is no JSON object or array. Made anew each time: what a text of brackets makes
        is twenty times as large, and all frames are held."""
        return said(self.text)


class RecordedAnswer(NamedTuple):
    """A REST answer: what it is to, its body, when it came (seconds, None: not known), and whether it was made of a
    checkpoint."""

    url: str
    body: bytes
    time: float | None = None
    is_checkpoint: bool = False


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def said(raw: str) -> dict[str, Any] | list[Any] | None:
    """What a frame says. A venue may send anything (``pong`` as bare text): such a frame is part of the recording, only
    not of any stream."""
    try:
        found = decode(raw)
    except UNREADABLE:
        return None
    return found if isinstance(found, dict | list) else None


def is_tape(path: Path) -> bool:
    """Whether it is a tape of ours, or a directory of them."""
    return path.suffix == ".tape" or path.is_dir()


# -- a file of lines


class _FileLine(Struct, rename={"direction": "dir", "time": "t"}):
    raw: str
    direction: Literal["in", "out"]
    time: Annotated[float, Meta(ge=0, le=1e11)] | None = None


_line = Decoder(_FileLine)


def file_lines(path: Path) -> Iterator[RecordedFrame]:
    """Raises ``ConfigError``."""
    size = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, text in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
                size += len(text)
                if len(text) > LONGEST_LINE or size > MOST_BYTES:
                    raise ConfigError(
                        f"replay: {path.name} is too large at line {number}; "
                        f"allowed are lines of {LONGEST_LINE} and {MOST_BYTES} bytes in all"
                    )
                yield _read_line(text, f"line {number} of {path.name}")
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"replay: {path.name} cannot be read: {one_line(error)}") from None


def _read_line(text: bytes, place: str) -> RecordedFrame:
    try:
        line = _line.decode(text)
    except UNREADABLE as error:
        raise ConfigError(f"replay: {place} is not a recorded frame: {one_line(error)}") from None
    return RecordedFrame(line.direction == "in", line.time, line.raw)


class _Indexed(Struct, rename={"time": "t"}):
    url: str
    time: float | None = None


def answers_of_index(path: Path) -> list[tuple[str, str]]:
    """(name of the file, URL) of what the index beside a recording lists, by time, those without one last and as the
    index has them; nothing where there is none. Raises ``ConfigError``."""
    index = path.with_name("rest-index.json")
    if not index.is_file():
        return []
    try:
        listed = decode(index.read_bytes(), type=dict[str, _Indexed]).items()
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(f"replay: {index.name} beside {path.name} cannot be used: {one_line(error)}") from None
    ordered = sorted(listed, key=lambda each: inf if each[1].time is None else each[1].time)
    return [(name, entry.url) for name, entry in ordered]
