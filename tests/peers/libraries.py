"""The clients of others that are tested here, where they are installed (extra ``peers``)."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

import pytest


def library(name: str) -> Any:
    """The module of this name. Without it the tests of the file that asks are skipped, unless
    ``CRYPTODASH_REQUIRE_PEERS`` is set (as CI does)."""
    try:
        with warnings.catch_warnings():
            # What others use of others is their own affair.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed (pip install -e '.[peers]')"
        if os.environ.get("CRYPTODASH_REQUIRE_PEERS"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason, allow_module_level=True)
