"""The tool that measures abuse: it does what it says, and says what it found; time is nobody's business here."""

from __future__ import annotations

import pytest

from benchmarks.abuse import __main__ as abuse
from benchmarks.abuse.abusers import ABUSERS, FRAGMENT, repeated
from benchmarks.abuse.probe import at
from benchmarks.abuse.wire import TEXT, Reader, frame, request
from benchmarks.processes import ROOT, raise_file_limit
from cryptodash.api.access.failures import BURST


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["binary", "resync", "tokens"])
def test_a_row_is_measured_from_outside(name: str) -> None:
    raise_file_limit()
    seconds = 2.0 if name == "tokens" else 0.5  # so many tokens a minute are few in half a second

    row = abuse.measure(name, ROOT, rounds=1, seconds=seconds, clients=3)

    (only,) = row.rounds
    for taken in (only.alone, only.beside):
        assert taken["samples"] == 60 * seconds
        assert 0 < taken["p50"] <= taken["p99"]
    assert only.alone["lost"] == 0
    assert only.resident > 20
    assert only.done["sent"] > 0
    if name == "resync":
        assert only.done["read"] > 200_000, "a thousand channels were answered"
    if name == "tokens":
        assert only.done["tokens"] > 20
        assert 0 < only.done["looked at"] <= BURST + 1
        assert only.done["looked at"] + only.done["turned away"] == only.done["tokens"], "each has its answer"
    assert ABUSERS[name][0] in row.line()


def taken(p50: float, p99: float, lost: int = 0) -> dict[str, float]:
    return {"p50": p50, "p99": p99, "samples": 100, "lost": lost}


@pytest.mark.parametrize(
    ("alone", "beside", "lost", "is_within"),
    [
        ((1, 1, 1), (35, 35, 900), 0, True),  # medians
        ((1, 1, 1), (36, 36, 1), 0, False),
        ((10, 10, 900), (50, 50, 50), 0, True),
        ((10, 10, 10), (51, 51, 51), 0, False),
        ((1, 1, 1), (1, 1, 1), 1, False),  # an answer that never came
    ],
)
def test_the_verdict_is_of_medians(
    alone: tuple[float, ...], beside: tuple[float, ...], lost: int, is_within: bool
) -> None:
    rounds = [
        abuse.Round(taken(1, before), taken(1, after, lost), 70.0, {"sent": 1, "read": 0, "connections": 1})
        for before, after in zip(alone, beside, strict=True)
    ]
    row = abuse.Row("pongs", rounds)
    assert row.is_within is is_within
    assert ("ok" if is_within else "FAILED") in row.line()


def test_too_much_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def measured(name: str, *_: object) -> abuse.Row:
        after = 500.0 if name == "pongs" else 5.0
        return abuse.Row(name, [abuse.Round(taken(1, 5), taken(1, after), 70.0, {"sent": 1})])

    monkeypatch.setattr(abuse, "measure", measured)
    monkeypatch.setattr(abuse, "pin", lambda core: None)
    assert abuse.main(["--rows", "binary"]) == 0
    assert abuse.main(["--rows", "binary,pongs"]) == 1
    assert capsys.readouterr().out.count("FAILED") == 1
    assert abuse.main(["--rows", "nothing"]) == 2


def test_percentiles() -> None:
    assert [at(range(100), share) for share in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]


def test_frames_are_whole_however_they_come() -> None:
    server = bytes((0x81, 2)) + b"{}" + bytes((0x81, 126)) + (300).to_bytes(2, "big") + b"x" * 300
    reader = Reader()
    found = [each for byte in server for each in reader.feed(bytes((byte,)))]
    assert found == [(TEXT, b"{}"), (TEXT, b"x" * 300)]
    assert frame(TEXT, b"{}") == b"\x81\x82\0\0\0\0{}"
    assert request("ping", id=1).endswith(b'{"op":"ping","id":1}')
    assert FRAGMENT == b"\0\x80\0\0\0\0"
    assert len(repeated(FRAGMENT)) > 65_000
