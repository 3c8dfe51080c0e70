"""What a server that speaks TLS itself shows of its certificates."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate
from twisted.internet.testing import MemoryReactor

from cryptodash.core.config import Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import Layer, load
from cryptodash.listening import BACKLOG, endpoint_of
from cryptodash.testing.authority import Authority

HOST = "market.example"


class Certificates:
    """A root, an intermediate authority and a server's certificate, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Authority()
        self.middle = Authority(self.root)
        self.leaf, self.key = self.middle.files(HOST)
        self.write("key.pem", self.key)

    def write(self, name: str, *parts: str) -> Path:
        path = self.folder / name
        path.write_bytes("".join(parts).encode())
        return path

    def settings(self, certificate: Path) -> Config:
        values = {"BIND_ADDR": "127.0.0.1:8443", "TLS_CERT": str(certificate), "TLS_KEY": str(self.folder / "key.pem")}
        return load([Layer("environment", values)], ("binance", "bybit"))


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def listening(endpoint: str) -> Any:
    """What is listened on: port, factory, TLS options, backlog, interface."""
    reactor = MemoryReactor()
    endpoint_of(reactor, endpoint).listen(Factory.forProtocol(Protocol))
    ((port, _, options, backlog, interface),) = reactor.sslServers
    return port, options, backlog, interface


def handshake(options: Any, root: Authority, newest: int = 0, ciphers: str = "") -> SSL.Connection:
    """The client's end after a handshake in memory, of a client that trusts the root alone, and offers nothing newer
    than a version and no other ciphers than these. Raises ``SSL.Error``."""
    trusting = SSL.Context(SSL.TLS_CLIENT_METHOD)
    trusting.set_verify(SSL.VERIFY_PEER)
    store = trusting.get_cert_store()
    assert store is not None
    store.add_cert(Certificate.loadPEM(root.pem).original)
    trusting.set_min_proto_version(SSL.TLS1_VERSION)
    trusting.set_max_proto_version(newest)
    if ciphers:
        trusting.set_cipher_list(ciphers.encode())
    client, server = SSL.Connection(trusting, None), SSL.Connection(options.getContext(), None)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(3):
        for this, that in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                this.do_handshake()
            with suppress(SSL.WantReadError):
                that.bio_write(this.bio_read(65536))
    return client


def chain_seen(options: Any, root: Authority) -> list[str]:
    """Whom the certificates name that a client reads. Raises ``SSL.Error``."""
    client = handshake(options, root)
    chain = client.get_peer_cert_chain(as_cryptography=True) or ()
    return [each.subject.rfc4514_string().removeprefix("CN=") for each in chain]


def test_the_whole_chain_of_the_certificate_file_is_sent(certificates: Certificates) -> None:
    full = certificates.write("fullchain.pem", certificates.leaf, certificates.middle.pem)
    port, options, backlog, interface = listening(certificates.settings(full).bind_addr)
    assert chain_seen(options, certificates.root) == [HOST, "middle of a test"]
    assert (port, backlog, interface) == (8443, BACKLOG, "127.0.0.1")


def test_a_chain_in_an_endpoint_string_is_sent_as_well(certificates: Certificates) -> None:
    full = certificates.write(
        "full:chain.pem", certificates.leaf, "\r\n", certificates.middle.pem.replace("\n", "\r\n")
    )
    escaped = str(full).replace(":", "\\:")
    key = certificates.folder / "key.pem"
    for endpoint in (
        f"ssl:8443:certKey={escaped}:privateKey={key}:backlog=7",
        f"ssl:8443:{key}:{escaped}:backlog=7",
    ):
        _, options, backlog, _ = listening(endpoint)
        assert chain_seen(options, certificates.root) == [HOST, "middle of a test"]
        assert backlog == 7


def test_one_file_may_hold_the_key_and_the_chain(certificates: Certificates) -> None:
    both = certificates.write("both.pem", certificates.key, certificates.leaf, certificates.middle.pem)
    _, options, _, _ = listening(f"ssl:8443:privateKey={both}")
    assert chain_seen(options, certificates.root) == [HOST, "middle of a test"]


