"""Statements about runs as such: what became of a commit, who asks for one to stop, which run an idempotency key has begun."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, null, select, update

from graphflow.db.statements.compiled import (
    CHECKPOINT,
    EMPTY,
    FREE_FOR,
    HERE,
    ONE,
    RUN,
    RUNNING,
    SESSION,
    ZERO,
    Compiled,
    matches,
)
from graphflow.db.tables import checkpoints, runs, sessions


class RunStatements(Compiled):
    """Looking runs up and asking them to stop."""

    # --- what became of a commit ---------------------------------------------------------------------------------------------

    @cached_property
    def landed_checkpoint(self) -> str:
        """The checksum of a checkpoint."""
        c = CHECKPOINT
        return self.text(
            select(c.sha256)
            .select_from(sessions.join(checkpoints, c.session == SESSION.ordinal))
            .where(HERE, matches(c.ns, "ns"), matches(c.seq, "seq"))
        )

    @cached_property
    def landed_end(self) -> str:
        """How and when a run ended."""
        return self.text(select(RUN.status, RUN.ended_at).where(matches(RUN.run_id, "run_id")))

    @cached_property
    def landed_take(self) -> str:
        """The epoch of a session, and when it was last taken."""
        return self.text(select(SESSION.epoch, SESSION.updated_at).where(HERE))

    # --- stopping ------------------------------------------------------------------------------------------------------------

    @cached_property
    def run_standing(self) -> str:
        """A run, with the holder of its session. One more column says whether the user may know of it."""
        return self.text(
            select(SESSION.session_id, RUN.status, *self.lease, FREE_FOR.label("may"))
            .select_from(sessions.join(runs, RUN.session == SESSION.ordinal))
            .where(matches(RUN.run_id, "run_id"))
        )

    @cached_property
    def request_cancel(self) -> str:
        return self.text(
            update(runs)
            .where(matches(RUN.run_id, "run_id"), RUN.status == RUNNING)
            .values(cancel_requested=bindparam("now"))
            .returning(RUN.ordinal)
        )

    def _to_stop(self) -> Any:
        """Of a session: the run that is asked to stop. Only its newest root run can be running."""
        newest = runs.alias("newest")
        last = (
            select(newest.c.number)
            .where(newest.c.session == SESSION.ordinal, newest.c.ns == EMPTY)
            .order_by(newest.c.number.desc())
            .limit(ONE)
            .offset(ZERO)
            .correlate(sessions)
            .scalar_subquery()
        )
        asked = (RUN.session == SESSION.ordinal, RUN.ns == EMPTY, RUN.number == last, RUN.status == RUNNING)
        return select(RUN.run_id).where(*asked, RUN.cancel_requested.is_not(None)).correlate(sessions).scalar_subquery()

    def _mine(self) -> tuple[Any, Any]:
        """Those of the parameter ``held``, a JSON list of sessions, that the process ``me`` holds."""
        return SESSION.session_id.in_(select(self.texts("held"))), matches(SESSION.lease_owner, "me")

    @cached_property
    def renew_leases(self) -> str:
        """Prolongs leases of a process."""
        until = self.now + bindparam("lease_ttl", type_=BigInteger)
        return self.text(update(sessions).where(*self._mine()).values(lease_until=until))

    @cached_property
    def asked_to_stop(self) -> str:
        """The runs of a process that are asked to stop."""
        return self.text(select(SESSION.session_id, self._to_stop()).where(*self._mine()))

    @cached_property
    def end_all_leases(self) -> str:
        """Gives back the leases of a process that ends."""
        return self.text(update(sessions).where(*self._mine()).values(lease_owner=null(), lease_until=null()))

    # --- idempotency keys --------------------------------------------------------------------------------------------------

    @cached_property
    def run_of_key(self) -> str:
        """The run that a key has begun, as long as its session is there."""
        return self.text(
            select(RUN.run_id, SESSION.session_id, RUN.status, RUN.input, RUN.last_seq, RUN.metrics)
            .select_from(sessions.join(runs, RUN.session == SESSION.ordinal))
            .where(
                func.coalesce(RUN.component_id, EMPTY) == func.coalesce(bindparam("component_id"), EMPTY),
                func.coalesce(RUN.user_id, EMPTY) == func.coalesce(bindparam("user_id"), EMPTY),
                matches(RUN.idempotency_key, "idempotency_key"),
            )
        )
