"""Which venues there are, and how one is loaded: a folder beside this file, or another distribution's entry point.

A venue of this package is ``venues/<id>/venue.py`` with ``VENUE``. Others announce theirs in the entry-point group
``cryptodash.exchanges``: the name is the id, the object is the venue itself (``acme = acme_feed.venue:VENUE``). Only
the venues that are asked for get imported.
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
from cryptodash.core.topics import COMPOSITE
from cryptodash.exchanges.adapter.venue import IVenue

GROUP = "cryptodash.exchanges"

_is_id = re.compile(r"[a-z][a-z0-9_-]{0,31}").fullmatch


def available() -> list[str]:
    """The ids that ``load`` knows, sorted; nothing is imported."""
    return sorted(_own() | _announced().keys())


def load(name: str) -> IVenue:
    """The venue with this id. Raises ``ConfigError`` with one line that lists what there is:
    for an unknown id, and for a venue that is broken."""
    if not _is_id(name) or name not in available():
        raise ConfigError(f"unknown exchange {name[:40]!r}; {_offer()}")
    try:
        venue = _import(name)
        verifyObject(IVenue, venue)
    except Invalid as error:
        raise ConfigError(f"exchange {name} is not a venue: {_one_line(error)}; {_offer()}") from error
    except Exception as error:  # whatever a foreign module raises while it is imported
        raise ConfigError(
            f"exchange {name} cannot be loaded: {type(error).__name__}: {_one_line(error)}; {_offer()}"
        ) from error
    if venue.id != name:
        raise ConfigError(f"exchange {name} calls itself {str(venue.id)[:40]!r}; {_offer()}")
    return venue


def _own() -> set[str]:
    """Folders of this package that hold a ``venue.py``."""
    return {path.parent.name for path in Path(__file__).parent.glob("*/venue.py") if _is_id(path.parent.name)}


def _announced() -> dict[str, EntryPoint]:
    """Venues of other distributions; one that takes a name of ours is not used."""
    return {each.name: each for each in entry_points(group=GROUP) if _is_id(each.name) and each.name != COMPOSITE}


def _import(name: str) -> IVenue:
    if name in _own():
        return cast(IVenue, import_module(f"{__package__}.{name}.venue").VENUE)
    return cast(IVenue, _announced()[name].load())


def _offer() -> str:
    return f"available: {', '.join(available())}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