def test_intermediates_of_a_file_of_their_own_are_sent(certificates: Certificates) -> None:
    leaf = certificates.write("leaf.pem", certificates.leaf)
    middle = certificates.write("middle.pem", certificates.middle.pem)
    key = certificates.folder / "key.pem"
    _, options, _, _ = listening(f"ssl:8443:certKey={leaf}:privateKey={key}:extraCertChain={middle}")
    assert chain_seen(options, certificates.root) == [HOST, "middle of a test"]


def test_a_certificate_alone_is_enough_where_the_root_itself_signed_it(certificates: Certificates) -> None:
    leaf, key = certificates.root.files(HOST)
    certificates.write("key.pem", key)
    _, options, _, _ = listening(certificates.settings(certificates.write("leaf.pem", leaf)).bind_addr)
    assert chain_seen(options, certificates.root) == [HOST]


def alone(certificates: Certificates) -> str:
    """The endpoint of a server whose certificate the root itself signed."""
    leaf, key = certificates.root.files(HOST)
    certificates.write("key.pem", key)
    return certificates.settings(certificates.write("leaf.pem", leaf)).bind_addr


@pytest.mark.parametrize("ciphers", ["ECDHE+AESGCM", "ECDHE+CHACHA20"])
def test_tls_1_2_works_with_authenticated_encryption(certificates: Certificates, ciphers: str) -> None:
    _, options, _, _ = listening(alone(certificates))
    client = handshake(options, certificates.root, SSL.TLS1_2_VERSION, ciphers)
    assert client.get_protocol_version_name() == "TLSv1.2"
    assert "GCM" in str(client.get_cipher_name()) or "POLY1305" in str(client.get_cipher_name())


@pytest.mark.parametrize(
    ("newest", "ciphers"),
    [
        (SSL.TLS1_2_VERSION, "ECDHE+AES256:!AESGCM:!AESCCM"),  # CBC
        (SSL.TLS1_2_VERSION, "ECDHE+AES128:!AESGCM:!AESCCM"),
        (SSL.TLS1_2_VERSION, "kRSA+AESGCM"),  # no forward secrecy
        (SSL.TLS1_2_VERSION, "kRSA+AES"),
        (SSL.TLS1_1_VERSION, "ALL:@SECLEVEL=0"),
        (SSL.TLS1_VERSION, "ALL:@SECLEVEL=0"),
    ],
)
def test_older_versions_and_other_ciphers_are_refused(certificates: Certificates, newest: int, ciphers: str) -> None:
    _, options, _, _ = listening(alone(certificates))
    with pytest.raises(SSL.Error):
        handshake(options, certificates.root, newest, ciphers)


def test_tls_1_3_is_what_a_client_of_today_gets(certificates: Certificates) -> None:
    _, options, _, _ = listening(alone(certificates))
    assert handshake(options, certificates.root).get_protocol_version_name() == "TLSv1.3"


def test_an_endpoint_string_may_stay_at_tls_1_2_but_not_below(certificates: Certificates) -> None:
    endpoint = alone(certificates)
    _, options, _, _ = listening(f"{endpoint}:sslmethod=TLSv1_2_METHOD")
    assert handshake(options, certificates.root).get_protocol_version_name() == "TLSv1.2"
    for method in ("TLSv1_METHOD", "TLSv1_1_METHOD", "nonsense"):
        with pytest.raises(ConfigError, match="sslmethod"):
            endpoint_of(MemoryReactor(), f"{endpoint}:sslmethod={method}")


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_refused_in_one_line(certificates: Certificates, content: str) -> None:
    settings = certificates.settings(certificates.write("bad.pem", content))
    with pytest.raises(ConfigError, match="TLS_CERT") as caught:
        endpoint_of(MemoryReactor(), settings.bind_addr)
    assert "bad.pem" in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_of_another_certificate_is_refused_before_the_start(certificates: Certificates) -> None:
    leaf, _ = certificates.middle.files(HOST)
    settings = certificates.settings(certificates.write("other.pem", leaf, certificates.middle.pem))
    with pytest.raises(ConfigError, match=r"TLS_CERT and TLS_KEY.* do not match"):
        endpoint_of(MemoryReactor(), settings.bind_addr)


@pytest.mark.parametrize("endpoint", ["ssl:x", "ssl:", "ssl:8443:privateKey=/nowhere.pem", "ssl:8443:nonsense=1"])
def test_a_wrong_endpoint_string_is_a_setting_error(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="BIND_ADDR"):
        endpoint_of(MemoryReactor(), endpoint)
