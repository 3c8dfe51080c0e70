"""Build the wheel and the sdist so that whoever builds the same commit with the same setuptools gets the same bytes:
``python release/build_dist.py dist``.

What differs between two machines is taken out: files that git does not know, their modes and times, who owns them, and
the hour. The hour is ``SOURCE_DATE_EPOCH`` or the commit's. Packages are built in this environment (setuptools 77 or
newer), not in one of their own, so that no other version of it slips in.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    *("setup.cfg", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"),
    *("requirements.lock", "cryptodash", "twisted", "docs/upgrade.md"),
)
"""All that a release is made of."""
HOOK = "import sys; from setuptools import build_meta; print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"


def build(root: Path, out: Path, epoch: int) -> list[Path]:
    """The two files, in ``out``. Raises ``CalledProcessError`` with what setuptools says."""
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("sdist", "wheel"):
            source = Path(folder) / kind
            _copy(root, source)
            done = subprocess.run(
                [sys.executable, "-c", HOOK, kind, str(out.resolve())],
                cwd=source,
                env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"},
                capture_output=True,
                text=True,
                check=True,
            )
            made.append(out / done.stdout.splitlines()[-1])
    _settle(made[0], epoch)
    return made


def epoch_of(root: Path) -> int:
    """Seconds since 1970 that all files are of."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given if given else _git(root, "log", "-1", "--format=%ct"))


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout


def _copy(root: Path, target: Path) -> None:
    """What git knows of the release, with modes that no umask has touched."""
    for name in _git(root, "ls-files", "-z", "--", *PARTS).split("\0"):
        if name:
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy)
            copy.chmod(0o644)
    for folder in (target, *(each for each in target.rglob("*") if each.is_dir())):
        folder.chmod(0o755)


def _settle(sdist: Path, epoch: int) -> None:
    """setuptools writes this hour and this user into it."""
    settled = io.BytesIO()
    with (
        tarfile.open(sdist) as archive,
        gzip.GzipFile("", "wb", 9, settled, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as target,
    ):
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() else 0o644
            member.pax_headers = {}
            target.addfile(member, archive.extractfile(member) if member.isfile() else None)
    sdist.write_bytes(settled.getvalue())


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    for path in build(ROOT, out, epoch_of(ROOT)):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


if __name__ == "__main__":
    main()
