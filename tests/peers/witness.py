"""What the simulator sends, read by a plain WebSocket connection that knows no client's library: the truth that the
values of the clients are compared with."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Reading = tuple[str, str, object, Any]
"""Kind, the venue's symbol, what tells it from others of its kind (an id, a time), and the value."""


class Witness:
    """Connections of the test's own, and all that came on them. ``readings`` says what a frame tells."""

    def __init__(
        self,
        readings: Callable[[Any], Iterable[Reading]],
        *,
        is_answer: Callable[[Any], bool] = lambda frame: "success" in frame,
    ) -> None:
        """``is_answer``: whether a frame answers a request."""
        self._readings = readings
        self._is_answer = is_answer
        self._seen: dict[tuple[str, str, object], Any] = {}
        self._news = threading.Condition()
        self._open = ExitStack()
        self._failure: BaseException | None = None

    def open(self, url: str, hello: Sequence[object] = ()) -> None:
        """One more connection; returns when each request of ``hello`` is answered."""
        connection = self._open.enter_context(connect(url, max_size=None))
        for request in hello:
            connection.send(json.dumps(request))
            while not self._is_answer(frame := json.loads(connection.recv(10))):
                self._take(frame)
            assert frame.get("success", True) and frame.get("event") != "error", frame
        thread = threading.Thread(target=self._listen, args=(connection,), daemon=True)
        thread.start()
        self._open.callback(thread.join, 5)
        self._open.callback(connection.close)

    def _listen(self, connection: ClientConnection) -> None:
        try:
            for frame in connection:
                self._take(json.loads(frame))
        except ConnectionClosed:
            pass
        except BaseException as error:
            with self._news:
                self._failure = error
                self._news.notify_all()

    def _take(self, frame: Any) -> None:
        with self._news:
            for kind, native, key, value in self._readings(frame):
                self._seen[kind, native, key] = value
            self._news.notify_all()

    def value(self, kind: str, native: str, key: object, seconds: float = 60.0) -> Any:
        """What was sent under this key, waited for: the client may have been told first."""
        with self._news:
            self._news.wait_for(lambda: (kind, native, key) in self._seen or self._failure, seconds)
            assert self._failure is None, self._failure
            assert (kind, native, key) in self._seen, f"the simulator sent no {kind} {key} of {native}"
            return self._seen[kind, native, key]

    def taken(self) -> list[tuple[str, str, Any]]:
        """All that came so far: kind, symbol, value."""
        with self._news:
            return [(kind, native, value) for (kind, native, _), value in self._seen.items()]

    def begun(self, kind: str, natives: Sequence[str], seconds: float = 60.0) -> None:
        """Wait until something of this kind has come about each symbol: what is told from now on is seen here too."""
        with self._news:
            heard = self._news.wait_for(
                lambda: {native for seen, native, _ in self._seen if seen == kind} >= set(natives), seconds
            )
        assert heard, f"the simulator sent no {kind} of some of {natives}"

    def close(self) -> None:
        """End all connections."""
        self._open.close()
