"""How a program of this room is started in a process of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.protocol import ProcessProtocol

_KEPT: Final = re.compile(
    r"PATH|HOME|TZ|LANG|LC_.*|PYTHON.*|VIRTUAL_ENV|LD_LIBRARY_PATH|COVERAGE_PROCESS_START"
).fullmatch
"""Variables that it gets: tapes may come from anybody, and tokens and passwords are none of its business."""


def spawn(reactor: Any, protocol: ProcessProtocol, module: str, directory: Path) -> Any:
    """Start ``python -m module directory``; returns its ``IProcessTransport``. Raises ``OSError``."""
    command = [sys.executable, "-P", "-m", module, str(directory)]
    return reactor.spawnProcess(protocol, sys.executable, command, _environment(os.environ))


def _environment(all_of_it: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in all_of_it.items() if _KEPT(name)}
