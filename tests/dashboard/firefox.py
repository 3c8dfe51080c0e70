"""The other engine for tests: headless Firefox, driven by WebDriver BiDi."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.dashboard.remote import BrowserError, Program, Remote, Tab, short

NAMES: Final = ("firefox-esr", "firefox")
FIRST_S: Final = 60.0
"""For the first answer: a new profile is made before it."""
PREFERENCES: Final = {
    "network.proxy.type": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "extensions.update.enabled": False,
    "browser.safebrowsing.update.enabled": False,
}
VIOLATIONS: Final = """(tell) => addEventListener("securitypolicyviolation",
  ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) =>
    tell(`${effectiveDirective} ${blockedURI} ${sourceFile}:${lineNumber}`))"""
"""Put into every document before its own scripts: the log does not hold what a policy forbade."""


class Firefox(Program):
    """One process of it."""

    SAYS = re.compile(r"WebDriver BiDi listening on (ws://\S+)\n")

    def __init__(self, program: str) -> None:
        def command(folder: Path) -> Sequence[str]:
            profile = folder / "profile"
            profile.mkdir()
            lines = (f'user_pref("{name}", {str(value).lower()});' for name, value in PREFERENCES.items())
            (profile / "user.js").write_text("\n".join(lines))
            return [program, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile)]

        super().__init__("firefox", command)
        self._remote: Remote | None = None

    async def open(self, reactor: Any) -> Page:
        """A blank page with storage of its own. One at a time: it takes one session of commands."""
        if self._remote is None:
            self._remote = await self.connect(reactor, "/session")
            await self._remote.call(reactor, "session.new", {"capabilities": {}}, FIRST_S)
            events = ["log.entryAdded", "script.message", "network.fetchError"]
            await self._remote.call(reactor, "session.subscribe", {"events": events})
        page = Page(self._remote, reactor)
        await page.begin()
        return page


class Page(Tab):
    """One tab."""

    def __init__(self, tools: Remote, reactor: Any) -> None:
        super().__init__(reactor)
        self._tools = tools
        self._place: dict[str, str] = {}
        self._user = ""
        tools.heard = self._heard

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Any command of the protocol."""
        return await self._tools.call(self._reactor, method, params)

    async def begin(self) -> None:
        """Make the tab; ``Firefox.open`` has done it."""
        self._user = (await self.call("browser.createUserContext"))["userContext"]
        context = (await self.call("browsingContext.create", type="tab", userContext=self._user))["context"]
        self._place = {"context": context}
        channel = {"type": "channel", "value": {"channel": "policy"}}
        await self.call("script.addPreloadScript", functionDeclaration=VIOLATIONS, arguments=[channel])
        await self.viewport(1440, 900)

    async def close(self) -> None:
        """Close the tab with all it stored."""
        with suppress(BrowserError, TimeoutError):
            await self.call("browser.removeUserContext", userContext=self._user)
        self._tools.heard = lambda method, params: None

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        self._complain(problem_of(method, params))

    async def goto(self, url: str) -> None:
        """Load a document and wait for its ``load`` event."""
        await self.call("browsingContext.navigate", **self._place, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call(
            "script.evaluate", expression=expression, target=self._place, awaitPromise=True, resultOwnership="none"
        )
        if answer["type"] == "exception":
            raise BrowserError(f"{short(expression)}: {short(answer['exceptionDetails']['text'])}")
        return plain(answer["result"])

    async def viewport(self, width: int, height: int) -> None:
        await self.call("browsingContext.setViewport", **self._place, viewport={"width": width, "height": height})

    async def press(self, *keys: str) -> None:
        """Real key events, one character after the other."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        await self.call("input.performActions", **self._place, actions=[source])

    async def screenshot(self, path: Path) -> int:
        """Write a picture; returns its size in bytes."""
        picture = base64.b64decode((await self.call("browsingContext.captureScreenshot", **self._place))["data"])
        path.write_bytes(picture)
        return len(picture)


def plain(value: dict[str, Any]) -> Any:
    """A value of the page as one of ours: what JSON can hold."""
    kind, held = value["type"], value.get("value")
    if kind == "array":
        return [plain(each) for each in held]
    if kind == "object":
        return {name: plain(each) for name, each in held}
    return held


def problem_of(method: str, params: dict[str, Any]) -> str | None:
    """What an event of the protocol says went wrong; None for any other."""
    if method == "script.message" and params["channel"] == "policy":
        return f"csp: {plain(params['data'])}"
    if method == "log.entryAdded" and params["level"] in ("error", "warn"):
        return f"{params['type']} {params['level']}: {params['text']}"
    if method == "network.fetchError":
        return f"network: {params['errorText']} {params['request']['url']}"
    return None
