"""The peers, in a virtual environment, an npm prefix and folders of their own below ``benchmarks/.peers``.

nginx with nchan is not installed here: it comes from the system's packages (Debian: ``nginx`` and
``libnginx-mod-nchan``), or is left out.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import centrifugo
from benchmarks.contestants import CONTESTANTS, PEERS, PEERS_NPM, PEERS_PYTHON, nginx

PACKAGES = ("socketify", "websockets", "picows", "uvloop", "msgspec", "cryptofeed")
SHOWN = ("autobahn", "twisted", "msgspec")


def install() -> list[str]:
    """Install what is missing, one by one, so that one that fails does not take the others along;
    returns what failed and why."""
    failed = []
    if not PEERS_PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS / "venv")], check=True)
    have = _installed(PEERS_PYTHON)
    for package in PACKAGES:
        if package not in have:
            failed += _try(
                package, [str(PEERS_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            )
    if shutil.which("npm") is not None and not (PEERS_NPM / "node_modules" / "ws").is_dir():
        PEERS_NPM.mkdir(parents=True, exist_ok=True)
        failed += _try(
            "ws", ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(PEERS_NPM), "ws"]
        )
    return failed + _centrifugo()


def _centrifugo() -> list[str]:
    """Built from its Go module, where there is a Go that is new enough: two minutes."""
    compiler = centrifugo.go()
    if compiler is None or centrifugo.PROGRAM.exists():
        return []
    centrifugo.FOLDER.mkdir(parents=True, exist_ok=True)
    command = [compiler, "install", centrifugo.MODULE]
    return _try("centrifugo", command, {**os.environ, "GOBIN": str(centrifugo.FOLDER)})


def _try(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    except subprocess.TimeoutExpired:
        return [f"{name}: the installation took more than 10 minutes"]
    if done.returncode == 0:
        return []
    lines = (done.stderr or done.stdout).strip().splitlines()
    return [f"{name}: {lines[-1][:200] if lines else 'the installation failed'}"]


def _installed(interpreter: Path) -> dict[str, str]:
    """Names and versions of what an interpreter has."""
    if not interpreter.exists():
        return {}
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    said: dict[str, str] = json.loads(
        subprocess.run([str(interpreter), "-c", code], capture_output=True, text=True, check=True).stdout
    )
    return said


def versions() -> dict[str, str]:
    """What is compared, with its version."""
    ours = {name: version for name, version in _installed(Path(sys.executable)).items() if name in SHOWN}
    peers = {
        name: version for name, version in _installed(PEERS_PYTHON).items() if name in PACKAGES and name not in ours
    }
    found = {"Python": platform.python_version(), **ours, **peers}
    package = PEERS_NPM / "node_modules" / "ws" / "package.json"
    if package.exists() and shutil.which("node"):
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        found |= {"Node": node.lstrip("v"), "ws": json.loads(package.read_text())["version"]}
    if centrifugo.PROGRAM.exists():
        found["Centrifugo"] = centrifugo.VERSION.lstrip("v")
    return found | _nginx() | _redis()


def _redis() -> dict[str, str]:
    program = shutil.which("redis-server")
    if program is None:
        return {}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    words = dict(word.split("=", 1) for word in said.split() if "=" in word)
    return {"Redis": words["v"]}


def _nginx() -> dict[str, str]:
    """nginx and nchan; the module's version is only known to Debian's package."""
    program = nginx()
    if program is None or CONTESTANTS["nchan"].absent():
        return {}
    found = {
        "nginx": subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
        .stderr.strip()
        .rpartition("/")[2]
    }
    if shutil.which("dpkg-query"):
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True
        )
        if asked.returncode == 0:
            found["nchan"] = asked.stdout.strip().rpartition(":")[2]
    return found
