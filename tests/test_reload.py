"""Settings read again: what takes effect, what is said, and that nothing half-done stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve
from twisted.logger import capturedLogs, formatEvent

from cryptodash.core.config import SETTINGS, Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import Layer, load
from cryptodash.live_settings import LIVE
from cryptodash.reload import NotTaken, Reloadable, Reloader, changes
from cryptodash.sd_notify import Notifier


def settings(**values: str) -> Config:
    return load([Layer(".env", values, own=True)], ("binance", "bybit"))


class Manager(Notifier):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def reloading(self) -> None:
        self.told.append("reloading")

    def ready(self, status: str = "") -> None:
        self.told.append("ready")


class World:
    """A reloader whose settings are what ``wanted`` holds."""

    def __init__(self, *parts: Reloadable, **values: str) -> None:
        self.wanted = dict(values)
        self.manager = Manager()
        self.taken: list[tuple[Config, Config]] = []
        live = Reloadable(LIVE, lambda old, new: self.taken.append((old, new)))
        self.reloader = Reloader(settings(**values), lambda: settings(**self.wanted), [live, *parts], self.manager)

    def reload(self, **values: str) -> list[str]:
        """What is logged of it."""
        self.wanted = values
        with capturedLogs() as logged:
            self.reloader.reload()
        assert self.manager.told == ["reloading", "ready"], "whatever came of it"
        self.manager.told.clear()
        return [str(formatEvent(each)) for each in logged]


def test_one_line_says_what_took_effect_and_what_needs_a_restart() -> None:
    world = World()
    lines = world.reload(
        MAX_CHANNELS="5", ALLOWED_ORIGINS="https://a.example", BIND_ADDR="0.0.0.0:81", CLIENT_STALL_TIMEOUT="20"
    )
    taken = "ALLOWED_ORIGINS, CLIENT_STALL_TIMEOUT, MAX_CHANNELS took effect"
    assert lines == [f"settings read again: {taken}; BIND_ADDR needs a restart"]
    ((old, new),) = world.taken
    assert (old.limits.max_channels, new.limits.max_channels) == (1000, 5)
    assert new.allowed_origins == ("https://a.example",) and new.client_stall_timeout_s == 20
    assert new.bind_addr == old.bind_addr, "what needs a restart is not in force"
    assert world.reloader.config is new


def test_what_needs_a_restart_is_said_each_time_until_there_is_one() -> None:
    world = World()
    for _ in range(2):
        assert world.reload(EXCHANGES="bybit", LATE_AFTER_MS="500") == [
            "settings read again: EXCHANGES, LATE_AFTER_MS need a restart"
        ]
    assert world.reload() == ["settings read again: nothing has changed"]
    assert len(world.taken) == 3, "files that settings name may have changed all the same"


@pytest.mark.parametrize("wrong", [{"MAX_CHANNELS": "none"}, {"TLS_CERT": "a"}, {"SYMBOLS": "kraken:spot:BTC-USD"}])
def test_settings_that_cannot_be_read_change_nothing(wrong: dict[str, str]) -> None:
    world = World()
    before = world.reloader.config
    (line,) = world.reload(MAX_FRAGMENTS="7", **wrong)
    assert line.startswith("the settings stay as they are: ") and next(iter(wrong)) in line
    assert world.reloader.config is before and not world.taken
    assert world.reload(MAX_FRAGMENTS="7") == ["settings read again: MAX_FRAGMENTS took effect"]


def test_an_error_of_ours_while_reading_ends_nothing() -> None:
    world = World()

    def read() -> Config:
        raise RuntimeError

    world.reloader._read = read
    (line,) = world.reload()
    assert line == "the settings stay as they are: an error of ours"


def test_secrets_are_named_and_never_shown() -> None:
    world = World()
    (line,) = world.reload(CLUSTER_KEY="hunter2hunter2hunter2", REDIS_URL="redis://:hunter2@127.0.0.1")
    assert line == "settings read again: CLUSTER_KEY, REDIS_URL need a restart"


def test_a_part_may_say_that_this_change_is_too_much() -> None:
    refuses: Callable[[Config, Config], tuple[str, ...]] = lambda old, new: ("symbols",)  # noqa: E731
    world = World(Reloadable(("symbols",), lambda old, new: None, refuses))
    assert world.reload(SYMBOLS="binance:spot:BTC-USDT") == ["settings read again: SYMBOLS needs a restart"]
    assert world.taken[0][1].symbols == ()


def test_a_part_that_fails_keeps_no_other_from_its_settings() -> None:
    def fail(old: Config, new: Config) -> None:
        raise RuntimeError

    world = World(Reloadable(("log_level",), fail))
    lines = world.reload(LOG_LEVEL="debug", MAX_CHANNELS="7")
    assert lines == [
        "a change of settings failed, an error of ours: LOG_LEVEL",
        "settings read again: MAX_CHANNELS took effect; LOG_LEVEL failed",
    ]


def test_a_part_that_does_not_take_its_settings_says_why_itself() -> None:
    def refuse(old: Config, new: Config) -> None:
        raise NotTaken

    world = World(Reloadable(("log_level",), refuse))
    lines = world.reload(LOG_LEVEL="debug", MAX_CHANNELS="7")
    assert lines == ["settings read again: MAX_CHANNELS took effect; LOG_LEVEL failed"]


def test_warnings_are_said_when_they_are_new() -> None:
    world = World()
    assert world.reload(NONSENSE="1")[1:] == [".env: unknown setting NONSENSE"]
    assert world.reload(NONSENSE="1")[1:] == []


def test_other_certificate_files_are_no_other_address() -> None:
    one, two = (settings(BIND_ADDR="0.0.0.0:8443", TLS_CERT=f"{n}.pem", TLS_KEY="key.pem") for n in ("one", "two"))
    assert one.bind_addr != two.bind_addr and changes(one, two) == {"tls_cert"}
    assert changes(one, evolve(two, bind_addr="ssl:81:certKey=two.pem:privateKey=key.pem")) == {"tls_cert", "bind_addr"}
    assert changes(settings(), settings(BINANCE_WS_URL="ws://a")) == {"binance_ws_url"}
    world = World(BIND_ADDR="0.0.0.0:8443", TLS_CERT="one.pem", TLS_KEY="key.pem")
    lines = world.reload(BIND_ADDR="0.0.0.0:8443", TLS_CERT="two.pem", TLS_KEY="key.pem")
    assert lines == ["settings read again: TLS_CERT took effect"]
    assert "certKey=two.pem" in world.reloader.config.bind_addr
    assert world.reload(BIND_ADDR="0.0.0.0:8443", TLS_CERT="two.pem", TLS_KEY="key.pem")[0].endswith("has changed")


def test_each_setting_that_is_taken_is_one() -> None:
    assert set(LIVE) <= {setting.attribute for setting in SETTINGS}
    with pytest.raises(ConfigError):
        settings(MAX_CHANNELS="0")
