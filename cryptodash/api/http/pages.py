"""Files of the package, read once and served: the dashboard and the two machine-readable descriptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from attrs import frozen

from cryptodash.api.answer_parts import JSON
from cryptodash.api.http.answers import Stored

TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": JSON,
    "svg": "image/svg+xml",
}


@frozen
class Page:
    """One file, ready to be sent."""

    stored: Stored
    content_type: str


ENTRY: Final = "app.js"
"""The page's first module."""

JS_COMMENT = re.compile(rb"^[ \t]*(?://[^\n]*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)$", re.MULTILINE)
STATIC_IMPORT = re.compile(rb'^(?:import|export)\b[^"\n;]*(?:\n[^";]*)*?"\./([\w-]+\.js)";', re.MULTILINE)
CSS_COMMENT = re.compile(rb"^[ \t]*/\*(?:[^*]|\*(?!/))*\*/[ \t]*$", re.MULTILINE)


def without_comments(comment: re.Pattern[bytes], source: bytes) -> bytes:
    """The source without the comments that have lines of their own; the lines stay,
    so that a browser's error names the line of the file.

    They are an eighth of what the page transfers. No string or template of the page spans lines, so whatever begins a
    line like a comment is one.
    """
    return comment.sub(lambda found: b"\n" * found.group().count(b"\n"), source)


def load_pages(package: str, version: str) -> Mapping[str, Page]:
    """The package's files by name. ``{version}`` in HTML and JSON becomes the version: a page then never runs a cached
    script of another release."""
    bodies: dict[str, bytes] = {}
    for entry in files(package).iterdir():
        suffix = entry.name.rpartition(".")[2]
        if suffix in TYPES and entry.is_file():
            body = entry.read_bytes()
            if suffix in ("html", "json"):
                body = body.replace(b"{version}", version.encode())
            elif suffix in ("js", "css"):
                body = without_comments(JS_COMMENT if suffix == "js" else CSS_COMMENT, body)
            bodies[entry.name] = body
    if "index.html" in bodies:
        bodies["index.html"] = bodies["index.html"].replace(b"{preloads}", preloads(bodies, ENTRY))
    return {name: Page(Stored(body, level=9), TYPES[name.rpartition(".")[2]]) for name, body in bodies.items()}


def preloads(bodies: Mapping[str, bytes], entry: str) -> bytes:
    """Links to all modules that the entry imports, directly or not: a browser then asks for them at once instead of
    one generation after the other. Those of a dynamic ``import()`` are not among them."""
    found: list[str] = []
    waiting = [entry]
    while waiting:
        for name in map(bytes.decode, STATIC_IMPORT.findall(bodies[waiting.pop(0)])):
            if name in bodies and name not in found and name != entry:
                found.append(name)
                waiting.append(name)
    return b"\n  ".join(b'<link rel="modulepreload" href="assets/%s">' % name.encode() for name in found)


def page_policy(host: str) -> str:
    """The Content-Security-Policy of a page served under this (validated) Host. ``ticks`` is the policy of
    ``dashboard/timer.js``, for the address of one worker."""
    sockets = f" ws://{host} wss://{host}" if host else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{sockets}; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types ticks"
    )
