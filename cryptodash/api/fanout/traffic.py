"""What /ws counts: one object with every metric of the clients' side, its label sets closed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from cryptodash.core.tally import Labels, Tally
from cryptodash.core.topics import Channel
from cryptodash.hub.interfaces import Batch, Message

CLOSE_CODES: Final = (1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013)

_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SESSION_SECONDS = (1, 5, 30, 60, 300, 1800, 3600, 14400, 86400)
_RECIPIENTS = (0, 1, 5, 10, 50, 100, 500, 1000, 5000, 10000)


class Traffic:
    """The counters of one server's clients. What hot paths count are cells."""

    def __init__(self, tally: Tally) -> None:
        counter, histogram = tally.counter, tally.histogram
        self.accepted = counter("cryptodash_ws_connections_accepted_total", "WebSocket connections opened.")
        self.refused = counter("cryptodash_ws_connections_refused_total", "WebSocket connections refused.", "reason")
        self.closes = counter(
            "cryptodash_ws_closes_total",
            "WebSocket connections closed, by close code and who began.",
            "code",
            "initiator",
        )
        self.commands = counter("cryptodash_ws_commands_total", "Client requests, by op and result.", "op", "result")
        self.sent = counter("cryptodash_ws_messages_sent_total", "Messages sent to clients.", "kind")
        self.sent_bytes = counter("cryptodash_ws_sent_bytes_total", "Bytes of frames sent to clients.").cell()
        self.received = counter("cryptodash_ws_messages_received_total", "Messages received from clients.").cell()
        received_bytes = counter("cryptodash_ws_received_bytes_total", "Payload bytes received from clients.")
        self.received_bytes = received_bytes.cell()
        self.binary = counter("cryptodash_ws_binary_ignored_total", "Binary messages from clients, ignored.")
        self.debts = counter(
            "cryptodash_ws_debts_total", "Times a client was not read until the work it had asked for was paid."
        )
        self.conflated = counter(
            "cryptodash_ws_conflated_total", "Messages replaced by a newer one before they were sent.", "kind"
        )
        self.dropped = counter("cryptodash_ws_dropped_total", "Lossless messages dropped for a slow client.", "kind")
        self.resumed = counter(
            "cryptodash_ws_resumes_total",
            "Channels taken up again by a cursor: complete, recorded (by the recording), or expired: not all was kept.",
            "kind",
            "result",
        )
        self.recipients = histogram("cryptodash_fanout_recipients", "Clients that got one batch.", _RECIPIENTS).at()
        self.ping_rtt = histogram("cryptodash_ws_ping_rtt_seconds", "Time from ping to pong.", _SECONDS).at()
        self.session_seconds = histogram(
            "cryptodash_ws_session_duration_seconds", "Life of a connection.", _SESSION_SECONDS
        ).at()
        self.command_seconds = histogram(
            "cryptodash_ws_command_duration_seconds", "Time to serve a request.", _SECONDS, "op"
        )
        self._handed: list[Message | Batch] = []
        self._kinds: defaultdict[str, int] = defaultdict(int)
        self._sizes: defaultdict[int, int] = defaultdict(int)
        self._bytes = 0
        self.subscriptions: dict[Channel, int] = dict.fromkeys(Channel, 0)
        tally.gauge("cryptodash_ws_subscriptions", "Subscriptions of clients.", self._read_subscriptions, "kind")

    def delivered(self, messages: Iterable[Message | Batch], clients: int) -> None:
        """Count messages that so many clients were sent; shown after ``settle``."""
        kinds = self._kinds
        for message in messages:
            kinds[message.kind] += message.count * clients

    def flushed(self, messages: Iterable[Message | Batch], size: int, clients: int) -> None:
        """Count one cohort's part of a turn."""
        kinds = self._kinds
        for message in messages:  # ``delivered``, in place
            kinds[message.kind] += message.count * clients
        self._sizes[clients] += 1
        self._bytes += size * clients

    def flushed_one(self, messages: list[Message | Batch], size: int) -> None:
        """The same for a cohort of one client. A thousand of them flush in a turn,
        so this only notes what ``settle`` counts, all at once."""
        self._handed += messages
        self._sizes[1] += 1
        self._bytes += size

    def not_sent(self, messages: Iterable[Message | Batch], size: int) -> None:
        """One client of those that were counted was not sent these."""
        self.delivered(messages, -1)
        self._bytes -= size

    def settle(self) -> float:
        """Bring the turn's sums into the metrics; returns the share of the writes that went to
        cohorts of one client."""
        for message, times in Counter(self._handed).items():
            self._kinds[message.kind] += message.count * times
        self._handed.clear()
        sent = self.sent.values
        for kind, count in self._kinds.items():
            sent[(kind,)] += count
        for clients, times in self._sizes.items():
            self.recipients.observe(clients, times)
        self.sent_bytes.count += self._bytes
        alone, all_writes = self._sizes.get(1, 0), sum(clients * times for clients, times in self._sizes.items())
        self._kinds.clear()
        self._sizes.clear()
        self._bytes = 0
        return alone / all_writes if all_writes else 0.0

    def close(self, code: int | None, initiator: str) -> None:
        """Count one close; codes outside the table become ``other``."""
        self.closes.add(str(code) if code in CLOSE_CODES else "other", initiator)

    def _read_subscriptions(self) -> Mapping[Labels, float]:
        return {(channel.value,): float(count) for channel, count in self.subscriptions.items()}
