"""The units in ``deploy``, by systemd's own word: whether it understands them, and what a broken server could do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
MOST_EXPOSURE = 1.2
"""systemd counts to 10; what is left is that it speaks with clients and exchanges anywhere."""


@pytest.fixture(scope="module")
def analyze() -> Callable[..., subprocess.CompletedProcess[str]]:
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CRYPTODASH_REQUIRE_SYSTEMD"):
            pytest.fail("systemd-analyze is not installed, and CRYPTODASH_REQUIRE_SYSTEMD is set")
        pytest.skip("systemd-analyze is not installed")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "--no-pager", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_systemd_understands_every_line(
    tmp_path: Path, analyze: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    service = (DEPLOY / "cryptodash.service").read_text()
    started = re.search(r"^ExecStart=(\S+) ", service, re.M)
    assert started is not None
    (tmp_path / "twistd").write_text("#!/bin/sh\n")
    (tmp_path / "twistd").chmod(0o755)
    (tmp_path / "cryptodash.service").write_text(service.replace(started.group(1), str(tmp_path / "twistd")))
    shutil.copy(DEPLOY / "cryptodash.socket", tmp_path)
    units = [tmp_path / "cryptodash.service", tmp_path / "cryptodash.socket"]
    done = analyze("verify", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    units[0].write_text(units[0].read_text() + "\n[Service]\nNoSuchLine=yes\n")
    assert "NoSuchLine" in analyze("verify", *units).stderr, "it would have said so"


def test_a_broken_server_could_do_little(
    analyze: Callable[..., subprocess.CompletedProcess[str]], record_property: Callable[[str, object], None]
) -> None:
    done = analyze("security", "--offline=true", DEPLOY / "cryptodash.service")
    assert done.returncode == 0, done.stderr
    found = re.search(r"Overall exposure level for cryptodash\.service: ([\d.]+) (\w+)", done.stdout)
    assert found is not None, done.stdout
    record_property(
        "measured", f"systemd-analyze security deploy/cryptodash.service: {found.group(1)} {found.group(2)}"
    )
    assert float(found.group(1)) <= MOST_EXPOSURE, "\n".join(
        line for line in done.stdout.splitlines() if line.startswith("✗")
    )
