"""``python -m benchmarks.token_timing``: whether the time of judging a token tells how near it was.

Each kind of token is judged in turn, many times, in an order that chance has shuffled; a line a kind: the median, the
quartiles, and the median's distance from that of a right one. No test: time on a shared machine proves nothing by
failing. What can be compared is what does the same work: within the tokens of a file, and within JSON Web Tokens that
are whole.
"""

from __future__ import annotations

import argparse
import base64
import gc
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from random import Random
from statistics import median, quantiles
from time import perf_counter_ns

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryptodash.api.access import access as judging
from cryptodash.api.access.access import Rules
from cryptodash.api.access.grant import Grant
from cryptodash.api.access.jwt_keys import read_keys
from cryptodash.api.access.tokens import hash_of

OTHERS = 1000
"""Tokens in the file beside the right one."""
NOW_MS = 1_704_067_200_000
HEAD = f"{'what is judged':44} {'median us':>10} {'quartiles us':>16} {'from right us':>14}"


def changed(text: str, at: int) -> str:
    """The text with another letter there."""
    other = "A" if text[at] != "A" else "B"
    return text[:at] + other + text[at + 1 :]


def of_file() -> tuple[Rules, Mapping[str, str]]:
    """Rules with a file of tokens, and what is shown, by what it is called."""
    right = secrets.token_urlsafe(32)
    tokens = {hash_of(each): Grant(proof=hash_of(each)) for each in [right, *map(str, range(OTHERS))]}
    return Rules(True, tokens=tokens), {
        "right": right,
        "wrong, the last letter": changed(right, 42),
        "wrong, the first letter": changed(right, 0),
        "wrong, same length, another": secrets.token_urlsafe(32),
        "wrong, another length": right + "x",
        "wrong, half as long": right[:21],
    }


def of_keys(kind: str) -> tuple[Rules, Mapping[str, str]]:
    """The same with a key of JSON Web Tokens. A token names its bearer itself (``sub``): known or not, it counts by its
    signature alone."""
    private = Ed25519PrivateKey.generate() if kind == "EdDSA" else None
    secret = secrets.token_bytes(32)
    shown = secret if private is None else private.public_key().public_bytes_raw()
    rules = Rules(True, keys=read_keys(f"{kind}:{base64.urlsafe_b64encode(shown).decode()}", lambda path: b""))

    def signed(key: object, subject: str) -> str:
        return jwt.encode({"exp": NOW_MS // 1000 + 300, "scope": "read", "sub": subject}, key, kind)

    own = private or secret
    other = Ed25519PrivateKey.generate() if private is not None else secrets.token_bytes(32)
    right = signed(own, "desk")
    signature = right.rindex(".") + 1
    return rules, {
        "right": right,
        "wrong, the signature's first letter": changed(right, signature),
        "wrong, the signature's tenth letter": changed(right, signature + 10),
        "wrong, of another key": signed(other, "desk"),
        "unknown name, of another key": signed(other, "nobody"),
    }


def judge(rules: Rules, token: str) -> None:
    """What ``Access.check`` does between the hash and the verdict, with the hash."""
    digest = hash_of(token)
    if judging.find(rules.tokens, digest) is None and rules.keys:
        judging.read_signed(rules.keys, token, NOW_MS)


def measure(rules: Rules, tokens: Mapping[str, str], times: int) -> dict[str, list[float]]:
    """Microseconds by what is shown. Each sample is of a batch, so that the clock's own step is nothing."""
    batch = 50 if not rules.keys else 4
    taken: dict[str, list[float]] = {name: [] for name in tokens}
    order = list(tokens)
    random = Random(7)
    gc.disable()
    for _ in range(times):
        random.shuffle(order)
        for name in order:
            token = tokens[name]
            began = perf_counter_ns()
            for _ in range(batch):
                judge(rules, token)
            taken[name].append((perf_counter_ns() - began) / batch / 1000)
    gc.enable()
    return taken


KINDS: Mapping[str, Callable[[], tuple[Rules, Mapping[str, str]]]] = {
    f"a file of {OTHERS + 1:,} tokens": of_file,
    "a JSON Web Token, HS256": lambda: of_keys("HS256"),
    "a JSON Web Token, EdDSA": lambda: of_keys("EdDSA"),
}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_timing", description=__doc__)
    parser.add_argument("--times", type=int, default=4000, help="samples of each")
    times = parser.parse_args(arguments).times
    for title, make in KINDS.items():
        rules, tokens = make()
        measure(rules, tokens, max(1, times // 10))  # whatever is done once is done
        taken = measure(rules, tokens, times)
        right = median(taken["right"])
        sys.stdout.write(f"{title}\n{HEAD}\n")
        for name, samples in taken.items():
            low, middle, high = quantiles(samples, n=4)
            between = f"{low:.2f}..{high:.2f}"
            sys.stdout.write(f"{name:44} {middle:10.2f} {between:>16} {middle - right:+14.2f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
