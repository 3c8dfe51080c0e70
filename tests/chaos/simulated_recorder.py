"""The server's recorder and its readers on the clock of a simulation.

Two things are not simulated: the tapes, which are files, and the process that reads them, which is a real one. What has
threads or a reactor of its own elsewhere (the writer of tapes) does its work here when the clock says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure

from cryptodash.recording import service as recording_service
from cryptodash.recording.files import TapeDirectory, WriterPlace
from cryptodash.recording.tape_writer import TapeWriter
from cryptodash.recording.writer_thread import TICK_S, BlockQueue
from tests.chaos.network import BadNetwork
from tests.processes import environment
from tests.recording.disks import FailingDisk


class _Writer:
    """``WriterThread`` without a thread."""

    network: BadNetwork

    def __init__(self, queue: BlockQueue, writers: Mapping[str, TapeWriter], ended: Callable[[], None]) -> None:
        self._queue, self._writers, self._ended, self._lives = queue, writers, ended, False

    def start(self) -> None:
        self._lives = True
        self.network.callLater(TICK_S, self._turn)

    def is_alive(self) -> bool:
        return self._lives

    def _turn(self) -> None:
        while (found := self._queue.get(0)) is not None:
            self._writers[found[0]].write(found[1])
            self._queue.done()
        for writer in self._writers.values():
            writer.tick()
        if not self._queue.is_over:
            self.network.callLater(TICK_S, self._turn)
            return
        for writer in self._writers.values():
            writer.close()
        self._lives = False
        self._ended()


class _ReaderTransport:
    """A real process, read when the simulated reactor comes to it."""

    def __init__(self, network: BadNetwork, protocol: Any, command: Sequence[str]) -> None:
        self._network, self._protocol = network, protocol
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), bufsize=0
        )
        self._is_paused = self._asks = False
        self._call: Any = None

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._asks = True
        self._read_soon()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._read_soon()

    def _read_soon(self) -> None:
        if self._call is None and self._asks and not self._is_paused:
            self._call = self._network.callLater(0.0005, self._read)

    def _read(self) -> None:
        self._call = None
        if self._is_paused or self._protocol.answer is None:
            return
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), 65536)
        assert data, "the reader has ended"
        self._protocol.outReceived(data)
        self._read_soon()

    def closeStdin(self) -> None:
        self.signalProcess("KILL")

    def signalProcess(self, name: str) -> None:
        self._process.kill()
        self._process.wait()
        for each in (self._process.stdin, self._process.stdout):
            assert each is not None
            each.close()
        self._asks = False
        self._network.callLater(0, self._protocol.processEnded, Failure(ProcessDone(None)))


@contextmanager
def simulated_recorder(network: BadNetwork, disk: FailingDisk) -> Iterator[None]:
    """The server's recorder as it is when nothing has a clock of its own."""

    def spawn(protocol: Any, executable: str, command: Sequence[str], environment: Mapping[str, str]) -> Any:
        protocol.transport = _ReaderTransport(network, protocol, command)
        return protocol.transport

    class Place(WriterPlace):
        def tape(self, name: str, keep: int, segment_bytes: int) -> Callable[[], TapeDirectory]:
            return FailingDisk(super().tape(name, keep, segment_bytes), disk.fails)

    network.spawnProcess = spawn  # type: ignore[attr-defined]
    network.callFromThread = lambda call: network.callLater(0, call)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Writer, "network", network, raising=False)
        patch.setattr(recording_service, "WriterThread", _Writer)
        patch.setattr(recording_service, "WriterPlace", Place)
        yield
