"""The doctor takes the settings of the server it is run beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptodash.options import Options, config_of


@pytest.mark.parametrize("name", ["SYMBOLS", "CRYPTODASH_SYMBOLS"])
def test_what_a_server_keeps_warm_does_not_keep_the_doctor_from_another_venue(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "binance:spot:BTC-USDT")
    options = Options()
    options.parseOptions(["doctor", "kraken"])
    config = config_of(options)
    assert config.exchanges == ("kraken",) and config.symbols == ()
