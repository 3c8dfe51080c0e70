"""A program that uses the client loads nothing of the server."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import environment

FOREIGN = ("twisted", "autobahn", "treq", "klein", "zope", "OpenSSL", "msgspec", "prometheus_client", "pydantic", "mcp")
LOADED = """
import sys
import {module}
names = {{name.partition('.')[0] for name in sys.modules}}
rooms = {{name.split('.')[1] for name in sys.modules if name.startswith('cryptodash.')}}
print(*sorted(names & set({foreign!r})), "|", *sorted(rooms))
"""


@pytest.mark.parametrize(
    ("module", "rooms"),
    [("cryptodash.client", "_version client"), ("cryptodash.mcp.answers", "_version client mcp")],
)
def test_the_client_loads_nothing_of_the_server(module: str, rooms: str) -> None:
    assert said_by(LOADED.format(module=module, foreign=FOREIGN)) == f"| {rooms}\n"


def test_the_server_loads_nothing_of_the_client() -> None:
    names = "cryptodash.client", "cryptodash.mcp", "websockets", "mcp"
    assert (
        said_by(f"import sys, cryptodash.service, cryptodash.tap; print(set({names!r}) & set(sys.modules))")
        == "set()\n"
    )


def said_by(program: str) -> str:
    """What a Python of its own prints, and what it complains of."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr
