"""What is released: the same bytes for all who build it, whole, and with dependencies that are locked."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from cryptodash import __version__
from release.build_dist import PARTS, build

ROOT = Path(__file__).resolve().parent.parent.parent
EPOCH = 1_767_225_600


def checkout(folder: Path, umask: int) -> Path:
    """What git knows of the release, as another user of another machine may have it."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout of git")
    before = os.umask(umask)
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS],
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        for words in (("init", "--quiet"), ("add", "--all")):
            subprocess.run(["git", "-C", str(folder), *words], check=True)
    finally:
        os.umask(before)
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    folder = tmp_path_factory.mktemp("release")
    sdist, wheel = build(checkout(folder / "one", 0o022), folder / "dist", EPOCH)
    return sdist, wheel


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_whoever_builds_gets_the_same_bytes(
    released: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    other = checkout(tmp_path / "another folder", 0o077)
    (other / "cryptodash" / "scratch.py").write_text("left over")
    (other / "build").mkdir()
    (other / "cryptodash" / "tap.py").chmod(0o755)
    os.utime(other / "README.md", (1, 1))
    again = build(other, tmp_path / "dist", EPOCH)
    assert [each.name for each in again] == [each.name for each in released]
    assert [digest(each) for each in again] == [digest(each) for each in released]


def test_another_hour_and_another_line_are_other_bytes(released: tuple[Path, Path], tmp_path: Path) -> None:
    other = checkout(tmp_path / "other", 0o022)
    later = build(other, tmp_path / "later", EPOCH + 2)
    assert all(digest(each) != digest(before) for each, before in zip(later, released, strict=True))
    (other / "cryptodash" / "py.typed").write_text("\n")
    changed = build(other, tmp_path / "changed", EPOCH)
    assert all(digest(each) != digest(before) for each, before in zip(changed, released, strict=True))


def test_the_release_is_whole(released: tuple[Path, Path], tmp_path: Path) -> None:
    sdist, wheel = released
    top = f"cryptodash-{__version__}"
    assert (sdist.name, wheel.name) == (f"{top}.tar.gz", f"{top}-py3-none-any.whl")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path, filter="data")
    names = {member.name for member in members}
    for part in ("LICENSE", "README.md", "CHANGELOG.md", "docs/upgrade.md", "requirements.lock", "cryptodash/py.typed"):
        assert f"{top}/{part}" in names
    assert {(each.uid, each.uname, each.mtime) for each in members} == {(0, "", EPOCH)}
    with zipfile.ZipFile(wheel) as packed:
        wheel_names = set(packed.namelist())
        metadata = HeaderParser().parsestr(packed.read(f"{top}.dist-info/METADATA").decode())
    assert {"cryptodash/py.typed", f"{top}.dist-info/licenses/LICENSE"} <= wheel_names
    assert metadata["Version"] == __version__ and metadata["License"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    in_sdist = {name.removeprefix(f"{top}/") for name in names}
    code = {name for name in wheel_names if not name.startswith(f"{top}.dist-info/")}
    assert code <= in_sdist, "who has the sdist alone can build the wheel"
    assert not {name for name in names | wheel_names if "tests/" in name or "__pycache__" in name}


def test_the_changelog_begins_with_this_version_and_how_to_come_here_is_written() -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heading is not None and heading.group(1) == __version__
    assert __version__.rpartition(".")[0] in (ROOT / "docs" / "upgrade.md").read_text()


# -- requirements.lock


class Pin:
    def __init__(self, entry: str) -> None:
        line, *rest = entry.replace("\\\n", " ").split("--hash=")
        self.requirement = Requirement(line.strip())
        self.hashes = [each.strip() for each in rest]
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        self.version = Version(only.version)


def pins() -> dict[str, list[Pin]]:
    """By name: there may be one for each kind of interpreter."""
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.M)
    found: dict[str, list[Pin]] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        pin = Pin(entry)
        found.setdefault(canonicalize_name(pin.requirement.name), []).append(pin)
    return found


def wanted() -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"], setup["options.extras_require"]["redis"]
    return [Requirement(line) for text in lines for line in text.splitlines() if line and not line.startswith("#")]


def test_what_is_locked_is_within_the_bounds_of_setup_cfg() -> None:
    locked = pins()
    assert len(wanted()) > 10
    for requirement in wanted():
        for pin in locked[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(pin.version), f"{pin.requirement} is not {requirement}: make lock"


def test_each_pin_has_hashes_and_none_names_a_place() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and not re.search(r"^-", text, re.M)
    for pin in (each for entries in pins().values() for each in entries):
        assert pin.hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes), pin.requirement


def test_what_the_locked_packages_need_is_locked_as_well() -> None:
    """Of those that are installed here; pip itself refuses the rest (``--require-hashes``)."""
    from importlib.metadata import PackageNotFoundError, requires

    locked, known = pins(), 0
    for name in locked:
        try:
            needs = [Requirement(each) for each in requires(name) or ()]
        except PackageNotFoundError:
            continue
        known += 1
        for need in needs:
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in locked, f"{name} needs {need}"
    assert known > 10
