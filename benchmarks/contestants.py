"""Who is measured, and how each is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from benchmarks.processes import HERE, SERVER_CORE, BenchError, Child, python

PEERS = HERE / ".peers"
PEERS_PYTHON = PEERS / "venv" / "bin" / "python"
PEERS_NPM = PEERS / "npm"
PROGRAMS = HERE / "peers"
OURS = "cryptodash"
NCHAN = [
    Path(place) / "nginx/modules/ngx_nchan_module.so"
    for place in ("/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib")
]
"""Where systems put the module."""


@frozen
class Contestant:
    """One server of the fan-out rows. ``absent`` tells why it cannot be run, or nothing."""

    name: str
    title: str
    command: Callable[[Path, str, int], list[str]]
    absent: Callable[[], str]


def _needs(module: str) -> Callable[[], str]:
    def absent() -> str:
        found = PEERS_PYTHON.exists() and any((PEERS / "venv").glob(f"lib/python*/site-packages/{module}"))
        return "" if found else f"{module} is not installed (`python -m benchmarks --install`)"

    return absent


def _no_node() -> str:
    if shutil.which("node") is None:
        return "there is no node on this machine"
    return (
        "" if (PEERS_NPM / "node_modules" / "ws").is_dir() else "ws is not installed (`python -m benchmarks --install`)"
    )


def nginx() -> str | None:
    """The program; where it is installed, it need not be on everybody's path."""
    return shutil.which(
        "nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    )


def _no_nchan() -> str:
    if nginx() is None:
        return "there is no nginx on this machine (Debian: `apt-get install nginx libnginx-mod-nchan`)"
    found = any(module.exists() for module in NCHAN)
    return "" if found else "nginx is here without its module nchan (Debian: `apt-get install libnginx-mod-nchan`)"


def _never() -> str:
    return ""


def _program(name: str, *arguments: str, ours: bool = False) -> Callable[[Path, str, int], list[str]]:
    def command(bodies: Path, kind: str, topics: int) -> list[str]:
        interpreter = "node" if name.endswith(".js") else python() if ours else str(PEERS_PYTHON)
        return [interpreter, str(PROGRAMS / name), str(bodies), *arguments]

    return command


def _ours(bodies: Path, kind: str, topics: int) -> list[str]:
    return [python(), "-m", "benchmarks.ours", "inlet", kind, str(topics)]


def _nchan(bodies: Path, kind: str, topics: int) -> list[str]:
    module = next(module for module in NCHAN if module.exists())
    return [python(), str(PROGRAMS / "nchan_server.py"), str(bodies), str(nginx()), str(module)]


CONTESTANTS = {
    each.name: each
    for each in (
        Contestant(OURS, "cryptodash", _ours, _never),
        Contestant("uws", "uWebSockets (socketify)", _program("uws.py"), _needs("socketify")),
        Contestant("bare", "bare loop of send()", _program("bare.py", ours=True), _never),
        Contestant("picows", "picows", _program("picows_server.py"), _needs("picows")),
        Contestant("websockets", "websockets", _program("websockets_server.py"), _needs("websockets")),
        Contestant(
            "autobahn", "Autobahn sendMessage", _program("autobahn_server.py", "sendMessage", ours=True), _never
        ),
        Contestant(
            "autobahn-broadcast", "Autobahn broadcast", _program("autobahn_server.py", "broadcast", ours=True), _never
        ),
        Contestant("ws", "Node ws", _program("ws_server.js"), _no_node),
        Contestant("nchan", "nginx + nchan", _nchan, _no_nchan),
    )
}


def start(name: str, command: list[str]) -> tuple[Child, int, int]:
    """A server, its port and its port for orders. Raises ``BenchError``."""
    child = Child(name, command, SERVER_CORE, {"PEERS_NPM": str(PEERS_NPM)})
    try:
        said = child.hear(30)
    except BenchError:
        child.end()
        raise
    return child, int(said["port"]), int(said["control"])
