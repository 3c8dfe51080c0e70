"""Makes the protocol of each connection of /ws, with Autobahn's options as this server wants them."""

from __future__ import annotations

from typing import Any, Final

from cryptodash.api.answer_parts import SERVER
from cryptodash.api.private_names import ServerFactory
from cryptodash.api.ws.admission import origin_allowed
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.deflate import accept_deflate
from cryptodash.api.ws.socket import ClientProtocol, QuietLog
from cryptodash.api.ws.upgrade import Upgrade

OPEN_HANDSHAKE_TIMEOUT: Final = 5
CLOSE_HANDSHAKE_TIMEOUT: Final = 1
"""Seconds a peer has to answer our close frame before the connection is aborted."""


class ClientFactory(ServerFactory):
    """Serves /ws. Mount it with ``WebSocketResource`` or listen with it."""

    protocol = ClientProtocol
    log = QuietLog()

    def __init__(self, clients: Clients) -> None:
        super().__init__(SERVER, clients.reactor)
        self.clients = clients
        self.reconfigure()

    def reconfigure(self) -> None:
        """New connections go by what is in force now."""
        self._set_options()
        self._build = self.protocol_with_options(clients=self.clients)

    def _set_options(self) -> None:
        limits = self.clients.config.limits
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=limits.max_message_bytes,
            maxMessagePayloadSize=limits.max_message_bytes,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=OPEN_HANDSHAKE_TIMEOUT,
            closeHandshakeTimeout=CLOSE_HANDSHAKE_TIMEOUT,
            tcpNoDelay=True,
            autoPingInterval=limits.ping_interval_s,
            autoPingTimeout=limits.ping_timeout_s,
            autoPingRestartOnAnyTraffic=False,
            allowedOrigins=["*"],  # checked in onConnect, where a refusal is a 403
            allowNullOrigin=True,
            perMessageCompressionAccept=accept_deflate if self.clients.config.ws_deflate else None,
        )

    def grants(self, request: Upgrade) -> bool:
        """Whether ``ClientProtocol.grant`` may be called: nothing is to be refused, or to be agreed on."""
        if self.clients.draining or (request.deflate and self.clients.config.ws_deflate):
            return False
        if self.clients.access.is_on and request.may_hold_token:
            return False  # it has to be judged, and may be refused
        return origin_allowed(request.origin, self.clients.config.allowed_origins)

    def buildProtocol(self, addr: Any) -> ClientProtocol:
        protocol: ClientProtocol = self._build()
        protocol.factory = self
        return protocol
