"""The tables, for every dialect alike: TEXT for JSON, integers of microseconds since 1970 for times, BLOBs for checksums.

Rows of a session refer to it, and to their run, by the integer ``ordinal``: ids that users choose are long, and every row has
them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    literal_column,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData()

# On SQLite only a column declared INTEGER is the rowid itself.
_Ordinal = BigInteger().with_variant(Integer(), "sqlite")
# Compared byte by byte, as SQLite does; and an index does not depend on which version of a locale the server has.
_Text = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _text(name: str, *, required: bool = False) -> Column[str]:
    return Column(name, _Text, nullable=not required)


def _integer(name: str, *, required: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=not required)


def _sha256(*, required: bool = True) -> Column[bytes]:
    """The begin of a sha256 of the row; in rows of the first schemas all of it."""
    return Column("sha256", LargeBinary(32), nullable=not required)


schema_versions = Table(
    "gf_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    _integer("applied_at", required=True),
)

sessions = Table(
    "gf_sessions",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("session_id", _Text, nullable=False, unique=True),
    _text("session_type", required=True),
    _text("user_id"),
    _text("component_id"),
    _text("name"),
    _text("metadata"),
    _text("status", required=True),
    # Where it stands; on SQLite, where it was taken, or given back, last (see ``Compiled.head``).
    _integer("head", required=True),
    _integer("epoch", required=True),
    _text("lease_owner"),
    _integer("lease_until"),
    _integer("created_at", required=True),
    _integer("updated_at", required=True),
    # The sha256 of what says whose and what session this is; none in rows of the first schema.
    Column("seal", LargeBinary(32)),
    # The begin of the sha256 of session_id and updated_at; none in rows of the first schemas.
    Column("time_seal", LargeBinary(8)),
    # Ordinals are never given twice, so that nobody who remembers one reads another session's rows.
    sqlite_autoincrement=True,
)
Index("gf_sessions_created", sessions.c.created_at)
Index("gf_sessions_updated", sessions.c.updated_at)
Index("gf_sessions_user", sessions.c.user_id, sessions.c.created_at)

runs = Table(
    "gf_runs",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("run_id", _Text, nullable=False, unique=True),
    _integer("session", required=True),
    _text("ns", required=True),
    _integer("number", required=True),
    _text("status", required=True),
    _text("parent_run_id"),
    _text("component_id"),
    _text("user_id"),
    _text("input"),
    _text("output"),
    _integer("first_message", required=True),
    _integer("last_message"),
    _integer("first_seq"),
    _integer("last_seq"),
    _text("fingerprint"),
    _text("idempotency_key"),
    _integer("cancel_requested"),
    _text("error"),
    _text("metrics"),
    _sha256(required=False),
    _integer("created_at", required=True),
    _integer("ended_at"),
    # The begin of the sha256 of what the run began with (there are many runs), as `sha256` is of what it ended with.
    Column("seal", LargeBinary(8)),
    UniqueConstraint("session", "ns", "number", name="gf_runs_number"),
)
Index(
    "gf_runs_idempotency",
    func.coalesce(runs.c.component_id, literal_column("''")),
    func.coalesce(runs.c.user_id, literal_column("''")),
    runs.c.idempotency_key,
    unique=True,
    sqlite_where=runs.c.idempotency_key.is_not(None),
    postgresql_where=runs.c.idempotency_key.is_not(None),
)

checkpoints = Table(
    "gf_checkpoints",
    metadata,
    _integer("session", required=True),
    _text("ns", required=True),
    _integer("seq", required=True),
    _integer("run"),
    # The seq of the snapshot this row's chain of deltas starts at, so that one range query loads a state.
    _integer("base", required=True),
    _integer("log_head", required=True),
    _integer("epoch", required=True),
    _text("frontier"),
    _text("delta"),
    _text("snapshot"),
    _sha256(),
    _integer("created_at", required=True),
    PrimaryKeyConstraint("session", "ns", "seq"),
    # Most rows are small: kept in the key's own tree, a step touches one page less.
    sqlite_with_rowid=False,
)

tasks = Table(
    "gf_tasks",
    metadata,
    _integer("session", required=True),
    _text("ns", required=True),
    _text("task_id", required=True),
    _text("kind", required=True),
    _text("name", required=True),
    _integer("nth", required=True),
    _integer("origin", required=True),
    _text("node", required=True),
    _text("value", required=True),
    _sha256(),
    PrimaryKeyConstraint("session", "ns", "task_id", "kind", "name", "nth"),
    sqlite_with_rowid=False,
)

messages = Table(
    "gf_messages",
    metadata,
    _integer("session", required=True),
    _text("ns", required=True),
    _integer("seq", required=True),
    _integer("run"),
    _text("role", required=True),
    _text("body", required=True),
    _sha256(),
    PrimaryKeyConstraint("session", "ns", "seq"),
)

media = Table(
    "gf_media",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    _text("media_type", required=True),
    Column("data", LargeBinary, nullable=False),
)

# Where the checkpoints of a namespace begin when earlier ones were pruned: what is missing without a row here was lost.
pruned = Table(
    "gf_pruned",
    metadata,
    _integer("session", required=True),
    _text("ns", required=True),
    _integer("first", required=True),
    PrimaryKeyConstraint("session", "ns"),
    sqlite_with_rowid=False,
)

# What graphs looked like, by fingerprint, so that a run stored under another one can be told what has changed.
graphs = Table(
    "gf_graphs",
    metadata,
    Column("fingerprint", _Text, primary_key=True),
    _text("outline", required=True),
    _integer("created_at", required=True),
    sqlite_with_rowid=False,
)

# Which sessions hold which contents, so that deleting the last of them deletes the contents.
media_uses = Table(
    "gf_media_uses",
    metadata,
    Column("sha256", LargeBinary(32), nullable=False),
    _integer("session", required=True),
    PrimaryKeyConstraint("sha256", "session"),
    sqlite_with_rowid=False,
)
Index("gf_media_uses_session", media_uses.c.session)

summaries = Table(
    "gf_summaries",
    metadata,
    _integer("session", required=True),
    _text("ns", required=True),
    _integer("upto_seq", required=True),
    _integer("run"),
    _text("body", required=True),
    _sha256(),
    _integer("created_at", required=True),
    PrimaryKeyConstraint("session", "ns", "upto_seq"),
)

memories = Table(
    "gf_memories",
    metadata,
    Column("ordinal", _Ordinal, primary_key=True, autoincrement=True),
    Column("memory_id", _Text, nullable=False, unique=True),
    _text("user_id", required=True),
    _text("memory", required=True),
    _text("topics"),
    _integer("version", required=True),
    # The sha256 of user and text: one fact is stored once, however many sessions say it at the same time.
    Column("fact", LargeBinary(32), nullable=False, unique=True),
    _text("run_id"),
    _text("message_id"),
    _integer("created_at", required=True),
    _integer("updated_at", required=True),
    # The sha256 of what the columns say; none in rows of the first schemas.
    Column("seal", LargeBinary(32)),
    sqlite_autoincrement=True,
)
Index("gf_memories_user", memories.c.user_id, memories.c.updated_at)

# What memories are searched by, one row for each; ``owner`` is a hash of the user's id, ``place`` numbers a user's memories in
# the order they came, ``terms`` are the stems of the words in order, separated by spaces.
memory_index = Table(
    "gf_memory_index",
    metadata,
    _integer("owner", required=True),
    _integer("place", required=True),
    Column("memory", BigInteger, nullable=False, unique=True),
    _text("speaker"),
    _integer("timely", required=True),
    _text("terms", required=True),
    PrimaryKeyConstraint("owner", "place"),
)

# In which of a user's memories a term occurs.
memory_terms = Table(
    "gf_memory_terms",
    metadata,
    _integer("owner", required=True),
    _text("term", required=True),
    _integer("place", required=True),
    PrimaryKeyConstraint("owner", "term", "place"),
    sqlite_with_rowid=False,
)
