"""Which venues the simulator speaks, and how a dialect is loaded: a folder beside this file, or another distribution's
entry point.

A dialect of this package is ``dialects/<venue id>/dialect.py`` with ``DIALECT``. Others announce theirs in the
entry-point group ``cryptodash.dialects``: the name is the venue's id, the object the dialect itself
(``acme = acme_feed.dialect:DIALECT``). Only what is asked for gets imported.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from cryptodash.core.errors import ConfigError
from cryptodash.simulator.dialect import IDialect, IRecordingReader
from cryptodash.simulator.faults import FAULTS

GROUP = "cryptodash.dialects"

_is_id = re.compile(r"[a-z][a-z0-9_-]{0,31}").fullmatch


def available() -> list[str]:
    """The ids of the venues that ``load`` knows, sorted; nothing is imported."""
    return sorted(_own() | _announced().keys())


def load(name: str) -> IDialect:
    """The dialect of the venue with this id. Raises ``ConfigError`` with one line that lists what there is:
    for a venue without one, and for a dialect that is broken."""
    if not _is_id(name) or name not in available():
        raise ConfigError(f"{name[:40]!r} has no simulator; {_offer()}")
    try:
        dialect = _import(name)
        verifyObject(IDialect, dialect)
        if dialect.recordings is not None:
            verifyObject(IRecordingReader, dialect.recordings)
    except Invalid as error:
        raise ConfigError(f"the simulator of {name} is not a dialect: {_one_line(error)}; {_offer()}") from error
    except Exception as error:  # whatever a foreign module raises while it is imported
        raise ConfigError(
            f"the simulator of {name} cannot be loaded: {type(error).__name__}: {_one_line(error)}; {_offer()}"
        ) from error
    flaw = _flaw(name, dialect)
    if flaw:
        raise ConfigError(f"the simulator of {name} {flaw}; {_offer()}")
    return dialect


def _flaw(name: str, dialect: IDialect) -> str:
    """What in the dialect does not fit together; empty if nothing."""
    if dialect.exchange != name:
        return f"calls itself {str(dialect.exchange)[:40]!r}"
    served = [market for host in dialect.hosts for market in host.markets]
    if sorted(served) != sorted(dialect.markets):
        return f"lists the markets {', '.join(dialect.markets)} and serves {', '.join(served)}"
    names = [host.name for host in dialect.hosts]
    if len(set(names)) < len(names) or any(each != name and not each.startswith(f"{name}-") for each in names):
        return f"has hosts that are not called {name} or {name}-something, each once: {', '.join(names)}"
    unknown = [each for each in dialect.faults if each not in FAULTS]
    return f"does faults that there are not: {', '.join(unknown)}" if unknown else ""


def _own() -> set[str]:
    """Folders of this package that hold a ``dialect.py``."""
    return {path.parent.name for path in Path(__file__).parent.glob("*/dialect.py") if _is_id(path.parent.name)}


def _announced() -> dict[str, EntryPoint]:
    """Dialects of other distributions; one that takes a name of ours is not used."""
    return {each.name: each for each in entry_points(group=GROUP) if _is_id(each.name)}


def _import(name: str) -> IDialect:
    if name in _own():
        return cast(IDialect, import_module(f"{__package__}.{name}.dialect").DIALECT)
    return cast(IDialect, _announced()[name].load())


def _offer() -> str:
    return f"available: {', '.join(available())}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
