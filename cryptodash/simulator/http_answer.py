"""An HTTP answer of a simulated host, before it is bytes."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class HttpAnswer:
    """To a REST request, or in the place of a WebSocket upgrade."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)
