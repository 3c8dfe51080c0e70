"""What a reader of tapes gives: what was recorded, and what was not."""

from __future__ import annotations

from cryptodash.core.recorded import STATE, Entry, Missing, Span

__all__ = ["STATE", "Entry", "Missing", "Span"]
