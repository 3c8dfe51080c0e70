"""One check of the kit."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from cryptodash.testing.conformance.failure import NotConforming


@frozen
class Check:
    """One check; calling it raises ``NotConforming`` with what is wrong."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        try:
            self.run()
        except NotConforming:
            raise
        except Exception as error:  # whatever a venue raises where it should not
            raise NotConforming(f"{self.name}: the venue raises {type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        return self.name
