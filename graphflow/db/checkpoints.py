"""Rows of checkpoints: made ready, inserted where the session stands as it should, and known again afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from graphflow.core.effects import Advance, NewCheckpoint
from graphflow.db.codec import encode_delta, encode_snapshot, exact_channels
from graphflow.db.folding import snapshot_of
from graphflow.db.limits import Limits, check_checkpoint
from graphflow.db.media import store_media
from graphflow.db.rows import checkpoint_checksum, encode_frontier
from graphflow.db.tags import MAX_DEPTH, Media
from graphflow.errors import LeaseLost

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

ROW_WEIGHT: Final = 64
"""What reading one more row costs beside the bytes of its delta."""
LEAST_CHAIN: Final = 512
"""Chains of deltas lighter than this are not worth a snapshot, however small the state is."""
SHORT_SNAPSHOT: Final = 256
"""Shorter snapshots are as good as free: a database may have one written wherever a run is completed."""


class ReadyCheckpoint:
    """A checkpoint encoded: what cannot be stored raises before anything is written."""

    __slots__ = ("added", "base", "light", "new", "text", "values")

    def __init__(
        self,
        new: NewCheckpoint,
        session_id: str,
        ns: str,
        epoch: int,
        now: int,
        limits: Limits,
        media: Media,
        light: bool,
        completes: bool = False,
    ) -> None:
        """Encode it, contents of images and files into ``media``. Raises SerializationError, also for what is larger than
        ``limits`` allow.

        With ``light``, a run that is completed (``completes``) leaves a snapshot, unless the last one was long.
        """
        weight = new.weight
        seq, log_head = new.seq, new.log_head
        delta = encode_delta(new.schema, new.delta, media, new.values) if new.delta else None
        frontier = encode_frontier(new.frontier, seq, new.schema, media)
        self.added = added = ROW_WEIGHT if delta is None else ROW_WEIGHT + len(delta)
        """What the row adds to its chain of deltas."""
        base, snapshot = weight.snapshot_seq, None
        if base < 0:
            base = seq
            if seq > 0:
                snapshot = encode_snapshot(new.schema, new.values, new.ranges, weight.foreign, media)
        elif weight.delta_bytes + added >= max(weight.snapshot_bytes, LEAST_CHAIN):
            base = seq
            snapshot = encode_snapshot(new.schema, new.values, new.ranges, weight.foreign, media)
        elif completes and light and _is_foldable(new):
            # Of what is stored, so that it says no more than the rows did: neither defaults nor what was changed in place.
            base, snapshot = seq, snapshot_of((*weight.texts, delta or "{}"), exact_channels(new.schema))
        check_checkpoint(limits, new, delta, frontier, snapshot)
        self.new = new
        self.light = light
        self.base = base
        self.text = snapshot or delta or "{}"
        sealed = checkpoint_checksum(session_id, ns, seq, base, log_head, epoch, now, frontier, delta, snapshot)
        self.values = base, log_head, epoch, frontier, delta, snapshot, sealed, now
        """Of the row's columns, from ``base`` on."""

    def insert_next(
        self, tx: Transaction, session_id: str, head: int, epoch: int, session: int | None, run: int | None
    ) -> None:
        """Insert it in the outermost graph's run that goes on. Raises LeaseLost when the session does not stand at ``head``
        and ``epoch``; nothing is written then.
        """
        if tx.execute(tx.sql.step, ("", run, *self.values, head, session, epoch)).rowcount != 1:
            raise lost(tx, session_id, head, epoch, session)

    def landed(self, tx: Transaction, session_id: str, ns: str = "") -> bool:
        """Whether the row is there. Its checksum, of session, seq, epoch, time and content, is like no other."""
        row = tx.one(tx.sql.landed_checkpoint, {"session_id": session_id, "ns": ns, "seq": self.new.seq})
        return row is not None and bytes(row[0]) == self.values[-2]

    def settle(self, session: int | None, run: int | None) -> None:
        """Note what holds once it is committed: how heavy the chain of deltas has become, and where its rows are."""
        new, weight, text = self.new, self.new.weight, self.text
        weight.session, weight.run = session, run
        if self.base == new.seq:
            weight.snapshot_seq, weight.snapshot_bytes, weight.delta_bytes = new.seq, len(text), 0
            weight.texts = (text,) if self.light and len(text) < SHORT_SNAPSHOT else ()
        else:
            weight.delta_bytes += self.added
            if weight.texts:
                weight.texts = (*weight.texts, text)


def _is_foldable(new: NewCheckpoint) -> bool:
    """Whether the texts of the chain are known, and each name in them is one channel: the order of writes under two names
    would be lost.
    """
    weight = new.weight
    return len(weight.texts) == new.seq - weight.snapshot_seq and not (weight.foreign or new.schema.aliases)


def lost(tx: Transaction, session_id: str, head: int, epoch: int, session: int | None) -> LeaseLost:
    """The error for a session that does not stand where a commit expects it, with where it stands."""
    found = tx.execute(tx.sql.standing, {"session_id": session_id}).fetchone()
    if found is None:
        return LeaseLost(
            f"session {session_id!r} was deleted while a run of it went on. Nothing of this step was written; new input begins "
            "the session anew"
        )
    expected = "that it did not exist" if epoch == 0 else f"head {head}, epoch {epoch}"
    begun_anew = session not in (None, found[0])
    stands = "it was deleted and begun anew" if begun_anew else f"found head {found[1]}, epoch {found[2]}"
    return LeaseLost(
        f"session {session_id!r} was taken over by another run: expected {expected}, {stands}. "
        "Nothing of this step was written; load the session again"
    )


@final
class ReadyAdvance:
    """An ``Advance`` made ready. ``write`` may be called again when it has to be repeated."""

    def __init__(self, effect: Advance, now: int, limits: Limits, light: bool) -> None:
        """Encode it. Raises SerializationError."""
        self.effect = effect
        self.media = media = Media()
        if limits.depth != MAX_DEPTH:
            media.depth = limits.depth
        new = effect.checkpoint
        self.session, self.run = new.weight.session, new.weight.run
        self.checkpoint = ReadyCheckpoint(new, effect.session_id, "", effect.epoch, now, limits, media, light)
        self.is_statement = not media
        """Whether one statement is all there is to do: it takes no transaction around it."""

    def write(self, tx: Transaction) -> None:
        """Insert it. Raises LeaseLost when the session does not stand where the effect says; nothing is written then."""
        effect = self.effect
        self.checkpoint.insert_next(tx, effect.session_id, effect.checkpoint.seq - 1, effect.epoch, self.session, self.run)
        if self.media:
            store_media(tx, self.media, self.session)

    def landed(self, tx: Transaction) -> bool:
        """Whether it is in the database: asked when it may have been written, and nobody said so."""
        return self.checkpoint.landed(tx, self.effect.session_id)
