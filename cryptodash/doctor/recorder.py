"""Keeps what a venue sent, as ``replay`` reads it: a file of frames per market (``{"t":seconds,"dir":"in","raw":...}``,
one a line, in wire order), REST answers as files, and ``rest-index.json`` that says what each answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

import msgspec

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType
from cryptodash.core.settings import origin_of
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Hosts

MOST_BYTES = 256 * 1024 * 1024
"""Saved of one venue, frames and answers together."""
MOST_ANSWERS = 200
LONGEST_LINE = 8 * 1024 * 1024
"""What ``replay`` reads of a line."""


class Recorder:
    """One venue's directory, ``<directory>/<exchange>``. Once ``MOST_BYTES`` are written nothing more is. Raises
    ``ConfigError`` where the directory cannot be made; a disk that is full later ends the saving, and is told by
    ``said``."""

    def __init__(
        self, directory: Path, exchange: str, hosts: Mapping[MarketType, Hosts], now_ms: int, most: int = MOST_BYTES
    ) -> None:
        self.directory = directory / exchange
        self.frames = 0
        self.answers = 0
        self._left = most
        self._left_out = 0
        self._error = ""
        self._hosts = hosts
        self._stamp = datetime.fromtimestamp(now_ms / 1000, timezone.utc).strftime("%Y%m%d-%H%M%S")
        self._files: dict[MarketType, BinaryIO] = {}
        self._index: dict[str, dict[str, object]] = {}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--save: {str(directory)[:200]!r} cannot be used: {error.strerror or error}") from None

    def path_of(self, market: MarketType) -> Path:
        """Where a market's frames are. ``replay`` tells the market by the word."""
        return self.directory / f"{market.value}-{self._stamp}.jsonl"

    def frame(self, market: MarketType, frame: bytes, wall_ms: int, *, came_in: bool) -> None:
        """One text frame came in or went out."""
        line = {"t": wall_ms / 1000, "dir": "in" if came_in else "out", "raw": frame.decode("utf-8", "replace")}
        data = msgspec.json.encode(line) + b"\n"
        if len(data) > LONGEST_LINE or not self._has_room(len(data)):
            self._left_out += 1
            return
        try:
            file = self._files.get(market)
            if file is None:
                file = self._files[market] = self.path_of(market).open("ab", buffering=256 * 1024)
            file.write(data)
        except OSError as error:
            self._failed(error)
        else:
            self.frames += 1

    def body(self, request: RestRequest, body: bytes, wall_ms: int) -> None:
        """A REST answer came."""
        if len(self._index) >= MOST_ANSWERS or not self._has_room(len(body)):
            self._left_out += 1
            return
        parts = ("rest", request.market.value, request.purpose.value, _plain(request.native), self._stamp)
        name = "-".join(filter(None, (*parts, str(len(self._index) + 1)))) + ".json"
        query = urlencode(request.params)
        url = origin_of(self._hosts[request.market].rest) + request.path + (f"?{query}" if query else "")
        self._index[name] = {"url": url, "t": wall_ms / 1000, "note": f"{request.purpose.value}, saved by the doctor"}
        try:
            (self.directory / name).write_bytes(body)
        except OSError as error:
            self._failed(error)
        else:
            self.answers += 1

    def _has_room(self, size: int) -> bool:
        if self._error or self._left < size:
            return False
        self._left -= size
        return True

    def _failed(self, error: OSError) -> None:
        self._error = str(error.strerror or error)

    def close(self) -> None:
        """Write the index, and end. An index that is there already keeps its entries."""
        try:
            for file in self._files.values():
                file.close()
            index = self.directory / "rest-index.json"
            before = (
                msgspec.json.decode(index.read_bytes(), type=dict[str, dict[str, object]]) if index.is_file() else {}
            )
            index.write_bytes(msgspec.json.format(msgspec.json.encode(before | self._index), indent=1) + b"\n")
        except (OSError, msgspec.MsgspecError) as error:
            self._error = self._error or str(error)
        self._files.clear()

    @property
    def said(self) -> str:
        """For a person."""
        text = f"{self.frames} frames and {self.answers} REST answers in {self.directory}"
        if self._left_out:
            text += (
                f"; {self._left_out} more were left out (at most {MOST_BYTES // 2**20} MiB and {MOST_ANSWERS} answers)"
            )
        return text + (f"; saving ended: {self._error}" if self._error else "")

    @property
    def error(self) -> str:
        """Why saving ended early, empty if it did not."""
        return self._error


def _plain(native: str) -> str:
    """A native name as part of a file's name."""
    return "".join(each if each.isalnum() else "_" for each in native)[:40]
