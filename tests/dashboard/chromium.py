"""A real browser for tests: headless Chromium, driven by the DevTools protocol over Autobahn
in the suite's own reactor.

The reactor is always an argument. What a page did wrong (exceptions, errors in the console, violations of the
Content-Security-Policy) is collected in ``Page.problems``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
    "--force-color-profile=srgb",
)
START_S: Final = 20.0
CALL_S: Final = 15.0
WAIT_S: Final = 8.0
POLL_S: Final = 0.025
KEPT: Final = 50
"""Problems of a page that are kept: the first ones matter."""

# key: (code, Windows virtual key, text)
KEYS: Final[dict[str, tuple[str, int, str]]] = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "Backspace": ("Backspace", 8, ""),
    " ": ("Space", 32, " "),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Home": ("Home", 36, ""),
    "End": ("End", 35, ""),
}
SHIFT: Final = 8

PROBES: Final = Path(__file__).with_name("probes.js").read_text(encoding="utf-8")
HASTE: Final = """{
  const now = performance.now.bind(performance);
  performance.now = () => now() * %(times)d;
  for (const name of ["setTimeout", "setInterval"]) {
    const plain = window[name].bind(window);
    window[name] = (call, ms = 0, ...more) => plain(call, ms / %(times)d, ...more);
  }
}"""


class BrowserError(Exception):
    """The browser refused a command, or a script in the page failed."""


def find_browser() -> str | None:
    """The browser's program: ``$CRYPTODASH_CHROMIUM``, or the first of the usual names on the path."""
    named = os.environ.get("CRYPTODASH_CHROMIUM")
    return named or next((found for found in map(shutil.which, NAMES) if found), None)


class Chromium:
    """One browser process with a profile of its own. ``stop`` ends it and removes the profile."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cryptodash-chromium-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._log = folder / "stderr"
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox refuses to run as root
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *FLAGS, *root, f"--user-data-dir={folder / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "HOME": str(folder), "TZ": "America/New_York"},
            )

    async def open(self, reactor: Any) -> Page:
        """A blank page with storage of its own."""
        await until(
            reactor,
            lambda: self._address() is not None or self._process.poll() is not None,
            START_S,
            lambda: "the browser says no address",
        )
        address = self._address()
        if address is None:
            raise BrowserError(f"the browser ended with {self._process.returncode}: {self._said()[-2000:]}")
        factory = WebSocketClientFactory(address, reactor=reactor)
        factory.protocol = DevTools
        factory.setProtocolOptions(maxFramePayloadSize=0, maxMessagePayloadSize=0, utf8validateIncoming=False)
        tools: DevTools = await TCP4ClientEndpoint(reactor, "127.0.0.1", factory.port, timeout=5).connect(factory)
        await tools.opened.addTimeout(CALL_S, reactor)
        page = Page(tools, reactor)
        await page.begin()
        return page

    def _said(self) -> str:
        return self._log.read_text(errors="replace")

    def _address(self) -> str | None:
        found = re.search(r"DevTools listening on (ws://\S+)\n", self._said())
        return found[1] if found else None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        self._folder.cleanup()


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


class DevTools(WebSocketClientProtocol):
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
                answer.errback(BrowserError(message["error"]["message"]))
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

    def call(self, reactor: Any, method: str, session: str | None, params: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Fires with the result; fails with ``BrowserError``, or ``TimeoutError`` where no answer comes."""
        self._last += 1
        number = self._last
        answer = self._answers[number] = Deferred()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self.sendMessage(json.dumps(message).encode())

        def late(failure: Any, _: float) -> None:
            failure.trap(CancelledError)
            self._answers.pop(number, None)
            raise TimeoutError(f"no answer to {method}")

        return answer.addTimeout(CALL_S, reactor, late)


