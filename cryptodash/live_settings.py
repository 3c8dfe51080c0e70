"""Which part of a running server takes which settings, and what it does when they change."""

from __future__ import annotations

from attrs import fields_dict

from cryptodash.api.access.access import Access
from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import GuardedSite
from cryptodash.api.ws.clients import Clients
from cryptodash.certificates import CertificateWatch
from cryptodash.core.config import Config, Limits
from cryptodash.core.topics import COMPOSITE, Topic
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.reload import NotTaken, Reloadable
from cryptodash.tls_files import CertificateFiles

OF_NEW_CONNECTIONS = ("allowed_origins", "cors_origins", "client_stall_timeout_s", *fields_dict(Limits))

OF_ACCESS = ("auth_token", "auth_tokens_file", "auth_jwt_keys", "protect_ops")

LIVE = ("tls_cert", "tls_key", *OF_NEW_CONNECTIONS, *OF_ACCESS, "symbols")
"""All that any of the parts below takes: whoever only passes a reload on goes by it."""


def tls_files(config: Config) -> CertificateFiles | None:
    """Those of ``TLS_CERT`` and ``TLS_KEY``, if TLS is ours."""
    return CertificateFiles(config.tls_cert, config.tls_key) if config.tls_cert else None


class LiveSettings:
    """The parts of one server. ``symbols`` are the topics that it keeps warm now."""

    def __init__(
        self,
        config: Config,
        hub: Broadcaster,
        clients: Clients,
        rest: Rest,
        site: GuardedSite,
        certificates: CertificateWatch,
        access: Access,
    ) -> None:
        self.symbols: tuple[Topic, ...] = config.symbols
        self._hub = hub
        self._clients = clients
        self._rest = rest
        self._site = site
        self._certificates = certificates
        self._access = access

    def parts(self) -> list[Reloadable]:
        """Whoever takes others adds a line here."""
        return [
            Reloadable(("tls_cert", "tls_key"), self._take_certificate, _other_tls),
            Reloadable(OF_NEW_CONNECTIONS, self._take_limits),
            Reloadable(OF_ACCESS, self._take_access),
            Reloadable(("symbols",), self._take_symbols, _other_venues),
        ]

    def _take_certificate(self, old: Config, new: Config) -> None:
        """Other files, or what the files hold now."""
        files = tls_files(new)
        if files is not None and files != tls_files(old):
            self._certificates.replace(files)
        else:
            self._certificates.look(anew=True)

    def _take_limits(self, old: Config, new: Config) -> None:
        self._hub.reconfigure(new)
        self._clients.reconfigure(new)
        self._rest.reconfigure(new)
        self._site.reconfigure(new)

    def _take_access(self, old: Config, new: Config) -> None:
        """Other rules, or what their files hold now; where these are broken the rules stay as they are."""
        if not self._access.replace(new):
            raise NotTaken

    def _take_symbols(self, old: Config, new: Config) -> None:
        """What was held already goes on without a break."""
        self.symbols = new.symbols
        for topic in new.symbols:
            if topic not in old.symbols:
                self._hub.hold(topic, 0)
        for topic in old.symbols:
            if topic not in new.symbols:
                self._hub.release(topic, 0)


def _other_tls(old: Config, new: Config) -> tuple[str, ...]:
    """A socket that speaks TLS goes on doing so, and one that does not, not."""
    return () if bool(old.tls_cert) == bool(new.tls_cert) else ("tls_cert", "tls_key")


def _other_venues(old: Config, new: Config) -> tuple[str, ...]:
    """Topics of a venue that is not open here wait for the restart that opens it."""
    known = (*old.exchanges, COMPOSITE)
    return () if all(topic.exchange in known for topic in new.symbols) else ("symbols",)
