"""Tapes for tests: written by the server's own writer, from a list of what came when."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cryptodash.recording import compression, records
from cryptodash.recording.draft import Draft, Source
from cryptodash.recording.files import WriterPlace
from cryptodash.recording.record_columns import Record
from cryptodash.recording.records import Run
from cryptodash.recording.tape_writer import Block, TapeWriter

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
TRADES = "binance:spot:BTC-USDT:trade"
BOOK = "binance:spot:BTC-USDT:order_book:5"
TICKER = "binance:spot:BTC-USDT:ticker"

Said = tuple[int, str, int, bytes]
"""Tape time, topic, kind, body."""


def block_of(number: int, said: Sequence[Said], before: Sequence[Record] = ()) -> Block:
    draft = Draft()
    for time, topic, kind, body in said:
        draft.put(Source(topic, kind), time, body)
    return Block(number, said[0][0], said[0][0], said[-1][0], before, draft, draft.size)


def write_run(
    root: Path,
    blocks: Iterable[Sequence[Said]],
    *,
    tape: str = "messages",
    segment_bytes: int = 2**20,
    codec: int = compression.BEST,
    close: bool = True,
    run: str = "",
    before: Mapping[int, Sequence[Record]] | None = None,
) -> TapeWriter:
    """One run: a block for each list, with what is told of the tape ``before`` it. ``close`` False: it ends as a killed
    process does."""
    place = WriterPlace(root, "test", least_free=0)
    now = [0.0]
    writer = TapeWriter(
        place.tape(tape, 2**30, segment_bytes),
        Run(run or os.urandom(16).hex(), START // 1000, "test"),
        lambda: now[0],
        segment_bytes=segment_bytes,
        codec=codec,
    )
    for number, said in enumerate(blocks):
        now[0] += 1.0
        writer.write(block_of(number, said, (before or {}).get(number, ())))
    if close:
        writer.close()
    place.release()
    return writer


def trade(number: int, at: int) -> Said:
    body = b'{"type":"trade","payload":{"id":"%d","price":43250.50000000,"quantity":0.10}}' % number
    return at, TRADES, records.MESSAGE, body


def seconds_of_trades(seconds: int, *, a_second: int = 10, start: int = START) -> list[list[Said]]:
    """A block a second."""
    return [
        [
            trade(second * a_second + each, start + second * SECOND + each * (SECOND // a_second))
            for each in range(a_second)
        ]
        for second in range(seconds)
    ]


def only_segment(root: Path, tape: str = "messages") -> Path:
    (found,) = root.glob(f"writer-*/{tape}/*.tape")
    return found
