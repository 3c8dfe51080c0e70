"""The documents say what the code does: settings, commands, links and examples are checked against it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryptodash.core import codec
from cryptodash.core.config import SETTINGS, Config
from cryptodash.core.layers import Layer, load
from cryptodash.options import Options

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")), *ROOT.glob("docs/**/*.md")])
PATHS_BEGIN_AT = [ROOT / each for each in ("", "cryptodash", "cryptodash/exchanges", "examples/acme_exchange")]
"""A document may leave out what is plain from its subject."""


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_table_with_its_default(setting: object) -> None:
    name, default, meaning = setting.name, setting.default, setting.meaning  # type: ignore[attr-defined]
    shown = f"`{default}`" if default else "(empty)"
    assert f"| `{name}` | {shown} | {meaning} |" in README


def test_the_table_names_no_setting_that_is_not_there() -> None:
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert named == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """Paths, in prose and in pictures; ``<venue>`` and ``*`` stand for any name."""
    text = page.read_text(encoding="utf-8")
    for path in set(re.findall(r"(?<![\w./:-])(?:[\w*<>-]+/)+[\w*<>.-]+\.(?:py|md|json|js|toml|service)\b", text)):
        pattern = re.sub(r"<\w+>", "*", path)
        assert any(any(begin.glob(pattern)) for begin in (page.parent, *PATHS_BEGIN_AT)), path


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = {entry[0] for entry in Options.subCommands}
    for page in PAGES:
        for used in re.findall(r"twistd (?:-\S+ )*cryptodash ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
            assert used in commands, f"{page.name}: {used}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_fault_commands_name_their_simulator(page: Path) -> None:
    for command in re.findall(r"^\S*twistd cryptodash fault .*", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert " --control-port " in command or " --help" in command, command


def test_examples_are_valid_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert isinstance(codec.decode(block), dict)


def test_the_example_env_file_is_the_seeds_and_means_the_defaults() -> None:
    """Comments beside them may name further settings."""
    lines = (ROOT / "deploy" / ".env.example").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    further = {found[1] for line in lines if (found := re.match(r"# ([A-Z_]+)=", line))}
    assert further <= {setting.name for setting in SETTINGS}
    assert list(values) == ["RUST_LOG", "BIND_ADDR", "ENABLE_REDIS", "REDIS_URL", "EXCHANGES", "BOOK_DEPTH_DEFAULT"]
    assert load([Layer(".env", values, own=True)], ("binance", "bybit")) == Config()
