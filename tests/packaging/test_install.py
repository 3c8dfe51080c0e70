"""The three ways to install list the plugin in ``twistd --help``: from source, editable, and from the built wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "cryptodash", "twisted")


def run(command: Sequence[str | Path], cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CRYPTODASH"))}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what is released, so that building leaves nothing in the checkout."""
    copy = tmp_path / "source"
    for part in PARTS:
        origin = ROOT / part
        if origin.is_dir():
            shutil.copytree(origin, copy / part, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(origin, copy / part)
    return copy


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A fresh environment that borrows the dependencies of this one (so that no network is needed)
    but not cryptodash itself."""
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


PIP = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--disable-pip-version-check",
    "--ignore-installed",
)


def plugin_is_listed(python: Path, cwd: Path) -> bool:
    listed = run([python, "-m", "twisted", "--help"], cwd) + run(
        [python, "-c", "from twisted.scripts.twistd import run; run()", "--help"], cwd
    )
    version = run([python, "-c", "from twisted.scripts.twistd import run; run()", "cryptodash", "--version"], cwd)
    return "cryptodash" in listed and "Crypto market data" in listed and version.startswith("cryptodash ")


@pytest.mark.parametrize("options", [(), ("-e",)], ids=["source", "editable"])
def test_pip_install_lists_the_plugin(options: tuple[str, ...], source: Path, python: Path, tmp_path: Path) -> None:
    run([python, *PIP, *options, source], tmp_path)
    where = run([python, "-c", "import cryptodash; print(cryptodash.__file__)"], tmp_path)
    assert str(tmp_path) in where
    assert plugin_is_listed(python, tmp_path)


def test_the_built_wheel_lists_the_plugin_and_holds_everything(source: Path, python: Path, tmp_path: Path) -> None:
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            tmp_path / "dist",
            source,
        ],
        tmp_path,
    )
    (wheel,) = (tmp_path / "dist").glob("cryptodash-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "twisted/plugins/cryptodash_plugin.py" in names
    assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & names, "would overwrite Twisted's own"
    in_tree = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "cryptodash").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert in_tree <= names
    run([python, *PIP, wheel], tmp_path)
    assert plugin_is_listed(python, tmp_path)
