"""What the kits of the browsers have in common: a process with a profile of its own, commands over Autobahn in the
suite's own reactor, and questions to a document.

The reactor is always an argument. What a page did wrong (exceptions, errors in the console, violations of the
Content-Security-Policy) is collected in ``Tab.problems``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

START_S: Final = 60.0
CALL_S: Final = 30.0
WAIT_S: Final = 20.0
POLL_S: Final = 0.025
KEPT: Final = 50
"""Problems of a page that are kept: the first ones matter."""

PROBES: Final = Path(__file__).with_name("probes.js").read_text(encoding="utf-8")


class BrowserError(Exception):
    """The browser refused a command, or a script in the page failed."""


async def until(reactor: Any, true: Callable[[], Any], seconds: float, otherwise: Callable[[], str]) -> Any:
    """Wait for a condition and return it; ``AssertionError`` with what ``otherwise`` says after the time."""
    deadline = reactor.seconds() + seconds
    while not (found := true()):
        assert reactor.seconds() < deadline, f"not so after {seconds:g} s: {otherwise()}"
        await pause(reactor, POLL_S)
    return found


def pause(reactor: Any, seconds: float) -> Deferred[None]:
    """A Deferred that fires after the time: what a loop waits for between two looks."""
    turn: Deferred[None] = Deferred()
    reactor.callLater(seconds, turn.callback, None)
    return turn


class Remote(WebSocketClientProtocol):
    """The connection: commands with their answers, and events."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.heard: Callable[[str, dict[str, Any]], None] = lambda method, params: None
        self._answers: dict[int, Deferred[dict[str, Any]]] = {}
        self._last = 0

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        answer = self._answers.pop(message.get("id"), None)
        if answer is not None:
            if "error" in message:
                answer.errback(BrowserError(_refusal(message)))
            else:
                answer.callback(message["result"])
        elif "method" in message:
            self.heard(message["method"], message["params"])

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.errback(BrowserError(f"the browser closed the connection: {reason}"))
        if not self.opened.called:
            self.opened.errback(BrowserError(f"no connection to the browser: {reason}"))

    def call(
        self, reactor: Any, method: str, params: dict[str, Any], seconds: float = CALL_S, **more: str
    ) -> Deferred[dict[str, Any]]:
        """Fires with the result; fails with ``BrowserError``, or ``TimeoutError`` where no answer comes for so long.
        ``more`` goes beside the parameters."""
        self._last += 1
        number = self._last
        answer = self._answers[number] = Deferred()
        self.sendMessage(json.dumps({"id": number, "method": method, "params": params, **more}).encode())

        def late(failure: Any, _: float) -> None:
            failure.trap(CancelledError)
            self._answers.pop(number, None)
            raise TimeoutError(f"no answer to {method}")

        return answer.addTimeout(seconds, reactor, late)


def _refusal(message: dict[str, Any]) -> str:
    """The words of an error, as Chromium or as the standard has them."""
    error = message["error"]
    return str(error["message"] if isinstance(error, dict) else f"{error}: {message.get('message')}")


class Program:
    """One browser process with a profile of its own. ``stop`` ends it and removes the profile."""

    SAYS: re.Pattern[str]
    """Finds, in what it writes, the address where it takes commands."""

    def __init__(self, name: str, command: Callable[[Path], Sequence[str]], **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"cryptodash-{name}-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._log = folder / "stderr"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "HOME": str(folder), "TZ": "America/New_York", **environment},
            )

    async def connect(self, reactor: Any, path: str = "") -> Remote:
        """A connection for commands, at its address with this path behind it."""
        await until(
            reactor,
            lambda: self._address() is not None or self._process.poll() is not None,
            START_S,
            lambda: "the browser says no address",
        )
        address = self._address()
        if address is None:
            raise BrowserError(f"the browser ended with {self._process.returncode}: {self._said()[-2000:]}")
        factory = WebSocketClientFactory(address + path, reactor=reactor)
        factory.protocol = Remote
        factory.setProtocolOptions(
            maxFramePayloadSize=0, maxMessagePayloadSize=0, utf8validateIncoming=False, openHandshakeTimeout=CALL_S
        )
        remote: Remote = await TCP4ClientEndpoint(reactor, "127.0.0.1", factory.port, timeout=5).connect(factory)
        await remote.opened.addTimeout(CALL_S, reactor)
        return remote

    def _said(self) -> str:
        return self._log.read_text(errors="replace")

    def _address(self) -> str | None:
        found = self.SAYS.search(self._said())
        return found[1] if found else None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        self._folder.cleanup()


class Tab:
    """A document and questions to it. Selectors are CSS; expressions are JavaScript of the page."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._problems: list[str] = []
        self._excused: list[str] = []

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression (awaited if it is a promise); ``BrowserError`` if it throws."""
        raise NotImplementedError

    def _complain(self, problem: str | None) -> None:
        if problem is not None and len(self._problems) < KEPT:
            self._problems.append(problem)

    @property
    def problems(self) -> list[str]:
        """What went wrong in the page so far, in words, without what is excused."""
        return [each for each in self._problems if not any(re.search(pattern, each) for pattern in self._excused)]

    def excuse(self, pattern: str) -> None:
        """Such problems, past and coming, are of the test's own making."""
        self._excused.append(pattern)

    async def go(self, fragment: str) -> None:
        """Follow a link to another hash of the same document, as somebody does who edits the address."""
        await self.evaluate(f"location.hash = {json.dumps(fragment)}")

    async def back(self) -> None:
        await self.evaluate("history.back()")

    async def wait_for(self, expression: str, seconds: float = WAIT_S) -> Any:
        """Wait until an expression is true and return it; one that throws is not true yet.
        ``AssertionError`` after the time."""
        deadline = self._reactor.seconds() + seconds
        last: object = None
        while True:
            try:
                last = await self.evaluate(expression)
            except BrowserError as error:
                last = error
            else:
                if last:
                    return last
            if self._reactor.seconds() > deadline:
                told = (
                    f"not so after {seconds:g} s: {short(expression)}",
                    f"last: {last!r}",
                    f"problems: {self.problems}",
                    await self._words(),
                )
                raise AssertionError("\n".join(told))
            await pause(self._reactor, POLL_S)

    async def _words(self) -> str:
        with suppress(BrowserError, TimeoutError):
            return str(await self.evaluate("location.href + '\\n' + document.title + '\\n' + document.body.innerText"))[
                :1500
            ]
        return "(gone)"

    async def text(self, selector: str) -> str:
        """The rendered text of the one element; ``BrowserError`` where there is none."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")).strip()

    async def count(self, selector: str) -> int:
        return int(await self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    async def probe(self, name: str, *arguments: object) -> Any:
        """The answer of one of ``probes.js``."""
        return await self.evaluate(f"({PROBES}).{name}({', '.join(json.dumps(each) for each in arguments)})")


def short(text: str) -> str:
    """The two ends of a long text."""
    return text if len(text) < 500 else f"{text[:250]} ... {text[-250:]}"


def find_browser(kind: str, names: Sequence[str]) -> str | None:
    """The program of a browser: that of its environment variable, or the first of the usual names on the path."""
    named = os.environ.get(f"CRYPTODASH_{kind}")
    return named or next((found for found in map(shutil.which, names) if found), None)
