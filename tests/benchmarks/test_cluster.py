"""The figures of several processes: what is compared is the same, and what goes missing is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from socket import create_server, socket, socketpair

import pytest

from benchmarks import centrifugo, cluster, cluster_soak, payload, redis_server
from benchmarks.abuse.wire import TEXT
from benchmarks.centrifugo_feed import REFUSED, Feed
from benchmarks.cluster import Cluster
from benchmarks.cluster_soak_clients import Crowd, Follower, Told, channels_of
from benchmarks.feeds import STAMP
from benchmarks.processes import BenchError, raise_file_limit
from benchmarks.results import Results

XRP = (b"binance", b"XRP")


def text(body: str) -> bytes:
    """A frame as a server sends it."""
    return bytes((0x80 | TEXT, 126)) + len(body).to_bytes(2, "big") + body.encode()


def trade(number: int) -> bytes:
    symbol = '"exchange":"binance","market_type":"spot","symbol":{"base":"XRP","quote":"USDT"}'
    return text(f'{{"type":"trade","payload":{{"timestamp":"",{symbol},"id":"{number}","price":1}}}}')


def gap() -> bytes:
    channel = '"channel_type":"trade","exchange":"binance","market_type":"spot","symbol":{"base":"XRP","quote":"USDT"}'
    return text(f'{{"type":"gap","payload":{{"channel":{{{channel}}},"reason":"slow"}}}}')


class Process:
    """A server of which we play the sending side, with followers."""

    def __init__(self, crowd: Crowd, place: int, followers: int) -> None:
        self.told = crowd.told[place]
        self._pairs: list[tuple[socket, Follower]] = []
        for _ in range(followers):
            ours, theirs = socketpair()
            self._pairs.append((ours, Follower(theirs, self.told, channels_of(0))))
        self.followers = crowd.followers[place]
        self.followers += [each for _, each in self._pairs]

    def send(self, index: int, *frames: bytes) -> None:
        ours, follower = self._pairs[index]
        ours.sendall(b"".join(frames))
        assert follower.read()

    def close(self) -> None:
        for ours, follower in self._pairs:
            ours.close()
            follower.connection.close()


def judged(told: Sequence[Sequence[Sequence[int | None]]]) -> Mapping[str, object]:
    """What is said of clients that were told these numbers, by process and client; None is a gap."""
    crowd = Crowd(0, [0] * len(told))
    processes = [Process(crowd, place, len(each)) for place, each in enumerate(told)]
    for process, clients in zip(processes, told, strict=True):
        for index, numbers in enumerate(clients):
            process.send(index, *(gap() if number is None else trade(number) for number in numbers))
    said = crowd.judged(crowd.ends())
    for process in processes:
        process.close()
    return {name: said[name] for name in ("lost", "covered", "gaps", "twice", "disorder") if said[name]}


ALL = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([[ALL, ALL], [ALL, ALL]], {}),
        ([[ALL, ALL[1:]], [ALL[2:], ALL[3:]]], {}),  # who comes later begins later
        ([[ALL, [1, 2, 4]], [ALL]], {"lost": 1}),
        ([[ALL, [1, 2, None, 4]], [ALL]], {"covered": 1, "gaps": 1}),
        ([[ALL, [1, 2]], [ALL]], {"lost": 2}),  # the end of it
        ([[ALL, [1, 2, 2, 3, 4]], [ALL]], {"twice": 1}),
        ([[ALL, ALL], [[1, 2, 4], [1, 2, 4]]], {"lost": 2}),  # a whole process, as the venue's numbers say
        ([[[1, 2, 4]], [[1, 2, 4]]], {"lost": 2}),  # all of them
        ([[ALL], [[1, 2, None, 4]]], {"covered": 1, "gaps": 1}),
        ([[ALL], [[]]], {"lost": 4}),  # it has not heard of the topic
        ([[[]], [[]]], {}),
        ([[ALL, []], [ALL]], {"lost": 4}),  # nor has this client
    ],
)
def test_every_trade_is_accounted_for(told: list[list[list[int | None]]], found: dict[str, int]) -> None:
    assert judged(told) == found


def test_numbers_out_of_order_are_seen() -> None:
    assert judged([[[1, 3, 2, 4]]])["disorder"] == 1


def test_holes_are_counted_within_bounds() -> None:
    told = Told()
    for number in (1, 2, 5, 6):
        told.place_of(number)
    told.gaps.add(2)
    assert told.holes(1, 6) == (0, 2)
    assert told.holes(1, 8) == (2, 2)
    assert told.holes(2, 4) == (2, 0)


def test_the_verdict_names_what_went_wrong() -> None:
    right = {**dict.fromkeys(cluster_soak.FAULTS, 0), "deliveries": 5}
    assert cluster_soak.faults(right) == []
    assert cluster_soak.faults({**right, "lost": 2, "dead": 1}) == ["2 trades lost", "1 connections lost"]
    assert cluster_soak.faults({**right, "deliveries": 0}) == ["no trade was delivered"]


def test_centrifugo_is_fed_what_our_clients_get() -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        feed = Feed(listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            feed.send()
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        feed.close()
    assert head.startswith(b"POST /api/publish ")
    fed, ours = json.loads(body), json.loads("1".join(payload.body("trade", 0)))
    assert fed["channel"] == "0"
    assert fed["data"]["type"] == ours["type"]
    assert list(fed["data"]["payload"]) == list(ours["payload"])
    assert STAMP in body.decode(), "it has the time of its sending"
    assert REFUSED.search(b'HTTP/1.1 200 OK\r\n\r\n{"result":{}}') is None
    assert REFUSED.search(b'HTTP/1.1 200 OK\r\n\r\n{"error":{"code":102}}') is not None


def test_without_redis_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(BenchError, match="redis-server"):
        redis_server.program()
    results = Results(quiet=True)
    cluster.run(Cluster(1, (1,)), 2, results)
    (fault,) = results.faults
    assert "apt-get install redis-server" in fault
    assert "no Go" in centrifugo.absent() or centrifugo.PROGRAM.exists()


def test_a_sample_of_the_soak(redis_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    raise_file_limit()

    assert cluster_soak.main(["--minutes", "0.1", "--clients", "12"]) in (0, 1)

    *_, counts, verdict = capsys.readouterr().out.splitlines()
    said = json.loads(counts)
    assert said["clients"] == 12
    assert said["deliveries"] > 0
    assert verdict.endswith("each trade once"), verdict
