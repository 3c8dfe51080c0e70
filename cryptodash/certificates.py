"""The certificate that new connections get: renewed when its files change, and never for something worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from twisted.application.internet import TimerService
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock, rfc3339
from cryptodash.tls_files import CertificateFiles, Loaded, digest_of

LOOK_EVERY_S: Final = 15.0
"""Seconds between two looks at the files: a change is in use after at most as many."""
DAY_S: Final = 86_400.0
WARN_S: Final = 14 * DAY_S
WARN_SHARE: Final = 0.25
"""Warned is in the last two weeks, or in the last quarter of a certificate's life where that is less: whoever renews by
program does it before."""

_log = Logger(namespace="cryptodash.certificates")


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """What a listening socket speaks TLS with. Connections keep what they began with.

    Raises whatever is wrong with the files at first; later what cannot be used is told and left alone.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self.files = files
        self._stamps = files.stamps()
        self.in_use: Loaded = files.load()
        self.refusal = ""
        """Why what the files hold now is not in use; empty: it is."""
        self.taken = self.refused = 0
        """How often new ones came into use, and how often the old one was kept."""
        self._refused_digest: object = None

    # -- what Twisted asks for

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """By the certificate of this moment."""
        return self.in_use.options.serverConnectionForTLS(protocol)

    def getContext(self) -> SSL.Context:
        """The older way to ask."""
        return self.in_use.options.getContext()

    # -- what is in the files

    def look(self, now: float, *, anew: bool = False) -> None:
        """Take what the files hold, if it has changed and is good. ``now``: seconds since 1970. ``anew``: somebody
        asks, so what is wrong is said although it was said before."""
        stamps = self.files.stamps()
        if stamps == self._stamps and not anew:
            return
        self._stamps = stamps
        found: object = None
        try:
            contents = self.files.read()
            found = digest_of(contents)
            if found == self.in_use.digest:
                self._as_before()
                return
            if found == self._refused_digest and not anew:
                return
            loaded = self.files.load(contents)
            if not loaded.is_valid(now) and self.in_use.is_valid(now):
                raise ValueError(f"it is valid from {_date(loaded.not_before)} to {_date(loaded.not_after)}")
        except Exception as error:  # whatever OpenSSL, cryptography or the file system has against it
            self._keep(f"{_one_line(error)}", found)
            return
        self.in_use, self.refusal, self._refused_digest = loaded, "", None
        self.taken += 1
        _log.info(
            "new connections get a new certificate: {name}, valid until {not_after}",
            name=loaded.name,
            not_after=_date(loaded.not_after),
        )

    def replace(self, files: CertificateFiles, now: float) -> None:
        """Other files. Where they are no good the certificate stays that of the old ones, until they are."""
        self.files = files
        self.look(now, anew=True)

    def warns(self, now: float) -> bool:
        """Whether it is time to be renewed."""
        used = self.in_use
        return used.not_after - now < min(WARN_S, WARN_SHARE * (used.not_after - used.not_before))

    def report(self, now: float) -> dict[str, object]:
        """As ``/ready`` tells it."""
        used, reason = self.in_use, self.refusal and f"the files' new one is not used: {self.refusal}"
        if not reason and self.warns(now):
            reason = "it has ended" if now >= used.not_after else "it ends soon and is not renewed"
        document: dict[str, object] = {"status": "degraded" if reason else "ok", "not_after": _date(used.not_after)}
        return document | ({"reason": reason} if reason else {})

    def _as_before(self) -> None:
        if self.refusal:
            _log.info("the files hold the certificate that is in use again")
        self.refusal, self._refused_digest = "", None

    def _keep(self, why: str, found: object) -> None:
        """``found``: digest of what is refused, None where nothing can be read."""
        is_new = why != self.refusal or found != self._refused_digest
        self.refusal, self._refused_digest = why, found
        self.refused += is_new
        _log.error(
            "{file} and {key} cannot be used: {why}; new connections get the certificate of before, valid until "
            "{not_after}",
            file=self.files.certificate,
            key=self.files.key,
            why=why,
            not_after=_date(self.in_use.not_after),
        )


def _date(seconds: float) -> str:
    return rfc3339(round(seconds * 1000))


def _one_line(error: Exception) -> str:
    """What OpenSSL raises is a list of lists."""
    strerror = getattr(error, "strerror", None)
    if strerror:
        return f"{getattr(error, 'filename', None) or ''}: {strerror}"
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return "; ".join(str(each[-1]) for each in error.args[0])[:300] or "OpenSSL refuses it"
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


class CertificateWatch(TimerService):
    """Looks at the files four times a minute, tells when the certificate ends, and warns in time, once a day.
    ``certificate`` finds it, None where TLS is not ours."""

    def __init__(
        self, certificate: Callable[[], Certificate | None], scheduler: IReactorTime, clock: Clock, tally: Tally
    ) -> None:
        super().__init__(LOOK_EVERY_S, self.look)
        self.clock = scheduler
        self._certificate = certificate
        self._time = clock
        self._warned: tuple[float, float] | None = None
        tally.gauge(
            "cryptodash_tls_certificate_not_after_timestamp_seconds",
            "When the certificate in use ends, or one of its chain before it, seconds since 1970.",
            lambda: self._values(lambda used: used.in_use.not_after),
        )
        tally.gauge(
            "cryptodash_tls_certificate_refused",
            "1 while the certificate's files hold something that cannot be used and the one of before is kept.",
            lambda: self._values(lambda used: float(bool(used.refusal))),
        )
        self._changes = tally.counter(
            "cryptodash_tls_certificate_changes_total",
            "New certificates that came into use (taken), or could not and the one of before was kept (refused).",
            "result",
        )

    def _values(self, read: Callable[[Certificate], float]) -> dict[tuple[str, ...], float]:
        used = self._certificate()
        return {} if used is None else {(): read(used)}

    def now(self) -> float:
        """Seconds since 1970."""
        return self._time.wall_ms() / 1000

    def report(self) -> dict[str, object] | None:
        """As ``/ready`` tells it, None where TLS is not ours."""
        used = self._certificate()
        return None if used is None else used.report(self.now())

    def replace(self, files: CertificateFiles) -> None:
        """Other files from now on."""
        used = self._certificate()
        if used is not None:
            self._looked(used, lambda now: used.replace(files, now))

    def look(self, *, anew: bool = False) -> None:
        """Now. ``anew``: because somebody asks."""
        used = self._certificate()
        if used is None:
            return
        self._looked(used, lambda now: used.look(now, anew=anew))

    def _looked(self, used: Certificate, look: Callable[[float], None]) -> None:
        taken, refused, now = used.taken, used.refused, self.now()
        look(now)
        self._changes.add("taken", by=used.taken - taken)
        self._changes.add("refused", by=used.refused - refused)
        self._warn(used, now)

    def _warn(self, used: Certificate, now: float) -> None:
        ends = used.in_use.not_after
        if not used.warns(now):
            self._warned = None
            return
        if self._warned is not None and self._warned[0] == ends and 0 <= now - self._warned[1] < DAY_S:
            return
        self._warned = (ends, now)
        if now >= ends:
            _log.error("the certificate of {name} ended at {not_after}", name=used.in_use.name, not_after=_date(ends))
        else:
            _log.warn(
                "the certificate of {name} ends in {days:.1f} days, at {not_after}, and is not renewed",
                name=used.in_use.name,
                days=(ends - now) / DAY_S,
                not_after=_date(ends),
            )
