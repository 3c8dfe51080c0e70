"""JSON Web Tokens: which are taken, and every way in which one is refused."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cryptodash.api.access.jwt_keys import LEEWAY_S, Expired, read_keys, read_signed
from cryptodash.core.errors import ConfigError

NOW = 1_704_067_200
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HS = f"HS256:{text(SECRET)}"
ED = f"EdDSA:{text(PUBLIC.public_bytes_raw())}"
CLAIMS = {"sub": "desk", "scope": "read:ticker max_rate=5", "exp": NOW + 300}


def nothing(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory")


def signed(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=headers or None)


def test_both_kinds_and_two_at_a_time() -> None:
    keys = read_keys(f"{HS}, {ED}", nothing)
    for token in (signed(CLAIMS), signed(CLAIMS, PRIVATE, "EdDSA")):
        grant = read_signed(keys, token, NOW * 1000)
        assert grant is not None
        assert (grant.name, grant.max_rate, grant.reads_all) == ("desk", 5.0, False)
        assert grant.until_ms == (NOW + 300 + LEEWAY_S) * 1000
    assert read_signed(keys, signed(CLAIMS, OTHER_SECRET), NOW * 1000) is None
    both = read_keys(f"{HS},HS256:{text(OTHER_SECRET)}", nothing)
    grants = [read_signed(both, signed(CLAIMS, key), NOW * 1000) for key in (SECRET, OTHER_SECRET)]
    assert len({each.proof for each in grants if each is not None}) == 2, "which key it rests on is known"


def test_the_algorithm_is_the_keys_own_whatever_the_token_says(encoded: Callable[[object], str]) -> None:
    keys = read_keys(ED, nothing)
    raw, public = PUBLIC.public_bytes_raw(), PEM
    body = encoded(CLAIMS)
    for secret in (raw, raw.hex().encode(), text(raw).encode()):
        # The public key, which anybody may have, as the secret of an HMAC.
        assert read_signed(keys, signed(CLAIMS, secret), NOW * 1000) is None
    import hashlib
    import hmac

    for secret in (public, raw):
        signing = f"{encoded({'alg': 'HS256'})}.{body}"
        forged = f"{signing}.{text(hmac.digest(secret, signing.encode(), hashlib.sha256))}"
        assert read_signed(keys, forged, NOW * 1000) is None
    for algorithm in ("none", "None", "", "HS256", "HS512", "RS256", "ES256"):
        for signature in ("", text(bytes(64)), text(bytes(32))):
            token = f"{encoded({'alg': algorithm})}.{body}.{signature}"
            assert read_signed((*keys, *read_keys(HS, nothing)), token, NOW * 1000) is None
    long = read_keys(f"HS256:{text(SECRET * 2)}", nothing)
    assert [
        read_signed(long, signed(CLAIMS, SECRET * 2, each), NOW * 1000) is not None
        for each in ("HS256", "HS384", "HS512")
    ] == [True, False, False]


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": -1},
        {"exp": 10**30},
        {"scope": None},
        {"scope": ["read"]},
        {"scope": ""},
        {"scope": "write"},
        {"aud": "somebody-else"},
        {"aud": ["a", "b"]},
        {"aud": 7},
        {"nbf": "now"},
    ],
    ids=str,
)
def test_claims_that_are_wrong(change: dict[str, Any], encoded: Callable[[object], str]) -> None:
    import hashlib
    import hmac

    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    signing = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims)}"
    token = f"{signing}.{text(hmac.digest(SECRET, signing.encode(), hashlib.sha256))}"
    assert read_signed(read_keys(HS, nothing), token, NOW * 1000) is None


def test_times_with_the_leeway_and_not_a_moment_more() -> None:
    keys = read_keys(HS, nothing)

    def at(offset_ms: int, **claims: Any) -> bool | None:
        try:
            return read_signed(keys, signed(CLAIMS | claims), NOW * 1000 + offset_ms) is not None
        except Expired:
            return None

    end = (300 + LEEWAY_S) * 1000
    assert [at(end - 1), at(end), at(end + 10**9)] == [True, None, None]
    assert [at(0, nbf=NOW + LEEWAY_S), at(-1, nbf=NOW + LEEWAY_S)] == [True, None]
    assert (
        at(0, iat=NOW + 10_000) and at(0, exp=NOW + 0.5) and at(0, aud=["x", "cryptodash"]) and at(0, aud="cryptodash")
    )


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        "\u00e9.b.c",
        f"{'e' * 500}.{'e' * 500}.",
        "e30.e30.e30",
        "eyJhbGciOiJIUzI1NiJ9.W10.",
        "\udc80.a.b",
    ],
    ids=range(8),
)
def test_what_is_no_token_at_all(token: str) -> None:
    assert read_signed(read_keys(f"{HS},{ED}", nothing), token, NOW * 1000) is None


def test_a_header_that_asks_for_what_we_do_not_do_is_refused() -> None:
    keys = read_keys(HS, nothing)
    assert read_signed(keys, signed(CLAIMS, crit=["b64"], b64=False), NOW * 1000) is None
    assert read_signed(keys, signed(CLAIMS, crit=["x"], x=1), NOW * 1000) is None
    assert read_signed(keys, signed(CLAIMS, kid="../../etc/passwd", jwk={"k": "x"}, jku="http://x"), NOW * 1000)


def test_keys_in_files() -> None:
    files = {"pem": PEM, "secret": text(SECRET).encode() + b"\n"}
    keys = read_keys("EdDSA:@pem,HS256:@secret", files.__getitem__)
    assert [each.algorithm for each in keys] == ["EdDSA", "HS256"]
    assert [each.proof for each in keys] == [each.proof for each in read_keys(f"{ED},{HS}", nothing)]


RSA = generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (",", "0 keys"),
        (f"{HS},{HS},{HS}", "3 keys"),
        ("S3CRET", "key 1 is of no kind"),
        ("none:S3CRET", "key 1 is of no kind"),
        ("RS256:S3CRET", "key 1 is of no kind"),
        (f"{HS},HS256:S3CRET", "key 2 is not the base64url of 32"),
        (f"HS256:{text(SECRET[:31])}", "key 1 is not the base64url of 32"),
        ("HS256:S3CRET!" + "A" * 64, "key 1 is not the base64url"),
        ("EdDSA:S3CRET", "not an Ed25519"),
        ("EdDSA:@rsa", "not an Ed25519"),
        ("EdDSA:@gone", "gone cannot be read"),
    ],
)
def test_keys_that_are_wrong_are_named_and_never_shown(setting: str, says: str) -> None:
    def read(path: str) -> bytes:
        return RSA if path == "rsa" else nothing(path)

    with pytest.raises(ConfigError) as caught:
        read_keys(setting, read)
    assert says in str(caught.value) and "AUTH_JWT_KEYS" in str(caught.value)
    assert "S3CRET" not in str(caught.value) and text(SECRET) not in str(caught.value)


def test_the_library_is_loaded_only_where_there_are_keys() -> None:
    program = (
        "import sys\n"
        "from cryptodash.api.access.access import Access\n"
        "from cryptodash.core.config import Config\n"
        "from cryptodash.core.tally import Tally\n"
        "from cryptodash.core.time import SystemClock\n"
        "Access(Config(auth_token='0123456789abcdef'), SystemClock(), Tally())\n"
        "assert 'jwt' not in sys.modules\n"
        "sys.modules['jwt'] = None\n"
        "try:\n"
        f"    Access(Config(auth_jwt_keys={HS!r}), SystemClock(), Tally())\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install cryptodash[jwt]" in said.stdout
