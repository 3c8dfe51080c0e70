"""Trades: each as it was, once, and none left out while the channel is good, but for what a gap says."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from attrs import define

from tests.chaos.history import Tape, WireTrade
from tests.chaos.invariants.values import Excuses, ended, parse_time
from tests.chaos.plan import Trouble
from tests.chaos.resuming import Resumed
from tests.chaos.subscriptions import GOOD, Subscription, Told, Violation

UNNOTICED = 9.0
"""Seconds before a status that says that something is wrong in which trades may be lost already. A channel that gets
well again tells of them by a gap; one that does not cannot."""
TO_READ = 3.0
"""Seconds in which a client that reads at once has read what it missed."""
TO_READ_A_TAPE = 10.0
"""The same where that was recorded, and comes some at a time."""
_SWALLOWS = ("silent", "silent-venue", "reorder", "slow", "delist")
"""Troubles under which trades are lost or come later than anybody would wait for them here."""


def check(subscription: Subscription, tape: Tape, excuses: Excuses) -> list[Violation]:
    return list(_TradeCheck(subscription, tape, excuses).run())


@define
class _Spell:
    """The time from the first good moment of the channel to its last one. What was missed between was told."""

    begin: float
    end: float = float("inf")
    ended_badly: bool = False
    is_quiet: bool = False
    """Whether the client was told that nothing came, and nothing else since."""


@define
class _Hole:
    """A gap that does not say how many: of the trades between these two of the tape (by index) any may be missing."""

    after: int
    before: int
    is_over: bool = False
    """Whether a trade was told after it."""


class _TradeCheck:
    def __init__(self, subscription: Subscription, tape: Tape, excuses: Excuses) -> None:
        self._subscription, self._tape, self._excuses = subscription, tape, excuses
        self._told: dict[str, bool] = {}
        """Ids that were told, and whether live."""
        self._spell: _Spell | None = None
        self._holes: list[_Hole] = []
        self._order: list[int] = []
        """Those that were told, in the order in which they were, by their index on the tape."""
        self._starts = [trade.at for trade in tape.trades]
        self._index = {trade.id: index for index, trade in enumerate(tape.trades)}
        self._missed = 0
        self._last_at = 0.0
        self._had: frozenset[str] = frozenset()
        """What the client had when it came back, and is not to be told again."""
        self._first: int | None = None
        """From which trade of the tape on it is to be told all, since it came back."""
        self._is_replay = False
        """Whether it is told what it missed, and nothing live yet."""

    def run(self) -> Iterator[Violation]:
        by_id = {trade.id: trade for trade in self._tape.trades}
        blame, state = self._subscription.blame, ""
        for told in self._subscription.told:
            if told.kind == "status":
                before, state = state, told.payload["state"]
                self._status(told.at, before in GOOD, state in GOOD, is_quiet=state == "quiet")
            elif told.kind == "again":
                self._again(told)
            elif told.kind == "gap":
                self._gap(told)
                if int(told.payload.get("missed", 1)) <= 0:
                    yield blame("trades", told.at, "a gap that misses nothing")
            elif told.kind == "trade":
                wrong = self._trade(told.payload, by_id)
                if wrong:
                    yield blame("trades", told.at, wrong)
        yield from self._complete()

    def _status(self, at: float, was_good: bool, is_good: bool, *, is_quiet: bool) -> None:
        if is_good and self._spell is None:
            self._spell = _Spell(at)
        elif self._spell is not None and was_good is not is_good:
            self._spell.end, self._spell.ended_badly = (float("inf"), False) if is_good else (at, True)
        if self._spell is not None:
            self._spell.is_quiet = is_quiet

    def _again(self, told: Told) -> None:
        resumed: Resumed | None = told.payload.get("resumed")
        self._is_replay = resumed is not None
        self._had = resumed.had if resumed is not None else frozenset()
        if resumed is not None and self._spell is None and self._stays(told.at) and resumed.last in self._index:
            self._first = self._index[resumed.last] + 1
            self._told = dict.fromkeys(resumed.had, True)

    def _stays(self, at: float) -> bool:
        """Whether the client is there for long enough to read what it missed."""
        to_read = TO_READ_A_TAPE if self._excuses._plan.recorded else TO_READ
        return self._subscription.is_prompt and self._subscription.end - at > to_read

    def _gap(self, told: Told) -> None:
        """Until the next trade that is told, or else until now; from the trade that it names, or else the last told."""
        if told.payload.get("reason") == "expired":
            # What the venue itself tells of the time before its stream begins may be among it.
            self._told = {identity: live for identity, live in self._told.items() if identity not in self._had}
            self._had = frozenset()
        missed = told.payload.get("missed")
        if missed is not None:
            self._missed += int(missed)
            return
        begin = parse_time(str(told.payload["from"])) if "from" in told.payload else None
        named = (index for index in reversed(self._order) if self._tape.trades[index].time == begin)
        after = next(named, self._order[-1] if self._order else -1)
        self._holes.append(_Hole(after, bisect_left(self._starts, told.at)))

    def _trade(self, payload: dict[str, object], by_id: dict[str, WireTrade]) -> str:  # type: ignore[override]
        identity = str(payload["id"])
        trade = by_id.get(identity)
        if trade is None:
            return "" if self._is_from_before(payload) else f"no such trade: {identity}"
        price, size = (self._tape.said(str(payload[name])) for name in ("price", "quantity"))
        said = (price, size, payload["side"], parse_time(str(payload["timestamp"])))
        true = (trade.price, trade.size, trade.side, trade.time)
        if said != true:
            return f"trade {identity}: {said} instead of {true}"
        is_live = not payload.get("replayed")
        if identity in self._had or (is_live and identity in self._told):
            return f"trade {identity} came again"
        self._is_replay = self._is_replay and not is_live
        if identity not in self._told:
            self._order.append(self._index[identity])
            if (is_live or self._is_replay) and self._holes and not self._holes[-1].is_over:
                self._holes[-1].before, self._holes[-1].is_over = self._index[identity], True
        self._told[identity] = self._told.get(identity, False) or is_live
        self._last_at = max(self._last_at, trade.at)
        return ""

    def _is_from_before(self, payload: dict[str, object]) -> bool:
        """Of the time before the tape begins, of which venues tell the last trades."""
        return bool(payload.get("replayed")) or parse_time(str(payload["timestamp"])) < self._tape.times[0]

    def _complete(self) -> Iterator[Violation]:
        client = self._subscription.connection.client
        own = client.delay + client.jitter
        spell, end = self._spell, ended(self._subscription, self._excuses)
        if spell is None:
            return
        is_unsure = spell.ended_badly or spell.is_quiet
        lag = UNNOTICED + self._reading if is_unsure else self._lag(min(spell.end, end))
        first, last = (bisect_left(self._starts, at) for at in (spell.begin, min(spell.end, end) - own - lag))
        if self._first is not None:
            first = self._first
        missing = [
            self._tape.trades[index]
            for index in range(first, last)
            if self._tape.trades[index].id not in self._told
            and not any(hole.after < index < hole.before for hole in self._holes)
        ]
        if not self._subscription.is_prompt:
            missing = [trade for trade in missing if trade.at < self._last_at]
        missing = [trade for trade in missing if not self._is_excused(trade)]
        if len(missing) > self._missed:
            first_missing = missing[0]
            yield self._subscription.blame(
                "trades",
                first_missing.at,
                f"{len(missing)} trades were left out and gaps told {self._missed}: "
                f"{', '.join(f'{each.id} of {each.at:.3f}' for each in missing[:3])}",
            )

    @property
    def _reading(self) -> float:
        """Seconds that what was sent may lie in the kernel of a slow reader."""
        client = self._subscription.connection.client
        return 0.0 if client.rate is None else client.kernel / client.rate + 2.0

    def _lag(self, at: float) -> float:
        """Seconds that a trade may be on its way."""
        return self._excuses.patience(self._subscription, at) - 5.0

    def _is_excused(self, trade: WireTrade) -> bool:
        return any(self._swallows(each, trade.at) for each in self._excuses._plan.troubles)

    def _swallows(self, trouble: Trouble, at: float) -> bool:
        return (
            trouble.name in _SWALLOWS
            and trouble.concerns(*self._subscription.place)
            and trouble.begin - 0.5 <= at <= trouble.end + trouble.amount
        )
