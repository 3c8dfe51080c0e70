"""What a load generator has received since it began to count: how much, in which order, how late."""

from __future__ import annotations


class Received:
    """Counts of all connections. A message counts if it begins with ``kind``; behind ``number`` it has a number that
    grows by one, behind ``stamp`` the time (ns, of the machine's monotonic clock) when it was sent; an empty stamp:
    it has none."""

    def __init__(self, kind: bytes, number: bytes, stamp: bytes) -> None:
        self._kind, self._number, self._stamp = kind, number, stamp
        self.reset()

    def reset(self) -> None:
        self.total = self.bytes = 0
        self._disorder = self._other = self._unstamped = 0
        self._first = self._last = 0.0
        self._late: list[int] = []

    def chunk(self, size: int, now: int) -> None:
        """So many bytes brought messages that count, at ``now`` (ns)."""
        self._last = now / 1e9
        self._first = self._first or self._last
        self.bytes += size

    def take(self, body: bytes, last: dict[bytes, int] | None, now: int) -> bool:
        """One message; whether it counts. ``last`` is where the connection keeps the last number of each instrument,
        None where nobody looks."""
        if not body.startswith(self._kind):
            self._other += 1
            return False
        self.total += 1
        if last is not None:
            self._check_order(last, body)
        if self._stamp:
            sent = _number_behind(self._stamp, body)
            if sent is None:
                self._unstamped += 1
            else:
                self._late.append((now - sent) // 1000)
        return True

    def _check_order(self, last: dict[bytes, int], body: bytes) -> None:
        number = _number_behind(self._number, body)
        _, found, rest = body.partition(b'"base":"')
        name = rest.partition(b'"')[0]
        if number is None or not found or number != last.get(name, number - 1) + 1:
            self._disorder += 1
        if number is not None:
            last[name] = number

    def report(self) -> dict[str, object]:
        """Frames, bytes, seconds, faults, and percentiles of the delay in microseconds."""
        late = sorted(self._late)
        shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        return {
            "frames": self.total,
            "bytes": self.bytes,
            "seconds": self._last - self._first,
            "disorder": self._disorder,
            "other": self._other,
            "unstamped": self._unstamped,
            **{name: late[min(len(late) - 1, int(share * len(late)))] if late else 0 for name, share in shares.items()},
        }


def _number_behind(marker: bytes, body: bytes) -> int | None:
    at = body.find(marker)
    if at < 0:
        return None
    end = start = at + len(marker)
    while body[end : end + 1].isdigit():
        end += 1
    return int(body[start:end]) if end > start else None
