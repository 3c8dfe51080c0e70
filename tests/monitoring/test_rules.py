"""The rules by Prometheus's own checker, and what they say of the time lines in ``alerts_test.yml``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.monitoring.files import DEPLOY


def checked(*command: str | Path) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_files(promtool: str) -> None:
    said = checked(promtool, "check", "config", DEPLOY / "prometheus.yml")
    assert "1 rule files found" in said and "rules found" in said


def test_alerts_fire_when_they_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    lines = (Path(__file__).with_name("alerts_test.yml")).read_text(encoding="utf-8")
    tests = tmp_path / "alerts_test.yml"
    tests.write_text(lines.replace("[ALERTS]", f"[{DEPLOY / 'alerts.yml'}]"))
    assert "SUCCESS" in checked(promtool, "test", "rules", tests)
