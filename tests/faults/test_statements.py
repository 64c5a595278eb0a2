"""A failure before each statement of each transaction, without killing anything: what is stored is whole, and goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults import workers
from tests.faults.killing import Programs
from tests.faults.scale import rounds


class Cut(Exception):
    """What fails."""


def breaking(place: str, point: str, number: int) -> Any:
    """A database whose transactions fail at a point, once."""
    kind: type[Any] = workers.KillingPostgresDb if place.startswith("postgres") else workers.KillingSqliteDb

    class Breaking(kind):  # type: ignore[misc]
        passed = 0
        broken = False

        def reach(self, reached: str) -> None:
            with self.counting:
                self.passed += reached == point
                due = reached == point and self.passed == number
                self.broken = self.broken or due
            if due:
                raise Cut(f"{point} {number}")

    return Breaking(place)


def quiet(*words: Any) -> None:
    """A journal that nobody reads."""


def run(db: Any) -> Any:
    """Run the graph, or go on with it."""
    graph = workers.chain_graph(db, quiet)  # type: ignore[arg-type]
    if db.get_session(workers.SESSION) is not None:
        return graph.resume(workers.SESSION)
    return graph.invoke({"total": 1, "messages": [("user", "go")]}, session_id=workers.SESSION)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", ["statement", "COMMIT"])
def test_a_transaction_that_fails_anywhere_leaves_nothing_of_itself(programs: Programs, point: str) -> None:
    number = failed = beyond = 0
    while beyond < 3:  # as many commits as tasks meet: one run has a few statements more than another
        number += 1 if number < rounds(12, 1000) else rounds(5, 1)
        place = programs.make("chain").database
        db = breaking(place, point, number)
        try:
            run(db)
        except Cut:
            failed += 1
        beyond = 0 if db.broken else beyond + 1
        report = db.check()
        assert report.ok, (number, report.problems)
        result = run(db)
        assert (result.status, result["path"], result["total"]) == ("completed", workers.EXPECTED_PATH, 1), number
        texts = [message.text for message in db.get_messages(workers.SESSION)]
        assert texts == ["go", *(f"step{n}" for n in range(10)), "end"] and db.check().ok, number
        db.close()
    print(f"{failed} runs failed, before {point} 1 to {number}")
    least = 3 if programs.at_once else 5  # the begin of the run, what ended beside its siblings, the step that joins them
    assert failed >= least
