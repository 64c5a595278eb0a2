"""Results: everything that was measured, round by round, and the rows of the table made from it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.curves import Curve, slope
from benchmarks.figure import GRAPHFLOW, LIMIT, Case, Figure, Measured, Part, Ratios, in_proportion
from benchmarks.peers import NOT_ALIKE

Picked = Sequence[tuple[Case, Sequence[Part]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: medians over the rounds. A ratio is the median of the rounds' ratios; below 1, graphflow is the better."""

    part: str
    figure: Figure
    medians: Mapping[str, float]
    """By subject."""
    best: str | None
    """The best peer."""
    ratios: Ratios

    @property
    def of_limit(self) -> float | None:
        """The ratio graphflow : limit."""
        return self.ratios.get(LIMIT)

    @property
    def of_peer(self) -> float | None:
        """The ratio graphflow : best peer."""
        return None if self.best is None else self.ratios.get(self.best)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached as it stands; None when there is none, or nothing to tell by."""
        ours = self.medians.get(GRAPHFLOW)
        if self.figure.goal is None or ours is None:
            return None
        return self.figure.goal.met(ours, self.ratios, self.best)

    @property
    def met_beside(self) -> str | None:
        """Beside whom a goal is reached that is not as it stands."""
        goal = self.figure.goal
        if goal is None or goal.beside is None or self.met is not False or not in_proportion(goal, self.ratios):
            return None
        return goal.beside.subject


@dataclass
class Results:
    """By case, part and subject, a measurement per round; by curve and size, the costs."""

    cases: dict[tuple[str, str, str], list[Measured | None]] = field(default_factory=lambda: defaultdict(list))
    """None where one failed, so that the rounds stay side by side."""
    curves: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, case: Case, parts: Iterable[Part]) -> Iterator[Row]:
        """The rows of a case's parts: those of which anything was measured."""
        for part in parts:
            for figure in part.figures:
                row = self._row(case, part, figure)
                if row.medians:
                    yield row

    def _row(self, case: Case, part: Part, figure: Figure) -> Row:
        series = {subject: self._series(case, part, subject, figure) for subject in part.subjects}
        medians = {subject: statistics.median(there) for subject, own in series.items() if (there := _there(own))}
        peers = [peer for peer in part.peers if peer in medians and peer not in NOT_ALIKE]
        best = (max if figure.more_is_better else min)(peers, key=lambda peer: medians[peer], default=None)
        ours = series[GRAPHFLOW]
        ratios = {subject: _ratio(ours, own, figure.more_is_better) for subject, own in series.items() if subject != GRAPHFLOW}
        known = {subject: ratio for subject, ratio in ratios.items() if ratio is not None}
        return Row(part.name, figure, medians, best, known)

    def _series(self, case: Case, part: Part, subject: str, figure: Figure) -> list[float | None]:
        rounds = self.cases.get((case.name, part.name, subject), [])
        return [None if measured is None else measured.get(figure.name) for measured in rounds]

    def disturbed(self) -> float:
        """The share of samples that were taken in moments that were not quiet."""
        all_measured = [measured for rounds in self.cases.values() for measured in rounds if measured is not None]
        samples = sum(measured.get("samples", 0) for measured in all_measured)
        return sum(measured.get("disturbed", 0) for measured in all_measured) / samples if samples else 0.0

    def points(self, curve: Curve) -> dict[int, float]:
        """The medians of a curve, by size."""
        costs = {size: self.curves[curve.name, size] for size in curve.sizes if (curve.name, size) in self.curves}
        return {size: statistics.median(own) for size, own in costs.items() if own}

    def slope(self, curve: Curve) -> float | None:
        """How steep a curve is."""
        return slope(self.points(curve))


def _there(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _ratio(ours: Sequence[float | None], theirs: Sequence[float | None], more_is_better: bool) -> float | None:
    rounds = [(own, other) for own, other in zip(ours, theirs, strict=False) if own and other]
    return statistics.median(other / own if more_is_better else own / other for own, other in rounds) if rounds else None
