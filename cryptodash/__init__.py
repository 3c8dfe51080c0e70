"""cryptodash: a self-hosted crypto market-data server."""

from cryptodash._version import __version__

__all__ = ["__version__"]
