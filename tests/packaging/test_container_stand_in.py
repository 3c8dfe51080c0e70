"""The steps of ``deploy/Dockerfile`` where no container engine runs: the wheel in a fresh environment, and its own
ENTRYPOINT, CMD, ENV, USER, HEALTHCHECK and STOPSIGNAL below a root that is mounted read-only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from attrs import frozen
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.packaging.container_files import DEPLOY, environment, last
from tests.processes import ROOT, Process, all_ended, descendants, kill_stranger
from tests.proxies.front import free_port

PARTS = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "cryptodash", "twisted")
IMAGE_HOME = "/opt/cryptodash"
OF_THE_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc")
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
DEMO = {"DEMO": "true", "EXCHANGES": "binance,bybit"}
START_S = 30.0
DRAIN_S = 5.0


@pytest.fixture(scope="module", autouse=True)
def _mounts() -> None:
    """Skips where nothing can be mounted, unless ``CRYPTODASH_REQUIRE_MOUNTS`` is set."""
    reason = ""
    if sys.platform != "linux" or os.geteuid() != 0:
        reason = "only root on Linux can mount a tree read-only and become another user"
    elif missing := [each for each in ("unshare", "nsenter", "setpriv", "chroot", "mount") if not shutil.which(each)]:
        reason = f"not installed: {', '.join(missing)}"
    else:
        tried = subprocess.run(
            [*UNSHARE, "sh", "-c", "mount --make-rprivate / && mount -t tmpfs none /mnt && mount -t proc proc /proc"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if tried.returncode:
            reason = f"the kernel lets nobody mount here: {tried.stderr.strip()}"
    if reason:
        if os.environ.get("CRYPTODASH_REQUIRE_MOUNTS"):
            pytest.fail(f"{reason}, and CRYPTODASH_REQUIRE_MOUNTS is set")
        pytest.skip(reason)


def done(command: Sequence[str | Path], cwd: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CRYPTODASH"))}
    finished = subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept, capture_output=True, text=True, timeout=180, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has in /opt/cryptodash: a fresh environment with the wheel. What it stands on is borrowed from the
    one of the tests, so that no network is needed; in the image it comes by requirements.lock."""
    folder = tmp_path_factory.mktemp("image")
    source, home = folder / "source", folder / "home"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            shutil.copy(ROOT / part, source / part)
    wheel = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir")
    done([sys.executable, *wheel, folder / "wheel", source], folder)
    done([sys.executable, "-m", "venv", "--without-pip", home], folder)
    python = home / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed")
    done([python, *install, *(folder / "wheel").glob("cryptodash-*.whl")], folder)
    twistd = home / "bin" / "twistd"
    twistd.write_text(f"#!{python}\nfrom twisted.scripts.twistd import run\nrun()\n")
    twistd.chmod(0o755)
    done([python, "-c", "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"], folder)
    shutil.copy(DEPLOY / "healthcheck.py", home)
    done([python, "-c", f"import cryptodash; assert cryptodash.__file__.startswith({str(home)!r})"], folder)
    return home


