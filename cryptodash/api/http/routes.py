"""Which routes there are, as far as requests are counted by them."""

from __future__ import annotations

from attrs import frozen


@frozen
class Routes:
    """The route templates: the closed set of labels that requests are counted under."""

    fixed: frozenset[str]

    def template(self, path: bytes) -> str:
        text = path.decode("latin-1")
        if text in self.fixed:
            return text
        return "/assets/<name>" if text.startswith("/assets/") else "unmatched"
