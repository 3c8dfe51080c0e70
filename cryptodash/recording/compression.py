"""How blocks are packed: by zstd where the package ``zstandard`` is installed, else by the standard library's zlib.
Each block says which it was (docs/decisions/0010-tape-format.md).

What is unpacked may be of anybody: never more is made of it than its header declares.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from threading import local
from typing import Any, Final

from cryptodash.recording.tape_errors import BadTape

try:
    zstandard: Any = import_module("zstandard")
except ImportError:  # the extra ``record`` is not installed
    zstandard = None

STORED: Final = 0
ZLIB: Final = 1
ZSTD: Final = 2
NAMES: Final = {STORED: "stored", ZLIB: "zlib", ZSTD: "zstd"}
BEST: Final = ZLIB if zstandard is None else ZSTD
"""What is written here."""
LEVEL: Final = {ZLIB: 1, ZSTD: 1}
"""Measured on messages of the demo: 0.27 us and 24 bytes a record by zstd 1, 0.37 and 26 by zstd 3, 1.15 and 43 by zlib
1."""
MOST_WINDOW: Final = 1 << 22
"""Bytes that zstd may look back; its window_log is then at most 22."""


def pack(data: bytes | memoryview, codec: int = BEST) -> bytes | memoryview:
    """One long call without the interpreter's lock."""
    if codec == STORED:
        return data
    if codec == ZLIB:
        return zlib.compress(data, LEVEL[ZLIB])
    packed: bytes = _compressor().compress(data)
    return packed


_of_thread = local()


def _compressor() -> Any:
    """One for each thread: it has a megabyte that is not made anew for every block."""
    found = getattr(_of_thread, "compressor", None)
    if found is None:
        found = _of_thread.compressor = zstandard.ZstdCompressor(level=LEVEL[ZSTD], write_content_size=True)
    return found


def unpack(data: bytes, codec: int, declared: int) -> bytes:
    """The ``declared`` bytes that it was. Raises ``BadTape`` for anything else."""
    if codec == STORED:
        made = data
    elif codec == ZLIB:
        made = _inflated(data, declared)
    elif codec == ZSTD:
        made = _unpacked_zstd(data, declared)
    else:
        raise BadTape(f"packed in an unknown way ({codec})")
    if len(made) != declared:
        raise BadTape(f"{len(made)} bytes where the header declares {declared}")
    return made


def _inflated(data: bytes, declared: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        made = inflater.decompress(data, declared + 1)
    except zlib.error as error:
        raise BadTape(f"cannot be unpacked: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise BadTape("cannot be unpacked: there is more, or less, than declared")
    return made


def _unpacked_zstd(data: bytes, declared: int) -> bytes:
    if zstandard is None:
        raise BadTape("packed by zstd, which needs zstandard: pip install cryptodash[record]")
    try:
        # Looked at first: the library makes room for what the frame itself says, however much that is.
        frame = zstandard.get_frame_parameters(data)
        if frame.content_size != declared or frame.window_size > MOST_WINDOW or frame.dict_id:
            raise BadTape("its zstd frame is not as the header declares")
        made: bytes = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompress(
            data, max_output_size=declared, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise BadTape(f"cannot be unpacked: {error}") from None
    return made