@frozen
class Container:
    """What runs in the stand-in. ``first`` is its first process, as the kernel outside numbers it."""

    home: Path
    port: int
    process: subprocess.Popen[str]
    first: int

    def inside(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Another process in it, as ``docker exec`` starts one."""
        user = last("USER").rest.partition(":")[0]
        enter = ("nsenter", f"--target={self.first}", "--mount", "--pid", "--root", "--wd")
        as_user = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs")
        return subprocess.run(
            [*enter, *as_user, *command],
            env=surroundings(self.home, self.port),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def health(self) -> subprocess.CompletedProcess[str]:
        """The health check, of this port."""
        command = [each.replace(IMAGE_HOME, str(self.home)) for each in last("HEALTHCHECK").command]
        return self.inside([*command, f"http://127.0.0.1:{self.port}/ready"])

    def status(self) -> dict[str, str]:
        """What the kernel says of the first process."""
        lines = Path(f"/proc/{self.first}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def wait(self, seconds: float) -> tuple[int, str]:
        """Its exit code, and all that it said."""
        said, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, said


def surroundings(home: Path, port: int, **more: str) -> dict[str, str]:
    """The image's ENV and what somebody sets besides."""
    found = {name: value.replace(IMAGE_HOME, str(home)) for name, value in environment().items()}
    found["PATH"] = found["PATH"].replace("$PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
    return {**found, "BIND_ADDR": f"127.0.0.1:{port}", **(more or DEMO)}


Start = Callable[..., Container]


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    """``start(*arguments, **settings)``: as ``docker run --read-only IMAGE arguments``."""
    started: list[Container] = []

    def begin(*arguments: str, **settings: str) -> Container:
        port = free_port()
        user = last("USER").rest.partition(":")[0]
        paths = [*OF_THE_SYSTEM, sys.base_prefix, sysconfig.get_path("purelib"), str(home)]
        command = [*last("ENTRYPOINT").command, *(arguments or last("CMD").command)]
        script = str(Path(__file__).with_name("stand_in.sh"))
        (tmp_path / "root").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [*UNSHARE, "sh", script, str(tmp_path / "root"), user, *paths, "--", *command],
            env=surroundings(home, port, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = monotonic() + START_S
        while not (children := descendants(process.pid)):
            assert process.poll() is None and monotonic() < deadline, process.communicate()[0]
            Event().wait(0.02)
        container = Container(home, port, process, children[0])
        started.append(container)
        while container.health().returncode:
            assert process.poll() is None, process.communicate()[0]
            assert monotonic() < deadline, container.health().stderr
            Event().wait(0.1)
        return container

    yield begin
    for each in started:
        if each.process.poll() is None:
            kill_stranger(each.first)
            with suppress(ValueError):
                each.process.communicate(timeout=10)


def test_it_serves_as_the_first_process_of_nobody_s_with_nothing_to_write_to(start: Start) -> None:
    container = start()
    status = container.status()
    user = last("USER").rest.partition(":")[0]
    assert status["Uid"].split() == [user] * 4 and status["Gid"].split() == [user] * 4
    assert status["NSpid"].split()[-1] == "1"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1"
    for place in ("/", "/var/lib/cryptodash", str(container.home), "/usr"):
        tried = container.inside(["touch", f"{place}/written"])
        assert tried.returncode and "Read-only file system" in tried.stderr, (place, tried)
    mounts = Path(f"/proc/{container.first}/mounts").read_text().splitlines()
    written = [line for line in mounts if "rw" in line.split()[3].split(",")]
    assert [line.split()[1] for line in written if not line.split()[1].startswith(("/proc", "/dev/"))] == []
    assert container.health().returncode == 0


@pytest.fixture
def bybit(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a server whose one exchange is simulated by a process outside."""
    with all_ended() as started:
        ports = ("--port", str(free_port()), "--control-port", str(free_port()))
        started.append(
            Process("-n", "--pidfile=", "cryptodash", "simulate", "--exchanges", "bybit", *ports, cwd=tmp_path)
        )
        bases = started[0].line(r"^bybit .*: (ws://\S+) .* (http://\S+) ")
        kinds = {"WS": bases[1], "REST": bases[2]}
        urls = {f"BYBIT_{market}{kind}_URL": url for market in ("", "PERPETUAL_") for kind, url in kinds.items()}
        yield {"EXCHANGES": "bybit", **urls}


@pytest.mark.parametrize("processes", [1, 3])
def test_sigterm_tells_the_clients_and_ends_it_in_time(
    processes: int, start: Start, bybit: dict[str, str], request: pytest.FixtureRequest
) -> None:
    if processes > 1:
        port = request.getfixturevalue("redis_port")
        redis = {"ENABLE_REDIS": "true", "REDIS_URL": f"redis://127.0.0.1:{port}", "REDIS_PREFIX": "stand-in"}
        container = start("run", "--processes", str(processes), **bybit, **redis)
    else:
        container = start(**bybit)
    with connect(f"ws://127.0.0.1:{container.port}/ws", proxy=None) as client:
        assert json.loads(client.recv(timeout=10))["type"] == "info"
        asked = monotonic()
        os.kill(container.first, getattr(signal, last("STOPSIGNAL").rest))
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    code, said = container.wait(DRAIN_S)
    assert code == 0 and monotonic() - asked < DRAIN_S, said
    assert not [line for line in said.splitlines() if "Traceback" in line or "Read-only" in line or "Unable" in line]


def test_the_health_check_says_why_not() -> None:
    check = [sys.executable, str(DEPLOY / "healthcheck.py")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    closed = subprocess.run([*check, f"http://127.0.0.1:{port}/ready"], capture_output=True, text=True, check=False)
    assert closed.returncode == 1 and closed.stderr.startswith("no answer: ")
