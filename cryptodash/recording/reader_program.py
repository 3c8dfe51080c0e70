"""The program of a process that reads tapes: ``python -m cryptodash.recording.reader_program DIRECTORY``. A question is
a line on stdin, its answer frames on stdout (``reader_wire.py``); it ends with stdin.

It never runs ahead: a pipe that nobody reads stops it. What it imports is little, so that it starts soon.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cryptodash.core.recorded import Entry, Item, Made, Missing
from cryptodash.recording.answers import answer
from cryptodash.recording.reader_wire import (
    FRAME_BYTES,
    MOST_BODY,
    BadFrame,
    End,
    Failed,
    Told,
    decode_question,
    encode_frame,
)
from cryptodash.recording.recording import Recording
from cryptodash.recording.tape_errors import BadTape

NICE: Final = 5
"""Whoever watches the present goes first."""
MOST_MEMORY: Final = 2**30
"""Bytes of address space."""
_ITEM_BYTES: Final = 64
"""What one takes besides its body, about."""
_FIRST_FRAME: Final = 4096
"""Bytes of the first frame, so that it comes soon."""


def serve(directory: Path, line: bytes, write: Callable[[bytes], object]) -> None:
    """Answer one question."""
    try:
        question = decode_question(line)
        with Recording(directory, may_be_missing=True) as recording:  # the first block makes it
            _write(answer(recording, question), write)
        last: Told = End()
    except (BadFrame, BadTape) as error:
        last = Failed(str(error)[:200])
    except OSError as error:  # its text names a path, which is no client's business
        last = Failed(error.strerror or type(error).__name__)
    write(encode_frame([last]))


def _write(items: Iterable[Item], write: Callable[[bytes], object]) -> None:
    waiting: list[Told] = []
    size, most = 0, _FIRST_FRAME
    for each in items:
        length = len(each.body) if isinstance(each, (Entry, Made)) else 0
        if isinstance(each, Entry) and length > MOST_BODY:
            each, length = Missing(each.time, each.time, "damaged", each.topic), 0
        if waiting and size + length > most:
            write(encode_frame(waiting))
            waiting, size, most = [], 0, FRAME_BYTES
        waiting.append(each)
        size += length + _ITEM_BYTES
    if waiting:
        write(encode_frame(waiting))


def main() -> None:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    directory = Path(sys.argv[1])
    output = sys.stdout.fileno()

    def write(frame: bytes) -> None:
        left = memoryview(frame)
        while left:
            left = left[os.write(output, left) :]

    for line in sys.stdin.buffer:
        serve(directory, line, write)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the server has gone
        sys.exit(1)
