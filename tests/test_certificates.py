"""A certificate whose files change while the server runs: what new connections get, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock as Scheduler
from twisted.logger import LogLevel, capturedLogs, formatEvent

from cryptodash.certificates import DAY_S, LOOK_EVERY_S, Certificate, CertificateWatch
from cryptodash.core.tally import Counter, Gauge, Tally
from cryptodash.core.time import SystemClock, parse_time
from cryptodash.testing.authority import Authority
from cryptodash.tls_files import MAX_BYTES, CertificateFiles

HOST = "market.example"


class Wall:
    """A wall clock that stands ``ahead`` seconds ahead of the machine's, by which the certificates are made."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    def wall_ms(self) -> int:
        return SystemClock().wall_ms() + round(self.ahead * 1000)


class Renewed:
    """A server's certificate in files, and what watches them."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.cert, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        self.issue()
        self.used = Certificate(CertificateFiles(str(self.cert), str(self.key)))
        self.wall, self.scheduler, self.tally = Wall(), Scheduler(), Tally()
        self.watch = CertificateWatch(lambda: self.used, self.scheduler, self.wall, self.tally)
        self.watch.startService()

    def issue(self, host: str = HOST, days: int = 60) -> None:
        cert, key = self.authority.files(host, days=days)
        self.cert.write_text(cert)
        self.key.write_text(key)

    def looks(self) -> list[str]:
        """What is logged of the next look at the files."""
        with capturedLogs() as logged:
            self.scheduler.advance(LOOK_EVERY_S)
        return [str(formatEvent(each)) for each in logged]

    def gauge(self, name: str) -> float:
        found = self.tally.metrics[f"cryptodash_tls_certificate_{name}"]
        assert isinstance(found, Gauge)
        return found.read()[()]

    def counted(self) -> dict[str, int]:
        found = self.tally.metrics["cryptodash_tls_certificate_changes_total"]
        assert isinstance(found, Counter)
        return {result: count for (result,), count in found.values.items()}


@pytest.fixture
def renewed(tmp_path: Path) -> Iterator[Renewed]:
    made = Renewed(tmp_path)
    yield made
    made.watch.stopService()
    assert not made.scheduler.getDelayedCalls()


def test_a_new_pair_is_in_use_within_a_minute_and_said_once(renewed: Renewed) -> None:
    assert LOOK_EVERY_S <= 60
    before = renewed.used.getContext()
    renewed.issue("other.example", days=90)
    (said,) = renewed.looks()
    assert said.startswith("new connections get a new certificate: other.example, valid until ")
    assert renewed.used.getContext() is not before and renewed.used.in_use.name == "other.example"
    assert renewed.counted() == {"taken": 1, "refused": 0} and renewed.gauge("refused") == 0
    assert renewed.gauge("not_after_timestamp_seconds") == pytest.approx(
        SystemClock().wall_ms() / 1000 + 90 * DAY_S, abs=60
    )
    assert renewed.looks() == []


def test_files_that_nobody_touched_are_not_read_again(renewed: Renewed, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(files: CertificateFiles) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(CertificateFiles, "read", read)
    for _ in range(10):
        assert renewed.looks() == []


def test_a_pair_that_is_written_again_as_it_was_changes_nothing(renewed: Renewed) -> None:
    before = renewed.used.getContext()
    renewed.cert.write_bytes(renewed.cert.read_bytes())
    os.utime(renewed.key, (1, 1))
    assert renewed.looks() == [] and renewed.used.getContext() is before


def test_of_a_half_written_pair_the_old_one_is_kept_until_it_is_whole(renewed: Renewed) -> None:
    cert, key = renewed.authority.files("new.example", days=60)
    renewed.cert.write_text(cert)  # and the key is still the old one's
    (said,) = renewed.looks()
    assert "cannot be used: " in said and "do not match" in said and "\n" not in said
    assert said.endswith(f"valid until {renewed.used.report(0)['not_after']}")
    assert renewed.used.in_use.name == HOST and renewed.gauge("refused") == 1
    assert renewed.looks() == [], "said once"
    renewed.key.write_text(key)
    (said,) = renewed.looks()
    assert said.startswith("new connections get a new certificate: new.example")
    assert renewed.gauge("refused") == 0 and renewed.used.report(0)["status"] == "ok"


def broken(renewed: Renewed, how: str) -> None:
    whole = renewed.cert.read_bytes()
    match how:
        case "empty":
            renewed.cert.write_bytes(b"")
        case "cut":
            renewed.cert.write_bytes(whole[: len(whole) // 2])
        case "garbage":
            renewed.key.write_bytes(os.urandom(300))
        case "no key":
            renewed.key.unlink()
        case "a folder":
            renewed.cert.unlink()
            renewed.cert.mkdir()
        case "endless":
            renewed.cert.write_bytes(b"x" * (MAX_BYTES + 1))
        case "expired":
            renewed.issue("late.example", days=-1)


@pytest.mark.parametrize("how", ["empty", "cut", "garbage", "no key", "a folder", "endless", "expired"])
def test_what_cannot_be_used_keeps_the_old_one_and_is_said_in_one_line(renewed: Renewed, how: str) -> None:
    before = renewed.used.getContext()
    broken(renewed, how)
    (said,) = renewed.looks()
    assert "cannot be used: " in said and "\n" not in said and len(said) < 700
    assert renewed.used.getContext() is before
    assert renewed.counted() == {"taken": 0, "refused": 1} and renewed.gauge("refused") == 1
    report = renewed.watch.report()
    assert report is not None and report["status"] == "degraded" and "is not used" in str(report["reason"])
    assert renewed.looks() == []


def test_what_is_wrong_is_said_again_when_it_changes_or_somebody_asks(renewed: Renewed) -> None:
    broken(renewed, "empty")
    assert len(renewed.looks()) == 1
    broken(renewed, "cut")
    os.utime(renewed.cert, (1, 1))
    assert renewed.looks() == [], "half of nothing is the same nothing"
    broken(renewed, "garbage")
    assert len(renewed.looks()) == 1
    with capturedLogs() as logged:
        renewed.watch.look(anew=True)
    assert len(logged) == 1


def test_files_put_back_as_they_were_are_in_order_again(renewed: Renewed) -> None:
    whole = renewed.cert.read_bytes()
    broken(renewed, "cut")
    renewed.looks()
    renewed.cert.write_bytes(whole)
    assert renewed.looks() == ["the files hold the certificate that is in use again"]
    assert renewed.gauge("refused") == 0


def test_a_link_that_is_set_to_another_pair_is_a_change(tmp_path: Path) -> None:
    """As certbot and Kubernetes do it."""
    renewed = Renewed(tmp_path)
    for name, host in (("one", "one.example"), ("two", "two.example")):
        (tmp_path / name).mkdir()
        renewed.cert, renewed.key = tmp_path / name / "c.pem", tmp_path / name / "k.pem"
        renewed.issue(host)
    link = tmp_path / "live"
    link.symlink_to("one")
    renewed.used = Certificate(CertificateFiles(str(link / "c.pem"), str(link / "k.pem")))
    assert renewed.looks() == [] and renewed.used.in_use.name == "one.example"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(link)
    assert len(renewed.looks()) == 1 and renewed.used.in_use.name == "two.example"
    renewed.watch.stopService()


def test_other_files_are_taken_when_they_are_good(renewed: Renewed, tmp_path: Path) -> None:
    cert, key = renewed.authority.files("moved.example", days=60)
    (tmp_path / "c").write_text(cert)
    now = renewed.watch.now()
    renewed.used.replace(CertificateFiles(str(tmp_path / "c"), str(tmp_path / "k")), now)
    assert renewed.used.in_use.name == HOST and "No such file" in renewed.used.refusal
    (tmp_path / "k").write_text(key)
    assert len(renewed.looks()) == 1 and renewed.used.in_use.name == "moved.example"


# -- before it ends


@pytest.mark.parametrize(("days", "warned_at"), [(60, 14.0), (6, 4.0)])
def test_the_end_is_warned_of_once_a_day(tmp_path: Path, days: int, warned_at: float) -> None:
    """Authorities sign here as of ten days before, so that six more make a life of sixteen, a quarter of it four."""
    renewed = Renewed(tmp_path)
    renewed.issue(days=days)
    renewed.looks()
    renewed.wall.ahead = (days - warned_at) * DAY_S - 3600
    assert renewed.looks() == []
    renewed.wall.ahead += 2 * 3600
    (said,) = renewed.looks()
    assert f"the certificate of {HOST} ends in {warned_at - 1 / 24:.1f} days, at " in said
    assert renewed.looks() == []
    report = renewed.watch.report()
    assert report is not None and report["reason"] == "it ends soon and is not renewed"
    assert parse_time(str(report["not_after"])) / 1000 == renewed.used.in_use.not_after
    renewed.wall.ahead += DAY_S
    assert len(renewed.looks()) == 1
    renewed.wall.ahead = days * DAY_S + 60
    with capturedLogs() as logged:
        renewed.scheduler.advance(LOOK_EVERY_S)
    assert [each["log_level"] for each in logged] == [LogLevel.error]
    assert f"the certificate of {HOST} ended at " in str(formatEvent(logged[0]))
    renewed.issue(days=400)
    assert [line.partition(":")[0] for line in renewed.looks()] == ["new connections get a new certificate"]
    renewed.watch.stopService()


def test_the_end_is_that_of_the_chain_where_it_ends_before(tmp_path: Path) -> None:
    root = Authority()
    middle = Authority(root)  # ends tomorrow
    leaf, key = middle.files(HOST, days=60)
    (tmp_path / "c").write_text(leaf + middle.pem)
    (tmp_path / "k").write_text(key)
    loaded = CertificateFiles(str(tmp_path / "c"), str(tmp_path / "k")).load()
    assert loaded.not_after == pytest.approx(SystemClock().wall_ms() / 1000 + DAY_S, abs=60)


def test_without_tls_of_ours_there_is_nothing_to_tell() -> None:
    tally = Tally()
    watch = CertificateWatch(lambda: None, Scheduler(), Wall(), tally)
    watch.look()
    assert watch.report() is None
    assert all(metric.read() == {} for metric in tally.metrics.values() if isinstance(metric, Gauge))
