"""The commands that read tapes: ``tape ls``, ``tape verify`` and ``export``. Each is a process of its own, which ends
with an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptodash.core.errors import ConfigError
from cryptodash.core.printable import printable
from cryptodash.core.time import parse_time, rfc3339
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.entries import Missing
from cryptodash.recording.export import export
from cryptodash.recording.listing import listing
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.verify import verify

Say = Callable[[str], None]


def tape(words: Sequence[str], say: Say) -> int:
    """``ls DIR`` or ``verify DIR``. The exit code; raises ``ConfigError`` for what is no tape."""
    command, path = words

    def say_it(line: str) -> None:
        say(printable(line))

    try:
        if command == "ls":
            for line in listing(Path(path)):
                say_it(line)
            return 0
        verdict = verify(Path(path), say_it)
    except (BadTape, OSError) as error:
        raise ConfigError(f"tape {command}: {printable(str(error))}") from None
    say(verdict.summary)
    return 1 if verdict.errors else 0


def export_rows(options: Mapping[str, Any]) -> int:
    """Holes are told on stderr, what was done on the last line of it. Raises ``ConfigError``."""
    begin, end = time_us(options["from"], 0), time_us(options["to"], MOST_TIME)
    output = Path(options["output"])
    try:
        done = export(
            Path(options["path"]), output, options["format"], options["topics"], begin, end, text=bool(options["text"])
        )
    except FileExistsError:
        raise ConfigError(f"export: {str(output)[:200]!r} is there already") from None
    except (BadTape, OSError) as error:
        raise ConfigError(f"export: {printable(str(error))}") from None
    for hole in done.holes:
        sys.stderr.write(f"hole {_hole(hole)}\n")
    if done.text_columns and not options["text"]:
        sys.stderr.write(f"as text, because a value is no decimal128(38,18): {', '.join(done.text_columns)}\n")
    sys.stderr.write(f"{done.rows} rows of {len(done.topics)} topics, {len(done.holes)} holes: {output}\n")
    return 0


def time_us(text: str | None, default: int) -> int:
    """Tape time of what an option says, milliseconds or RFC 3339, which was checked when it was read."""
    return default if text is None else parse_time(text) * 1000


def _hole(hole: Missing) -> str:
    topic = f" {printable(hole.topic)}" if hole.topic else ""
    return f"{rfc3339(hole.begin // 1000)} to {rfc3339(hole.end // 1000)} {hole.reason}{topic}"
