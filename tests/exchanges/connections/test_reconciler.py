"""What is asked of a venue on one connection, and what its answers settle: a table of little scripts, then anything in
any order."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cryptodash.exchanges.adapter.messages import Ack
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.connections.reconciler import ACK_TIMEOUT, Reconciler
from cryptodash.exchanges.connections.request import Request, Settled

MOST = 4


def spec(name: str) -> StreamSpec:
    """``book:BTC`` is of the batch ``book``, and its answers may name it ``BTC`` alone."""
    batch, _, argument = name.rpartition(":")
    return StreamSpec("spot", name, frozenset(), batch=batch, argument=argument)


class Script:
    """Plays one script against a reconciler, and says for every line what came of it.

    ==================  ================================================================================
    ``want a b``        somebody wants these from now on
    ``drop a``          nobody does any more
    ``renew a``         subscribe it anew
    ``data a``          a frame of it came
    ``ask``             what is asked for next: ``#1 sub a b``, ``#2 unsub c``, or nothing
    ``ok`` ``no``       an answer to the oldest request: granted, refused (``already``: since it is so already)
    ``ok #1``           ... to this one
    ``ok a``, ``ok @X`` ... that names streams, or the argument of one (with an id or without)
    ``list a b``        an answer that lists what the connection carries
    ``wait 9.9``        so many seconds pass
    ==================  ================================================================================

    Answers and waits give ``on a b``, ``rejected c``, both, ``unknown`` or nothing, and ``late 1`` for each request
    that was not answered in time. What is rejected is dropped, as the owner of a reconciler does.
    """

    def __init__(self, most: int = MOST) -> None:
        self.wanted: dict[str, StreamSpec] = {}
        self.subscriptions = Reconciler(self.wanted, most)
        self.now = 0.0
        self.serial = 0

    def play(self, line: str) -> str:
        verb, *words = line.split()
        if verb in ("ok", "no", "already"):
            return self._answer(verb, words)
        said = getattr(self, verb)(words)
        return said if isinstance(said, str) else ""

    def want(self, names: Iterable[str]) -> None:
        for name in names:
            self.wanted[name] = spec(name)
            self.subscriptions.changed(name)

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            del self.wanted[name]
            self.subscriptions.changed(name)

    def renew(self, names: Iterable[str]) -> None:
        for name in names:
            self.subscriptions.resubscribe(name)

    def data(self, names: Iterable[str]) -> None:
        for name in names:
            self.subscriptions.delivered(name)

    def ask(self, _: Iterable[str]) -> str:
        request = self.subscriptions.next_request(str(self.serial + 1), self.now)
        if request is None:
            return ""
        self.serial += 1
        return f"#{self.serial} {'sub' if request.on else 'unsub'} {' '.join(request.names)}"

    def list(self, names: Iterable[str]) -> str:
        return self._settled(self.subscriptions.listed(names))

    def wait(self, words: list[str]) -> str:
        self.now += float(words[0])
        settled, late = self.subscriptions.expired(self.now)
        return self._joined([f"late {late}" if late else "", self._settled(settled)])

    def _answer(self, verb: str, words: list[str]) -> str:
        key = next((each[1:] for each in words if each.startswith("#")), "")
        argument = next((each[1:] for each in words if each.startswith("@")), "")
        streams = tuple(each for each in words if each[0] not in "#@")
        return self._settled(
            self.subscriptions.answered(Ack(key, verb == "ok", "", streams, argument, verb == "already"))
        )

    def _settled(self, settled: Settled | None) -> str:
        if settled is None:
            return "unknown"
        self.drop(settled.rejected)
        return self._joined(
            f"{word} {' '.join(names)}"
            for word, names in (("on", settled.subscribed), ("rejected", settled.rejected))
            if names
        )

    @staticmethod
    def _joined(parts: Iterable[str]) -> str:
        return ", ".join(part for part in parts if part)


SCRIPTS: dict[str, tuple[str, ...]] = {
    # Answers to whole requests.
    "one answer grants everything": ("want a b", "ask -> #1 sub a b", "ok #1 -> on a b", "ask"),
    "one stream is refused": ("want a", "ask -> #1 sub a", "no #1 -> rejected a", "ask"),
    "a refused request is halved until the bad name is found": (
        "want a b c bad",
        "ask -> #1 sub a b c bad",
        "no #1",
        "ask -> #2 sub a b",
        "ask -> #3 sub c bad",
        "ok #2 -> on a b",
        "no #3",
        "ask -> #4 sub c",
        "ok #4 -> on c",
        "ask -> #5 sub bad",
        "no #5 -> rejected bad",
        "ask",
    ),
    "three are halved too": ("want a b c", "ask -> #1 sub a b c", "no #1", "ask -> #2 sub a", "ask -> #3 sub b c"),
    "a half that is not wanted any more is not asked for": (
        "want a b",
        "ask -> #1 sub a b",
        "no #1",
        "drop a",
        "ask -> #2 sub b",
        "no #2 -> rejected b",
        "ask",
    ),
    "the answer to what is left of a request": (
        "want a b c",
        "ask -> #1 sub a b c",
        "ok #1 b -> on b",
        "ok #1 -> on a c",
    ),
    "a refusal of what is left of a request": (
        "want a b c",
        "ask -> #1 sub a b c",
        "ok #1 b -> on b",
        "no #1",
        "ask -> #2 sub a",
        "ask -> #3 sub c",
    ),
    # Answers per stream.
    "per stream, by id": (
        "want a b",
        "ask -> #1 sub a b",
        "ok #1 a -> on a",
        "no #1 b -> rejected b",
        "ok #1 -> unknown",
    ),
    "per stream, several at once": ("want a b c", "ask -> #1 sub a b c", "no #1 a b -> rejected a b", "ok #1 -> on c"),
    "per stream, without an id, in any order": (
        "want a",
        "ask -> #1 sub a",
        "want b",
        "ask -> #2 sub b",
        "ok b -> on b",
        "ok a -> on a",
    ),
    "a stream nobody asked for": ("want a", "ask -> #1 sub a", "ok b -> unknown", "ok #1 b -> unknown", "ok -> on a"),
    "per argument, by id": (
        "want book:BTC book:ETH",
        "ask -> #1 sub book:BTC book:ETH",
        "ok #1 @ETH -> on book:ETH",
        "no #1 @BTC -> rejected book:BTC",
    ),
    "per argument, without an id": (
        "want book:BTC",
        "ask -> #1 sub book:BTC",
        "ok @ETH -> unknown",
        "ok @BTC -> on book:BTC",
    ),
    "per argument, without an id, not by the oldest request": (
        "want book:BTC",
        "ask -> #1 sub book:BTC",
        "want book:ETH",
        "ask -> #2 sub book:ETH",
        "ok @ETH -> on book:ETH",
        "ok @BTC -> on book:BTC",
    ),
    "the same argument in two batches: the oldest request first": (
        "want book:BTC trade:BTC",
        "ask -> #1 sub book:BTC",
        "ask -> #2 sub trade:BTC",
        "ok @BTC -> on book:BTC",
        "ok @BTC -> on trade:BTC",
    ),
    "without any name: the oldest request": (
        "want a",
        "ask -> #1 sub a",
        "want b",
        "ask -> #2 sub b",
        "no -> rejected a",
        "ok -> on b",
        "ok -> unknown",
    ),
    "unknown ids": ("want a", "ask -> #1 sub a", "ok #7 -> unknown", "no #7 a -> unknown", "ok #1 -> on a"),
    "answered twice": ("want a", "ask -> #1 sub a", "ok #1 -> on a", "no #1 -> unknown", "ok a -> unknown"),
    # "It is so already".
    "already: one stream": ("want a", "ask -> #1 sub a", "already #1 -> on a"),
    "already: named in a request of several": (
        "want a b",
        "ask -> #1 sub a b",
        "already #1 a -> on a",
        "ok #1 b -> on b",
    ),
    "already: by argument": (
        "want book:BTC book:ETH",
        "ask -> #1 sub book:BTC book:ETH",
        "already @BTC -> on book:BTC",
    ),
    "already: some stream of several, perhaps not all": (
        "want a b",
        "ask -> #1 sub a b",
        "already #1",
        "ask -> #2 sub a",
        "already #2 -> on a",
        "ask -> #3 sub b",
        "ok #3 -> on b",
    ),
    # Answers that list everything.
    "listed: begun": ("want a b", "ask -> #1 sub a b", "list a b -> on a b", "ask"),
    "listed: begun in part": ("want a b", "ask -> #1 sub a b", "list a -> on a", "list a b -> on b"),
    "listed: ended": ("want a b", "ask -> #1 sub a b", "list a b -> on a b", "drop a", "ask -> #2 unsub a", "list b"),
    "listed: an ending and a beginning at once": (
        "want a",
        "ask -> #1 sub a",
        "list a -> on a",
        "drop a",
        "want b",
        "ask -> #2 unsub a",
        "ask -> #3 sub b",
        "list b -> on b",
        "wait 20",
    ),
    "listed: what was not asked for, and not yet what was": ("want a", "ask -> #1 sub a", "list b c", "ok #1 -> on a"),
    "listed: not ended yet": (
        "want a",
        "ask -> #1 sub a",
        "list a -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "list a",
        "wait 10 -> late 1",
        "ask -> #3 unsub a",
    ),
    # Batches, and how many in one request.
    "two batches are two requests": (
        "want book:A trade:A book:B trade:B",
        "ask -> #1 sub book:A book:B",
        "ask -> #2 sub trade:A trade:B",
        "ask",
    ),
    "endings are batched by what is not wanted any more": (
        "want book:A trade:A book:B",
        "ask -> #1 sub book:A book:B",
        "ask -> #2 sub trade:A",
        "ok #1 -> on book:A book:B",
        "ok #2 -> on trade:A",
        "drop book:A trade:A book:B",
        "ask -> #3 unsub book:A book:B",
        "ask -> #4 unsub trade:A",
        "ask",
    ),
    "no more than the most in one request": (
        "want a b c d e f",
        "ask -> #1 sub a b c d",
        "ask -> #2 sub e f",
        "ok #1 -> on a b c d",
        "ok #2 -> on e f",
        "drop a b c d e",
        "ask -> #3 unsub a b c d",
        "ask -> #4 unsub e",
    ),
    "endings go first: they make room": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "want b",
        "drop a",
        "ask -> #2 unsub a",
        "ask -> #3 sub b",
    ),
    # Wishes that change.
    "dropped before it is asked for": ("want a b", "drop a", "ask -> #1 sub b"),
    "wanted, dropped and wanted": ("want a", "drop a", "want a", "ask -> #1 sub a", "ask"),
    "dropped and wanted again before the ending is asked for": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "want a",
        "ask",
    ),
    "dropped while it is being begun": (
        "want a",
        "ask -> #1 sub a",
        "drop a",
        "ask",
        "ok #1 -> on a",
        "ask -> #2 unsub a",
    ),
    "dropped while it is being begun, then refused": ("want a", "ask -> #1 sub a", "drop a", "ask", "no #1", "ask"),
    "wanted again while it is being ended": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "want a",
        "ask",
        "ok #2",
        "ask -> #3 sub a",
    ),
    "there and back while it is being begun": (
        "want a",
        "ask -> #1 sub a",
        "drop a",
        "want a",
        "ask",
        "ok #1 -> on a",
        "ask",
    ),
    # Subscribing anew.
    "anew while it is there": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "renew a",
        "ask -> #2 unsub a",
        "ask",
        "ok #2",
        "ask -> #3 sub a",
        "ok #3 -> on a",
        "ask",
    ),
    "anew, each by itself, of one batch or not": (
        "want book:A trade:A",
        "ask -> #1 sub book:A",
        "ask -> #2 sub trade:A",
        "list book:A trade:A -> on book:A trade:A",
        "renew book:A trade:A",
        "ask -> #3 unsub book:A",
        "ask -> #4 unsub trade:A",
    ),
    "anew while it is being begun: once that is answered": (
        "want a",
        "ask -> #1 sub a",
        "renew a",
        "ask",
        "ok #1 -> on a",
        "ask -> #2 unsub a",
        "ok #2",
        "ask -> #3 sub a",
        "ok #3 -> on a",
        "ask",
    ),
    "anew while it is being ended, or absent: no more than that": (
        "renew a",
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "renew a",
        "renew a",
        "ask -> #2 unsub a",
        "renew a",
        "ok #2",
        "ask -> #3 sub a",
        "ok #3 -> on a",
        "ask",
    ),
    "anew, but then dropped": ("want a", "ask -> #1 sub a", "ok #1 -> on a", "renew a", "drop a", "ask -> #2 unsub a"),
    "anew while it is being begun, but then dropped": (
        "want a",
        "ask -> #1 sub a",
        "renew a",
        "drop a",
        "ok #1 -> on a",
        "ask -> #2 unsub a",
        "ok #2",
        "ask",
    ),
    "anew while it is being begun, which is refused": ("want a", "ask -> #1 sub a", "renew a", "no #1 -> rejected a"),
    "anew says nothing of what is begun later": (
        "want a b",
        "ask -> #1 sub a b",
        "renew a",
        "no #1",
        "drop a",
        "ask -> #2 sub b",
        "want a",
        "ask -> #3 sub a",
        "ok #3 -> on a",
        "ask",
    ),
    # Requests without an answer.
    "asked once more, then rejected and ended": (
        "want a b",
        "ask -> #1 sub a b",
        "wait 9.9",
        "ask",
        "wait 0.2 -> late 1",
        "ask -> #2 sub a b",
        "wait 10 -> late 1, rejected a b",
        "ask -> #3 unsub a b",
        "wait 10 -> late 1",
        "ask -> #4 unsub a b",
        "wait 10 -> late 1",
        "ask",
    ),
    "answered in the second try": (
        "want a",
        "ask -> #1 sub a",
        "wait 10 -> late 1",
        "ask -> #2 sub a",
        "ok #1 -> unknown",
        "ok #2 -> on a",
        "wait 20",
    ),
    "refused in the second try: halved, and still the second": (
        "want a b",
        "ask -> #1 sub a b",
        "wait 10 -> late 1",
        "ask -> #2 sub a b",
        "no #2",
        "ask -> #3 sub a",
        "ask -> #4 sub b",
        "ok #3 -> on a",
        "wait 10 -> late 1, rejected b",
        "ask -> #5 unsub b",
    ),
    "data is as good as an answer": (
        "want a b",
        "ask -> #1 sub a b",
        "data a",
        "wait 10 -> late 1, on a",
        "ask -> #2 sub b",
        "data b",
        "wait 10 -> late 1, on b",
        "ask",
    ),
    "data of the first try counts in the second": (
        "want a",
        "ask -> #1 sub a",
        "wait 10 -> late 1",
        "data a",
        "ask -> #2 sub a",
        "wait 10 -> late 1, on a",
    ),
    "data from before a request says nothing about it": (
        "want a",
        "ask -> #1 sub a",
        "data a",
        "ok #1 -> on a",
        "renew a",
        "ask -> #2 unsub a",
        "data a",
        "ok #2",
        "ask -> #3 sub a",
        "wait 10 -> late 1",
        "ask -> #4 sub a",
    ),
    "only what is left of a request is late": (
        "want a b",
        "ask -> #1 sub a b",
        "ok a -> on a",
        "wait 10 -> late 1",
        "ask -> #2 sub b",
    ),
    "two at once": ("want a", "ask -> #1 sub a", "want b", "ask -> #2 sub b", "wait 10 -> late 2", "ask -> #3 sub a"),
    "dropped before the second try: ended, since it may have been begun": (
        "want a b",
        "ask -> #1 sub a b",
        "wait 10 -> late 1",
        "drop a",
        "ask -> #2 sub b",
        "ask -> #3 unsub a",
    ),
    "all dropped before the second try": (
        "want a",
        "ask -> #1 sub a",
        "wait 10 -> late 1",
        "drop a",
        "ask -> #2 unsub a",
        "ok #2",
        "ask",
    ),
    "dropped during the second try: ended, since it may have been begun": (
        "want a",
        "ask -> #1 sub a",
        "wait 10 -> late 1",
        "ask -> #2 sub a",
        "drop a",
        "ask",
        "wait 10 -> late 1",
        "ask -> #3 unsub a",
    ),
    "an ending without an answer is made sure of, then taken as done": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "wait 10 -> late 1",
        "ask -> #3 unsub a",
        "wait 10 -> late 1",
        "ask",
    ),
    "an ending without an answer is made sure of before the stream begins again": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "want a",
        "wait 10 -> late 1",
        "ask -> #3 unsub a",
        "ok #3",
        "ask -> #4 sub a",
    ),
    "data does not answer an ending": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "data a",
        "wait 10 -> late 1",
        "ask -> #3 unsub a",
    ),
    # Endings that are refused.
    "what cannot be ended is not there": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "no #2",
        "ask",
    ),
    "... nor if it has ended already": (
        "want a",
        "ask -> #1 sub a",
        "ok #1 -> on a",
        "drop a",
        "ask -> #2 unsub a",
        "want a",
        "already #2",
        "ask -> #3 sub a",
    ),
    "refused endings are halved as well, whatever is wanted by then": (
        "want a b",
        "ask -> #1 sub a b",
        "ok #1 -> on a b",
        "drop a b",
        "ask -> #2 unsub a b",
        "no #2",
        "want a",
        "ask -> #3 unsub a",
        "ask -> #4 unsub b",
        "no #3",
        "ok #4",
        "ask -> #5 sub a",
    ),
    "an ending is refused for one of its streams": (
        "want a b",
        "ask -> #1 sub a b",
        "ok #1 -> on a b",
        "drop a b",
        "ask -> #2 unsub a b",
        "no #2 a",
        "wait 10 -> late 1",
        "ask -> #3 unsub b",
    ),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_what_is_asked_for_and_what_answers_settle(script: tuple[str, ...]) -> None:
    run = Script()
    for number, line in enumerate(script):
        happens, _, comes = line.partition(" -> ")
        assert run.play(happens) == comes, (number, line)


LOOKS = [
    # what has happened, streams it has, waiting, unwanted, whether settled, whether there is more
    ("", "", "", "", True, False),
    ("want a", "", "a", "", False, True),
    ("want a; ask", "a", "", "", False, False),
    ("want a b; ask; ok #1 a", "a b", "", "", False, False),
    ("want a b; ask; ok #1", "a b", "", "", True, False),
    ("want a; ask; drop a", "a", "", "a", False, True),  # the wish is looked at when something is asked for
    ("want a; ask; drop a; ask", "a", "", "a", False, False),
    ("want a; ask; no #1; ask", "", "", "", True, False),
    ("want a b; ask; no #1", "a b", "", "", False, True),  # two halves are to be asked for
    ("want a; ask; ok #1; drop a", "a", "", "a", False, True),
    ("want a; ask; ok #1; drop a; ask", "a", "", "a", False, False),
    ("want a; ask; ok #1; drop a; ask; ok #2", "", "", "", True, False),
    ("want a; ask; ok #1; renew a", "a", "", "", False, True),
    ("want a; ask; ok #1; renew a; ask; ok #2", "", "a", "", False, True),
    ("want a; ask; ok #1; drop a; ask; want a b", "a", "b", "", False, True),  # it cannot be asked for before it ended
    ("want a; ask; wait 10; ask; wait 10", "a", "", "a", False, True),  # perhaps
]


@pytest.mark.parametrize(
    ("script", "has", "waiting", "unwanted", "settled", "more"), LOOKS, ids=lambda value: str(value)
)
def test_how_it_looks_from_outside(
    script: str, has: str, waiting: str, unwanted: str, settled: bool, more: bool
) -> None:
    run = Script()
    for line in filter(None, script.split("; ")):
        run.play(line)
    seen = run.subscriptions
    assert [name for name in "abc" if seen.has(name)] == has.split()
    assert seen.waiting == waiting.split()
    assert [each.name for each in seen.unwanted()] == unwanted.split()
    assert (seen.is_settled, seen.has_more) == (settled, more)


def test_a_stream_that_is_ended_keeps_its_spec_for_those_who_count_what_a_connection_carries() -> None:
    run = Script()
    for line in ("want book:A", "ask", "ok #1", "drop book:A"):
        run.play(line)
    assert run.subscriptions.unwanted() == [spec("book:A")]


def test_it_is_due_when_the_oldest_answer_is() -> None:
    run = Script()
    assert run.subscriptions.due() == float("inf")
    run.play("want a")
    run.play("ask")
    run.play("wait 3")
    run.play("want b")
    run.play("ask")
    assert run.subscriptions.due() == ACK_TIMEOUT
    run.play("ok #1")
    assert run.subscriptions.due() == 3.0 + ACK_TIMEOUT
    run.play("ok #2")
    assert run.subscriptions.due() == float("inf")


def test_a_connection_that_opens_asks_for_everything_that_is_wanted_by_then() -> None:
    wanted = {name: spec(name) for name in ("a", "b")}
    subscriptions = Reconciler(wanted, MOST)
    assert subscriptions.next_request("1", 0.0) is None
    wanted["c"] = spec("c")
    subscriptions.begin()
    assert subscriptions.next_request("1", 0.0) == Request(on=True, names=("a", "b", "c"))


@pytest.mark.parametrize(
    ("longest", "asked"),
    [(1, ["aa", "bb", "cc", "dd"]), (2, ["aa", "bb", "cc", "dd"]), (4, ["aabb", "ccdd"]), (7, ["aabbcc", "dd"])],
)
def test_a_request_holds_as_many_streams_as_fit_into_its_bytes(longest: int, asked: list[str]) -> None:
    wanted = {name: spec(name) for name in ("aa", "bb", "cc", "dd")}
    subscriptions = Reconciler(wanted, MOST, lambda on, names: len("".join(names)) <= longest)
    subscriptions.begin()
    found = [subscriptions.next_request(str(number), 0.0) for number in range(len(asked))]
    assert ["".join(each.names) for each in found if each is not None] == asked
    assert not subscriptions.has_more


def test_a_repetition_whose_id_has_grown_is_split() -> None:
    wanted = {name: spec(name) for name in ("aa", "bb", "cc")}
    longest = [6]
    subscriptions = Reconciler(wanted, MOST, lambda on, names: len("".join(names)) <= longest[0])
    subscriptions.begin()
    assert subscriptions.next_request("9", 0.0) == Request(on=True, names=("aa", "bb", "cc"))
    subscriptions.expired(ACK_TIMEOUT)
    longest[0] = 5
    again = [subscriptions.next_request(key, ACK_TIMEOUT) for key in ("10", "11")]
    assert again == [Request(True, ("aa", "bb"), again=True), Request(True, ("cc",), again=True)]
    assert not subscriptions.has_more


# -- anything in any order

NAMES = ["book:A", "book:B", "book:BAD", "trade:A"]
HABITS = ("whole", "whole without id", "each", "each without id", "argument", "list")
names = st.sampled_from(NAMES)


class AnyOrder(RuleBasedStateMachine):
    """A venue with one of the habits of answering, and wishes that come and go. It refuses what is called ``BAD``; a
    strict one also refuses to begin what it carries and to end what it does not. Answers may get lost where a later one
    can be told from them."""

    @initialize(
        habit=st.sampled_from(HABITS), strict=st.booleans(), most=st.integers(1, MOST), longest=st.integers(1, 30)
    )
    def begin(self, habit: str, strict: bool, most: int, longest: int) -> None:
        self.habit, self.strict, self.most, self.longest = habit, strict, most, longest
        self.wanted: dict[str, StreamSpec] = {}
        self.subscriptions = Reconciler(self.wanted, most, self.fits)
        self.carried: set[str] = set()
        self.open: dict[str, Request] = {}
        """What the venue has yet to read."""
        self.unanswered: dict[str, Request] = {}
        """The same, and what we have heard nothing of since."""
        self.serial = 0
        self.now = 0.0

    def fits(self, on: bool, names: Iterable[str]) -> bool:
        """A venue that takes requests of no more than so many characters; what ends streams is longer."""
        return sum(len(name) + (not on) for name in names) <= self.longest

    @rule(name=names, at_once=st.booleans())
    def want(self, name: str, at_once: bool) -> None:
        if name not in self.wanted:
            self.wanted[name] = spec(name)
            self.subscriptions.changed(name)
            self.subscriptions.resubscribe(name)  # as the group does: it may still be there from before
        if at_once:
            self.ask()

    @rule(name=names, at_once=st.booleans())
    def drop(self, name: str, at_once: bool = False) -> None:
        if name in self.wanted:
            del self.wanted[name]
            self.subscriptions.changed(name)
        if at_once:
            self.ask()

    @rule(name=names)
    def renew(self, name: str) -> None:
        if name in self.wanted:
            self.subscriptions.resubscribe(name)

    @rule()
    def ask(self) -> None:
        key = str(self.serial + 1)
        request = self.subscriptions.next_request(key, self.now)
        if request is None:
            return
        self.serial += 1
        assert 1 <= len(request.names) <= self.most
        assert len(request.names) == 1 or self.fits(request.on, request.names)
        assert len({spec(name).batch for name in request.names}) == 1
        assert {name for each in self.unanswered.values() for name in each.names}.isdisjoint(request.names)
        self.open[key] = request
        self.unanswered[key] = request

    @precondition(lambda self: self.open)
    @rule()
    def answer(self) -> None:
        """The oldest request is carried out and answered."""
        key = next(iter(self.open))
        request = self.open.pop(key)
        if self.habit != "list":
            del self.unanswered[key]
        if self.habit.startswith("whole"):
            self._answer_whole(key, request)
        elif self.habit == "list":
            self._carry_out(request, self._granted(request))
            self._note_listed()
            self._settle(self.subscriptions.listed(self.carried))
        else:
            self._answer_each(key, request)

    @precondition(lambda self: self.open and self.habit not in ("whole without id", "argument"))
    @rule(carried_out=st.booleans())
    def lose(self, carried_out: bool) -> None:
        """The oldest request is not answered; an ending without an answer did happen, or nothing could be known."""
        key = next(iter(self.open))
        request = self.open.pop(key)
        if carried_out or not request.on:
            self._carry_out(request, self._granted(request))

    @precondition(lambda self: self.open and self.habit not in ("whole without id", "argument"))
    @rule(carried_out=st.booleans())
    def stay_silent(self, carried_out: bool) -> None:
        """No request at all is answered in time."""
        while self.open:
            self.lose(carried_out)
        self.wait()

    @precondition(lambda self: not self.open)
    @rule()
    def wait(self) -> None:
        self.now += ACK_TIMEOUT
        self.unanswered.clear()
        self._settle(self.subscriptions.expired(self.now)[0])

    @invariant()
    def what_the_venue_has_is_known(self) -> None:
        if hasattr(self, "carried"):
            assert all(self.subscriptions.has(name) for name in self.carried)
            assert self.carried <= {*self.wanted, *(each.name for each in self.subscriptions.unwanted())}

    def teardown(self) -> None:
        """Once everybody has made up their mind, and every answer comes, the venue has exactly what is wanted."""
        if not hasattr(self, "carried"):
            return
        for _ in range(500):
            if self.subscriptions.is_settled:
                break
            self.ask()
            if self.open:
                self.answer()
            else:
                self.wait()
        assert self.subscriptions.is_settled
        assert not self.subscriptions.has_more and not self.subscriptions.waiting
        assert self.carried == set(self.wanted)
        assert self.subscriptions.unwanted() == []
        assert self.subscriptions.due() == float("inf")

    # The venue's side.

    def _granted(self, request: Request) -> list[str]:
        return [name for name in request.names if not name.endswith("BAD") and not self._is_so_already(request, name)]

    def _is_so_already(self, request: Request, name: str) -> bool:
        return self.strict and (name in self.carried) is request.on

    def _carry_out(self, request: Request, names: Iterable[str]) -> None:
        (self.carried.update if request.on else self.carried.difference_update)(names)

    def _note_listed(self) -> None:
        """A list answers whatever it shows of any request."""
        for key, request in list(self.unanswered.items()):
            rest = tuple(name for name in request.names if (name in self.carried) is not request.on)
            self.unanswered[key] = Request(request.on, rest)

    def _answer_whole(self, key: str, request: Request) -> None:
        shown = "" if self.habit == "whole without id" else key
        already = any(self._is_so_already(request, name) for name in request.names)
        bad = any(name.endswith("BAD") for name in request.names)
        if not already and not bad:
            self._carry_out(request, request.names)
        self._settle(self.subscriptions.answered(Ack(shown, not already and not bad, already=already and not bad)))

    def _answer_each(self, key: str, request: Request) -> None:
        granted = self._granted(request)
        self._carry_out(request, granted)
        order = list(request.names)
        Random(self.serial).shuffle(order)
        for name in order:
            shown = {"argument": spec(name).argument} if self.habit == "argument" else {"streams": (name,)}
            already = self._is_so_already(request, name)
            self._settle(
                self.subscriptions.answered(
                    Ack(key if self.habit == "each" else "", name in granted, already=already, **shown)
                )
            )

    def _settle(self, settled: Settled | None) -> None:
        assert settled is not None
        for name in settled.rejected:
            assert name in self.wanted
            self.drop(name)


AnyOrder.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrder = AnyOrder.TestCase


def test_endings_go_first_however_many_beginnings_wait() -> None:
    script = Script(most=2)
    script.play("want a")
    assert script.play("ask") == "#1 sub a"
    script.play("ok")
    script.play("want b c d")
    script.play("drop a")
    assert [script.play("ask"), script.play("ask"), script.play("ask")] == ["#2 unsub a", "#3 sub b c", "#4 sub d"]
