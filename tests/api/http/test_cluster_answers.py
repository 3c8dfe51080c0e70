"""Of several processes whichever is asked answers for all: streams, ledgers, metrics."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from cryptodash.api.http import cluster_answers
from cryptodash.api.http.cluster_answers import Unreadable, merging_metrics, unpacking
from cryptodash.core.events import State
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.steps import outcome_of


def stream(name: str) -> StreamReport:
    return StreamReport("binance", name, "c1", (), State.LIVE, None, 0.1, 1.0, None, 0, 0)


@pytest.fixture
def peers(make_peers: Any) -> Any:
    return make_peers()


@pytest.fixture
def web(make_web: Any, peers: Any) -> Any:
    web = make_web("binance", "bybit", peers=peers)
    web.hub.upstreams["binance"].reports = [stream("mine")]
    web.hub.ledger.venue("binance").open("spot", "mine")
    return web


def said(web: Any, what: str, about: str = "") -> bytes:
    """What this process answers another one."""
    found: list[bytes] = []
    Deferred.fromCoroutine(web.rest._operator._peers.makers[what](about)).addCallback(found.append)
    web.scheduler.advance(0)
    return found[0]


def test_streams_are_those_of_all_and_say_whose_they_are(web: Any, peers: Any) -> None:
    peers.said["there", "streams"] = gzip.compress(b'{"streams":[{"name":"theirs","process":"there"},{"name":"2"}]}')
    document = web.get("/api/streams").json()
    assert [each["name"] for each in document["streams"]] == ["mine", "theirs", "2"]
    assert document["streams"][0]["process"] == "here" and "missing" not in document
    assert peers.asked == [("streams", "", False)]
    web.get("/api/streams")
    assert len(peers.asked) == 1, "at most once a second"


def test_without_others_the_answer_is_whole_all_the_same(web: Any) -> None:
    assert [each["name"] for each in web.get("/api/streams").json()["streams"]] == ["mine"]


def test_who_did_not_answer_is_named(make_web: Any, make_peers: Any) -> None:
    web = make_web("binance", peers=make_peers("silent"))
    assert web.get("/api/streams").json() == {"streams": [], "missing": ["silent"]}
    assert web.get("/api/quality").json()["missing"] == ["silent"]
    assert 'cryptodash_cluster_missing{process="silent"} 1\n' in web.get("/metrics").body.decode()


NO_REPORTS = {
    "nothing": b"",
    "not packed": b"garbage",
    "not JSON": gzip.compress(b"garbage"),
    "an array": gzip.compress(b"[]"),
    "no array": gzip.compress(b'{"streams":{}}'),
    "broken off": gzip.compress(b'{"streams":[1}'),
    "packed in part": gzip.compress(b'{"streams":[]}')[:-3],
}


@pytest.mark.parametrize("report", NO_REPORTS.values(), ids=NO_REPORTS.keys())
def test_what_is_no_report_is_as_if_it_had_not_come(web: Any, peers: Any, report: bytes) -> None:
    peers.said["there", "streams"] = report
    document = web.get("/api/streams").json()
    assert [each["name"] for each in document["streams"]] == ["mine"] and document["missing"] == ["there"]


def test_a_report_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_answers, "MOST_BYTES", 1_000_000)
    assert len(outcome_of(unpacking(gzip.compress(bytes(900_000))))) == 900_000
    with pytest.raises(Unreadable):
        outcome_of(unpacking(gzip.compress(bytes(10_000_000))))


def test_others_are_told_what_this_process_has_and_not_what_it_heard(web: Any, peers: Any) -> None:
    peers.said["there", "streams"] = gzip.compress(b'{"streams":[{"name":"theirs"}]}')
    web.get("/api/streams")
    assert b'"mine"' in gzip.decompress(said(web, "streams")) and b"theirs" not in gzip.decompress(said(web, "streams"))
    assert b"cryptodash_build_info" in gzip.decompress(said(web, "metrics"))
    assert gzip.decompress(said(web, "quality", "binance")).startswith(b'{"as_of":')
    assert said(web, "quality", "an exchange that is not enabled") == b""
    assert peers.asked == [("streams", "", False)], "nobody is asked because somebody asks"


def test_ledgers_are_those_of_all(web: Any, peers: Any) -> None:
    theirs = (
        b'{"as_of":"2026-01-01T00:00:00Z","exchanges":[{"exchange":"binance","process":"there"}],"streams":[{"a":1}]}'
    )
    peers.said["there", "quality"] = gzip.compress(theirs)
    document = web.get("/api/quality?exchange=binance").json()
    assert [each["process"] for each in document["exchanges"]] == ["here", "there"]
    assert document["streams"][0]["process"] == "here" and document["streams"][1:] == [{"a": 1}]
    assert peers.asked == [("quality", "binance", False)]


def test_metrics_are_those_of_this_machine_with_a_label(web: Any, peers: Any) -> None:
    peers.said["there", "metrics"] = gzip.compress(
        b"# HELP cryptodash_build_info Always 1; the labels are the versions.\n# TYPE cryptodash_build_info gauge\n"
        b'cryptodash_build_info{version="9"} 1.0\n'
        b"# HELP only_there Things.\n# TYPE only_there counter\nonly_there_total 3.0\n"
    )
    answer = web.get("/metrics")
    assert peers.asked == [("metrics", "", True)]
    found = samples(answer.body)
    assert found["cryptodash_build_info", "there"] == [1.0] and len(found["cryptodash_build_info", "here"]) == 1
    assert found["only_there_total", "there"] == [3.0] and ("only_there_total", "here") not in found
    assert all(process in ("here", "there") for _, process in found)


def samples(text: bytes) -> dict[tuple[str, str], list[float]]:
    """By name and process, as Prometheus's own parser reads them: it refuses a family that comes twice."""
    found: dict[tuple[str, str], list[float]] = {}
    names: list[str] = []
    for family in text_string_to_metric_families(text.decode()):
        names.append(family.name)
        for each in family.samples:
            found.setdefault((each.name, each.labels.pop("process")), []).append(each.value)
    assert len(names) == len(set(names))
    return found


def merged(**texts: bytes) -> bytes:
    return outcome_of(merging_metrics(texts.items(), ()))


LINES = (b'a{le="+Inf",x="} 1"} 2.0', b'a{x="\\"\\\\"} +Inf', b"a NaN", b"a 1.7e+09")


@pytest.mark.parametrize("line", LINES)
def test_every_kind_of_sample_gets_the_label(line: bytes) -> None:
    head = b"# HELP a Things.\n# TYPE a gauge\n"
    before = next(iter(text_string_to_metric_families((head + line).decode()))).samples
    after = next(iter(text_string_to_metric_families(merged(one=head + line).decode()))).samples
    assert [(each.labels | {"process": "one"}, repr(each.value)) for each in before] == [
        (each.labels, repr(each.value)) for each in after
    ]


def test_lines_that_are_none_are_left_out_and_a_name_is_escaped() -> None:
    text = b'# HELP a Things.\n# TYPE a gauge\na 1\n}{\na{x=} 2\nb 3 4 5\n# what\na{y="1"} 2\n'
    assert merged(**{'a"\\': text}) == (
        b'# HELP a Things.\n# TYPE a gauge\na{process="a\\"\\\\"} 1\na{process="a\\"\\\\",y="1"} 2\n'
    )
    assert merged(one=b"a 1\n") == b"\n", "a sample of no family"
