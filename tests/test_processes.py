"""What tests start is gone when they are over, whatever went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import Process, all_ended, no_daemon_left

CHILD = "signal.pause()"
SLEEPS = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; {CHILD}"], start_new_session=True)
print(child.pid, flush=True)
{CHILD}
"""


def is_there(process: int) -> bool:
    """Whether it runs: not gone, and no zombie that its new parent has yet to bury."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


class Stubborn:
    def kill(self) -> None:
        raise RuntimeError("it cannot be ended")


def test_all_are_ended_with_what_they_started_although_one_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot be ended"), all_ended() as started:
        started.append(Process(cwd=tmp_path, first=SLEEPS))
        started.append(Stubborn())
        started.append(Process(cwd=tmp_path, first=SLEEPS))
        children = [int(each.line(r"^(\d+)$")[1]) for each in (started[0], started[2])]
        assert all(map(is_there, children))
    assert not any(map(is_there, children))


def test_a_daemon_that_should_not_be_is_ended(tmp_path: Path) -> None:
    with all_ended() as started:
        started.append(Process(cwd=tmp_path, first=SLEEPS))
        child = int(started[0].line(r"^(\d+)$")[1])
        (tmp_path / "twistd.pid").write_text(f"{child}\n")
        with pytest.raises(AssertionError), no_daemon_left(tmp_path / "twistd.pid"):
            raise AssertionError("the test failed")
        assert not is_there(child)
    with no_daemon_left(tmp_path / "no.pid"):
        pass
