"""What can go wrong for a user of the client."""

from __future__ import annotations


class ClientError(Exception):
    """Any of these."""


class MalformedFrame(ClientError):
    """The server (or what stands in its place) sent what is no message of this protocol."""


class AccessDenied(ClientError):
    """The server wants a token, or another one. It is not asked again."""


class ChannelRejected(ClientError):
    """The server does not accept a channel; ``code`` is its own word (``unknown_symbol``, ``rate_limited``)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class ClientClosed(ClientError):
    """The client was closed."""
