"""``deploy/Dockerfile`` and ``deploy/compose.yaml`` as a test reads them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

import yaml
from attrs import frozen

from tests.processes import ROOT

DEPLOY: Final = ROOT / "deploy"


@frozen
class Instruction:
    """One of the Dockerfile: ``RUN`` and what follows it, on one line."""

    word: str
    rest: str

    @property
    def command(self) -> list[str]:
        """The words of an exec form. Raises ``ValueError`` where it is a shell's."""
        return list(json.loads(self.rest[self.rest.index("[") :]))


def stages() -> list[list[Instruction]]:
    """The instructions from each FROM to the next."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[list[Instruction]] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append([])
        if word:
            found[-1].append(Instruction(word, rest.strip()))
    return found


def last(word: str) -> Instruction:
    """The last such instruction of the image: the one that holds."""
    return [each for each in stages()[-1] if each.word == word][-1]


def environment() -> Mapping[str, str]:
    """What ENV sets in the image."""
    pairs = [pair for each in stages()[-1] if each.word == "ENV" for pair in shlex.split(each.rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
