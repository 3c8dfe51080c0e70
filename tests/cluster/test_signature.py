"""What is signed is known again on its own channel only, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.cluster.signature import SIGNATURE_BYTES, Signature, Unsigned

KEY = "a key of sixteen characters and more"


@given(st.binary(max_size=40), st.binary(max_size=200))
def test_what_was_signed_is_given_back(channel: bytes, payload: bytes) -> None:
    data = Signature(KEY).signed(channel, payload)
    assert len(data) == SIGNATURE_BYTES + len(payload)
    assert Signature(KEY).checked(channel, data) == payload


@given(st.binary(max_size=60), st.data())
def test_no_changed_byte_is_taken(payload: bytes, draw: st.DataObject) -> None:
    data = bytearray(Signature(KEY).signed(b"channel", payload))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(Unsigned):
        Signature(KEY).checked(b"channel", bytes(data))


@pytest.mark.parametrize("data", [b"", b"short", b"not signed, though it is longer than a signature"])
def test_what_is_not_signed_is_refused(data: bytes) -> None:
    with pytest.raises(Unsigned, match="CLUSTER_KEY"):
        Signature(KEY).checked(b"channel", data)


def test_another_key_and_another_channel_are_refused() -> None:
    data = Signature(KEY).signed(b"prefix:bus:binance", b"payload")
    for signature, channel in (
        (Signature("another key of sixteen characters"), b"prefix:bus:binance"),
        (Signature(KEY), b"prefix:bus:bybit"),
    ):
        with pytest.raises(Unsigned):
            signature.checked(channel, data)
    # the boundary between channel and payload is signed as well
    with pytest.raises(Unsigned):
        Signature(KEY).checked(b"prefix:bus:binancep", data[:SIGNATURE_BYTES] + b"ayload")


def test_without_a_key_everything_is_as_it_is() -> None:
    assert Signature("").signed(b"channel", b"payload") == b"payload"
    assert Signature("").checked(b"channel", b"payload") == b"payload"