class Page:
    """One tab. Selectors are CSS; expressions are JavaScript of the page."""

    def __init__(self, tools: DevTools, reactor: Any) -> None:
        self._tools = tools
        self._reactor = reactor
        self._session: str | None = None
        self._context = ""
        self._problems: list[str] = []
        self._excused: list[str] = []
        self.received = 0
        """Bytes of HTTP answers so far, heads and compressed bodies."""
        self.frames: defaultdict[str, int] = defaultdict(int)
        """WebSocket messages by direction: ``sent``, ``received``."""
        self.sockets: list[str] = []
        """Addresses of the WebSockets that were opened."""
        tools.heard = self._heard

    # The connection

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Any command of the protocol."""
        return await self._tools.call(self._reactor, method, self._session, params)

    async def begin(self) -> None:
        """Make the tab; ``Chromium.open`` has done it."""
        self._context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=self._context, width=1440, height=900
        )
        self._session = (await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True))[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Audits", "Network"):
            await self.call(f"{domain}.enable")
        await self.viewport(1440, 900)

    async def close(self) -> None:
        """Close the tab with all it stored."""
        self._session = None
        with suppress(BrowserError, TimeoutError):
            await self.call("Target.disposeBrowserContext", browserContextId=self._context)
        self._tools.dropConnection(abort=True)

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.loadingFinished":
            self.received += round(params["encodedDataLength"])
        elif method.startswith("Network.webSocketFrame"):
            self.frames[method.removeprefix("Network.webSocketFrame").lower()] += 1
        elif method == "Network.webSocketCreated":
            self.sockets.append(params["url"])
        else:
            problem = problem_of(method, params)
            if problem is not None and len(self._problems) < KEPT:
                self._problems.append(problem)

    @property
    def problems(self) -> list[str]:
        """What went wrong in the page so far, in words, without what is excused."""
        return [each for each in self._problems if not any(re.search(pattern, each) for pattern in self._excused)]

    def excuse(self, pattern: str) -> None:
        """Such problems, past and coming, are of the test's own making."""
        self._excused.append(pattern)

    async def hasten(self, times: int) -> None:
        """From the next document on, the page's timers and monotonic clock run that much faster:
        ten seconds of silence need not be waited for."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=HASTE % {"times": times})

    # Where it is

    async def goto(self, url: str) -> None:
        """Load a document and wait for its ``load`` event. An address that differs in the hash only
        is not loaded again: see ``go``."""
        loaded: Deferred[None] = Deferred()
        heard = self._heard

        def listen(method: str, params: dict[str, Any]) -> None:
            if method == "Page.loadEventFired" and not loaded.called:
                loaded.callback(None)
            heard(method, params)

        self._tools.heard = listen
        try:
            answer = await self.call("Page.navigate", url=url)
            if answer.get("errorText"):
                raise BrowserError(f"{url}: {answer['errorText']}")
            if "loaderId" in answer:
                await loaded.addTimeout(CALL_S, self._reactor)
        finally:
            self._tools.heard = heard

    async def go(self, fragment: str) -> None:
        """Follow a link to another hash of the same document, as somebody does who edits the address."""
        await self.evaluate(f"location.hash = {json.dumps(fragment)}")

    async def back(self) -> None:
        await self.evaluate("history.back()")

    async def reload(self) -> None:
        url = await self.evaluate("location.href")
        await self.goto("about:blank")
        await self.goto(url)

    # What it holds

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression (awaited if it is a promise); ``BrowserError`` if it throws."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{_short(expression)}: {_short(_thrown(answer['exceptionDetails']))}")
        return answer["result"].get("value")

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
                    f"not so after {seconds:g} s: {_short(expression)}",
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

    async def laboratory(self, url: str) -> None:
        """A document of that server without scripts of its own and without a policy, for ``module``."""
        await self.call("Page.setBypassCSP", enabled=True)
        self.excuse("favicon.ico")  # which the browser asks for where a document names no icon
        await self.goto(url + "health")

    async def module(self, name: str, expression: str) -> Any:
        """The value of an expression in which ``m`` is one of the page's own modules."""
        return await self.evaluate(
            f"import(new URL({json.dumps('assets/' + name)}, document.baseURI).href).then((m) => ({expression}))"
        )

    # What somebody does with it

    async def press(self, *keys: str, modifiers: int = 0) -> None:
        """Real key events, one key after the other: a character, or a name such as ``Enter``, ``ArrowLeft``."""
        for key in keys:
            code, number, text = KEYS.get(key, ("", ord(key.upper()) if len(key) == 1 and key.isalnum() else 0, key))
            event: dict[str, Any] = {
                "key": key,
                "code": code or f"Key{key.upper()}",
                "windowsVirtualKeyCode": number,
                "modifiers": modifiers,
            }
            typed = {"text": text, "unmodifiedText": text} if text and modifiers in (0, SHIFT) else {}
            await self.call("Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", **event, **typed)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def write(self, text: str) -> None:
        """Type into what has the focus."""
        await self.press(*text)

    async def click(self, selector: str, *, modifiers: int = 0) -> None:
        """A real click into the middle of the first such element that can be seen; waits for one,
        and for nothing to cover it."""
        target = json.dumps(selector)
        x, y = await self.wait_for(
            f"(() => {{ for (const each of document.querySelectorAll({target})) {{"
            " each.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'});"
            " const box = each.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;"
            " const top = document.elementFromPoint(x, y);"
            " if (box.width && box.height && top && (each.contains(top) || top.contains(each))) return [x, y]; } })()"
        )
        await self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y, button="left", clickCount=1, modifiers=modifiers)

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    # What it is shown on

    async def viewport(self, width: int, height: int, *, scale: float = 1.0) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    async def media(self, **features: str) -> None:
        """``prefers_color_scheme="light"``, ``prefers_reduced_motion="reduce"``, ..."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def screenshot(self, path: Path, **options: Any) -> int:
        """Write a picture; returns its size in bytes."""
        picture = base64.b64decode((await self.call("Page.captureScreenshot", **options))["data"])
        path.write_bytes(picture)
        return len(picture)

    async def names(self) -> list[tuple[str, str]]:
        """(role, name) of every node of the accessibility tree that is not ignored, in order."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        shown = [each for each in nodes if not each.get("ignored")]
        return [(each.get("role", {}).get("value", ""), each.get("name", {}).get("value", "")) for each in shown]

    async def metrics(self) -> dict[str, float]:
        """The browser's own counters: ``ScriptDuration``, ``TaskDuration``, ``LayoutDuration`` (seconds),
        ``JSHeapUsedSize`` (bytes), ..."""
        await self.call("Performance.enable")
        return {each["name"]: each["value"] for each in (await self.call("Performance.getMetrics"))["metrics"]}

    async def heap(self) -> float:
        """Bytes of JavaScript values that are still reachable."""
        await self.call("HeapProfiler.collectGarbage")
        return (await self.metrics())["JSHeapUsedSize"]


def problem_of(method: str, params: dict[str, Any]) -> str | None:
    """What an event of the protocol says went wrong; None for any other."""
    if method == "Runtime.exceptionThrown":
        return f"exception: {_thrown(params['exceptionDetails'])}"
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
        return f"console.{params['type']}: {_said(params['args'])}"
    if method == "Log.entryAdded" and params["entry"]["level"] == "error":
        entry = params["entry"]
        return f"{entry['source']}: {entry['text']} {entry.get('url', '')}".strip()
    if method == "Audits.issueAdded" and params["issue"]["code"] == "ContentSecurityPolicyIssue":
        details = params["issue"]["details"]["contentSecurityPolicyIssueDetails"]
        return (
            f"csp: {details['violatedDirective']} "
            f"{details.get('blockedURL', '')} {details.get('sourceCodeLocation', '')}"
        )
    return None


def _short(text: str) -> str:
    return text if len(text) < 500 else f"{text[:250]} ... {text[-250:]}"


def _said(values: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(each.get("value", each.get("description", ""))) for each in values)


def _thrown(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details.get("text"))
