"""The soak runs, and judges as it says; how much memory there is, is nobody's business here."""

from __future__ import annotations

import pytest

from benchmarks.processes import BenchError
from benchmarks.soak import COLUMNS, COUNTED, counters, growth, main, window_of


def test_a_short_run_is_judged_by_its_second_half_a_long_one_by_its_last_quarter_of_an_hour() -> None:
    assert window_of(600) == 300
    assert window_of(3600) == 900


@pytest.mark.parametrize(
    ("sizes", "grown"),
    [
        ([100.0] * 20, 0.0),
        ([10.0] * 10 + [100.0] * 10, 0.0),  # what comes before the window is no matter
        ([100.0] * 10 + [100.0 + index for index in range(10)], 0.08),
        ([100.0] * 10 + [100, 100, 100, 300, 100, 100, 100, 100, 100, 100], 0.0),  # nor is a moment within it
        ([100.0] * 10 + [100, 100, 100, 100, 100, 100, 100, 100, 90, 90], -0.1),
    ],
)
def test_growth_is_from_the_first_to_the_last_fifth_of_the_window(sizes: list[float], grown: float) -> None:
    samples = [(float(index), size) for index, size in enumerate(sizes)]
    assert growth(samples, 9.0) == pytest.approx(grown, abs=0.003)


def test_too_few_samples_say_nothing() -> None:
    with pytest.raises(BenchError):
        growth([(0.0, 100.0)], 10.0)


def test_counters_are_summed_over_their_labels() -> None:
    name = COUNTED["sent"]
    text = f'# TYPE {name} counter\n{name}{{kind="a"}} 3\n{name}{{kind="b c"}} 4.0\n{name}_created 9\n'
    assert counters(text) == {**dict.fromkeys(COUNTED.values(), 0.0), name: 7.0}


def test_a_sample_of_the_soak_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.2"]) in (0, 1)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == " ".join(COLUMNS).split()
    assert [line.split()[1] for line in lines[:-3]] == ["demo", "server", "simulator"] * 2
    assert [line.split(":")[0] for line in lines[-3:]] == ["demo", "server", "simulator"]
    for line in lines[3:5]:
        clients, came, events, sent, _, got = map(int, line.split()[5:11])
        assert 0 < clients <= came and events > 0 and sent > 0 and got > 0
