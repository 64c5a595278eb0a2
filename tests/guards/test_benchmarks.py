"""The benchmarks themselves: what they make of figures."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from benchmarks.catalogue import NAMES, case_of, chosen
from benchmarks.curves import slope
from benchmarks.figure import AtLeast, AtMost, Beside, Case, Faster, Figure, Limits, Part
from benchmarks.gauge import PATIENCE, TRIES, Gauge
from benchmarks.peers import SUBJECTS
from benchmarks.results import Results
from benchmarks.statements import step

ROOT = Path(__file__).parents[2]


def test_every_peer_of_every_part_is_a_known_one() -> None:
    parts = [part for name in NAMES for part in case_of(name).parts]
    assert {peer for part in parts for peer in part.peers} <= set(SUBJECTS)


def test_cases_are_named_by_letter_name_or_part() -> None:
    assert [case.letter for case, _ in chosen(["C"])] == ["C"]
    [(_, parts)] = chosen(["steps.loop-sync"])
    assert [part.name for part in parts] == ["loop-sync"]
    assert all(not part.long for _, parts in chosen([]) for part in parts)
    with pytest.raises(ValueError, match="there is no case 'stpes'"):
        chosen(["stpes"])


def test_ratios_are_taken_round_by_round_and_the_best_peer_is_the_one_that_is_alike() -> None:
    part = Part(
        "p",
        (Figure("wall", "w", "ms", Limits(3)), Figure("rate", "r", "1/s", AtLeast(5), more_is_better=True)),
        ("agno", "langgraph", "langgraph exit"),
    )
    results, rounds = Results(), {"graphflow": (2, 20, 4), "limit": (1, 10, 4), "agno": (8, 80, 8), "langgraph": (6, 60, 12)}
    for subject, walls in {**rounds, "langgraph exit": (1, 1, 1)}.items():
        results.cases["c", "p", subject] = [{"wall": wall, "rate": 60 / wall} for wall in walls]
    results.cases["c", "p", "agno"][0] = None
    wall, rate = results.rows(Case("X", "c", "", "", (part,), lambda *_: {}), [part])
    assert (wall.medians["graphflow"], wall.of_limit, wall.best) == (4, 2, "langgraph")
    assert wall.of_peer == pytest.approx(1 / 3)
    assert rate.of_limit == pytest.approx(2), "twice the cost, though the figure is a rate"
    assert (wall.met, rate.met) == (True, True)
    assert Faster(3).met(1, {"agno": 1 / 3}, "agno") and not Faster(4).met(1, {"agno": 1 / 3}, "agno")


def test_a_goal_in_units_is_reached_in_proportion_where_everybody_is_slower() -> None:
    goals = AtMost(40, Beside("agno", 100)), AtLeast(1_000, Beside("agno", 200))
    part = Part(
        "p",
        tuple(Figure(f"{number}", "", "", goal, isinstance(goal, AtLeast)) for number, goal in enumerate(goals)),
        ("agno", "langgraph"),
    )
    assert [str(goal) for goal in goals] == ["≤ 40, or 0.4 of agno", "≥ 1,000, or 0.2 of agno"]

    def verdicts(ours: tuple[float, float], agno: tuple[float, float]) -> list[tuple[bool | None, str | None]]:
        results = Results()
        for subject, values in {"graphflow": ours, "agno": agno, "langgraph": (1.0, 9_000.0)}.items():
            results.cases["c", "p", subject] = [{str(number): value for number, value in enumerate(values)}]
        return [(row.met, row.met_beside) for row in results.rows(Case("X", "c", "", "", (part,), lambda *_: {}), [part])]

    assert verdicts((40, 1_000), (50, 900)) == [(True, None)] * 2, "as they stand, whatever others took"
    assert verdicts((80, 500), (200, 100)) == [(False, "agno")] * 2, "beside who was measured then, not the best of today"
    assert verdicts((80, 500), (199, 101)) == [(False, None)] * 2


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_slope_is_the_exponent(power: float) -> None:
    assert slope({size: 3.0 * size**power for size in (10, 100, 1_000, 10_000)}) == pytest.approx(power)


def test_a_measurement_is_a_process_that_prints_its_figures(tmp_path: Path) -> None:
    request = {"case": "durable", "part": "sqlite-sync-normal", "subject": "graphflow"}
    request |= {"size": "quick", "shared": str(tmp_path), "server": None, "quiet": 1.0}
    command = [sys.executable, "-m", "benchmarks.measure", json.dumps(request)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"wall", "cpu", "bytes"} <= set(json.loads(printed))
    assert list(tmp_path.iterdir()) == []


def test_samples_come_from_quiet_moments_as_far_as_there_are_any() -> None:
    before_and_twice_after = [(1.0, 9.0, 9.0), (9.0, 1.0, 9.0, 2.0), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)]
    moments = chain(*before_and_twice_after, repeat(9.0))  # before the second sample one is waited for
    numbers, gauge = count(), Gauge(quiet=2.0, work=lambda: next(moments))
    assert sorted(gauge.take(lambda: next(numbers), 3)) == [1, 2, 3], "the first one ended in a busy moment"
    assert (gauge.samples, gauge.disturbed, gauge.patience) == (3, 0, PATIENCE - 9.0)
    gauge.patience = 0.0
    assert len(gauge.take(lambda: next(numbers), 2)) == 2 and next(numbers) == 4 + 2 * TRIES
    gauge.wait()
    assert (gauge.samples, gauge.disturbed) == (6, 3)


def test_in_haste_every_moment_is_quiet() -> None:
    gauge, numbers = Gauge.of_machine(quick=True), count()
    gauge.wait()
    assert sorted(gauge.take(lambda: next(numbers), 3)) == [0, 1, 2] and next(numbers) == 3
    assert gauge.disturbed == 0


def test_the_statement_that_is_executed_by_hand_writes_rows_of_steps(tmp_path: Path) -> None:
    taken = step(tmp_path / "s.db", "normal", 20)
    assert taken.wall > 0
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        [(head, rows)] = connection.execute("SELECT max(seq), count(*) FROM gf_checkpoints")
        kinds = connection.execute("SELECT DISTINCT frontier, delta IS NULL FROM gf_checkpoints WHERE seq > ?", (head - 20,))
        assert (rows, kinds.fetchall()) == (head + 1, [('["node"]', 0)])
