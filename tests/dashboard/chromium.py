"""A real browser for tests: headless Chromium, driven by the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred

from tests.dashboard.remote import CALL_S, BrowserError, Program, Remote, Tab, short

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

HASTE: Final = """{
  const now = performance.now.bind(performance);
  performance.now = () => now() * %(times)d;
  for (const name of ["setTimeout", "setInterval"]) {
    const plain = window[name].bind(window);
    window[name] = (call, ms = 0, ...more) => plain(call, ms / %(times)d, ...more);
  }
}"""


class Chromium(Program):
    """One process of it."""

    SAYS = re.compile(r"DevTools listening on (ws://\S+)\n")

    def __init__(self, program: str) -> None:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox refuses to run as root
        super().__init__(
            "chromium", lambda folder: [program, *FLAGS, *root, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        )

    async def open(self, reactor: Any) -> Page:
        """A blank page with storage of its own."""
        page = Page(await self.connect(reactor), reactor)
        await page.begin()
        return page


class Page(Tab):
    """One tab."""

    def __init__(self, tools: Remote, reactor: Any) -> None:
        super().__init__(reactor)
        self._tools = tools
        self._session: dict[str, str] = {}
        self._context = ""
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
        return await self._tools.call(self._reactor, method, params, **self._session)

    async def begin(self) -> None:
        """Make the tab; ``Chromium.open`` has done it."""
        self._context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=self._context, width=1440, height=900
        )
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Audits", "Network"):
            await self.call(f"{domain}.enable")
        await self.viewport(1440, 900)

    async def cover(self) -> None:
        """Open another tab in front of it in the same window: it is hidden from now on."""
        await self._tools.call(
            self._reactor, "Target.createTarget", {"url": "about:blank", "browserContextId": self._context}
        )
        await self.wait_for("document.hidden")

    async def close(self) -> None:
        """Close the tab with all it stored."""
        self._session = {}
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
            self._complain(problem_of(method, params))

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

    async def reload(self) -> None:
        url = await self.evaluate("location.href")
        await self.goto("about:blank")
        await self.goto(url)

    # What it holds

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression (awaited if it is a promise); ``BrowserError`` if it throws."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{short(expression)}: {short(_thrown(answer['exceptionDetails']))}")
        return answer["result"].get("value")

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


def _said(values: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(each.get("value", each.get("description", ""))) for each in values)


def _thrown(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details.get("text"))
