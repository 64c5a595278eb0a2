"""Statements behind what users ask about sessions and runs."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, delete, func, select, update

from graphflow.db.statements.compiled import (
    CHECKPOINT,
    EMPTY,
    FREE_FOR,
    HERE,
    MINE,
    ONE,
    RUN,
    SESSION,
    USED,
    ZERO,
    Compiled,
    matches,
)
from graphflow.db.tables import checkpoints, media, media_uses, messages, pruned, runs, sessions, summaries, tasks


class UserStatements(Compiled):
    """Looking up, listing, renaming, deleting."""

    # --- sessions for users --------------------------------------------------------------------------------------------

    @cache  # noqa: B019 - there is one object per dialect, and it lives as long as the process
    def select_sessions(self, filters: tuple[str, ...], sort_by: str, descending: bool) -> str:
        """Sessions whose columns ``filters`` equal the parameters of the same names; from ``skip`` on, at most ``count``."""
        s = SESSION
        order = func.coalesce(s.name, EMPTY) if sort_by == "name" else s[sort_by]
        newest_first = descending or sort_by == "name"
        columns = (
            s.session_id,
            s.session_type,
            s.user_id,
            s.component_id,
            s.name,
            s.metadata,
            s.status,
            s.created_at,
            s.updated_at,
            s.seal,
            s.time_seal,
            *self.lease,
        )
        return self.text(
            select(*columns)
            .where(*(matches(s[name], name) for name in filters))
            .order_by(order.desc() if descending else order.asc(), s.ordinal.desc() if newest_first else s.ordinal.asc())
            .limit(bindparam("count", type_=BigInteger))
            .offset(bindparam("skip", type_=BigInteger))
        )

    @cache  # noqa: B019
    def count_sessions(self, filters: tuple[str, ...]) -> str:
        return self.text(select(func.count()).select_from(sessions).where(*(matches(SESSION[name], name) for name in filters)))

    @cached_property
    def rename(self) -> str:
        return self.text(
            update(sessions)
            .where(matches(SESSION.ordinal, "of"))
            .values(name=bindparam("new_name"), seal=bindparam("new_seal"), **USED)
        )

    @cached_property
    def ordinals_of_user(self) -> str:
        """Nobody else writes these sessions until the transaction ends."""
        found = select(SESSION.ordinal).where(matches(SESSION.user_id, "user_id")).order_by(SESSION.ordinal)
        return self.text(found.with_for_update())

    @cached_property
    def delete_session(self) -> list[str]:
        """What deletes a session by its ordinal, with the contents that no other session holds.

        The contents are locked before it is seen who holds them: a session that is just being given them is seen, too.
        """
        other = media_uses.alias("other")
        ours = select(media_uses.c.sha256).where(matches(media_uses.c.session, "session"))
        used = select(other.c.sha256).where(other.c.sha256 == media.c.sha256, other.c.session != bindparam("session"))
        unused = delete(media).where(media.c.sha256.in_(ours), ~used.correlate(media).exists())
        locked = select(media.c.sha256).where(media.c.sha256.in_(ours)).order_by(media.c.sha256).with_for_update()
        tables = (media_uses, tasks, checkpoints, pruned, messages, summaries, runs)
        statements = [locked, unused, *(delete(table).where(matches(table.c.session, "session")) for table in tables)]
        return [
            self.text(statement) for statement in (*statements, delete(sessions).where(matches(SESSION.ordinal, "session")))
        ]

    @cached_property
    def load_head_as_admin(self) -> str:
        at = and_(CHECKPOINT.session == SESSION.ordinal, matches(CHECKPOINT.ns, "ns"), CHECKPOINT.seq == self.head)
        return self.text(
            select(SESSION.ordinal, CHECKPOINT.seq, CHECKPOINT.base)
            .select_from(sessions.outerjoin(checkpoints, at))
            .where(HERE, MINE)
        )

    @cached_property
    def standing_of_user(self) -> str:
        """As ``standing``, of a session that a user's runs may use."""
        return self.text(select(SESSION.ordinal, self.head).where(HERE, FREE_FOR))

    @cached_property
    def hold_of_user(self) -> str:
        """The same; nobody else writes the session until the transaction ends."""
        return self.text(select(SESSION.ordinal, self.head).where(HERE, FREE_FOR).with_for_update())

    @cached_property
    def latest_summary(self) -> str:
        c = summaries.c
        return self.text(
            select(c.upto_seq, c.body, c.sha256)
            .select_from(sessions.join(summaries, c.session == SESSION.ordinal))
            .where(HERE, MINE, matches(c.ns, "ns"))
            .order_by(c.upto_seq.desc())
            .limit(ONE)
            .offset(ZERO)
        )

    # --- runs for users --------------------------------------------------------------------------------------------------

    def _runs(self) -> Any:
        r = RUN
        ended = (r.last_message, r.last_seq, r.error, r.metrics, r.sha256, r.created_at, r.ended_at)
        began = (r.first_message, r.first_seq, r.fingerprint, r.idempotency_key, r.seal, *self.lease)
        return select(
            r.run_id, SESSION.session_id, r.ns, r.number, r.status, r.parent_run_id, r.user_id, r.component_id, *ended, *began
        ).select_from(sessions.join(runs, r.session == SESSION.ordinal))

    @cached_property
    def root_runs(self) -> str:
        newest = self._runs().where(HERE, MINE, RUN.ns == EMPTY, RUN.parent_run_id.is_(None)).order_by(RUN.number.desc())
        return self.text(newest.limit(bindparam("count", type_=BigInteger)).offset(ZERO))

    @cached_property
    def runs_with_members(self) -> str:
        newest = self._runs().where(HERE, MINE).order_by(RUN.created_at.desc(), RUN.ordinal.desc())
        return self.text(newest.limit(bindparam("count", type_=BigInteger)).offset(ZERO))

    @cached_property
    def run_by_id(self) -> str:
        return self.text(self._runs().where(matches(RUN.run_id, "run_id"), MINE))

    @cached_property
    def run_range(self) -> str:
        return self.text(
            select(SESSION.session_id, SESSION.ordinal, RUN.ns, RUN.first_message, RUN.last_message, RUN.ordinal)
            .select_from(sessions.join(runs, RUN.session == SESSION.ordinal))
            .where(matches(RUN.run_id, "run_id"), MINE)
        )

    @cached_property
    def run_times(self) -> str:
        """When each run of a session began."""
        return self.text(select(RUN.ordinal, RUN.created_at).where(matches(RUN.session, "session")))

    @cached_property
    def log_times(self) -> str:
        """What each checkpoint of a session tells of its message log: the last row then, when that was, in whose run."""
        c = CHECKPOINT
        ours = (matches(c.session, "session"), c.ns == EMPTY)
        return self.text(select(c.seq, func.coalesce(c.log_head, ZERO), c.created_at, c.run).where(*ours).order_by(c.seq))
