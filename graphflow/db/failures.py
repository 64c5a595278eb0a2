"""Failures of a database: which of them pass by themselves, and what to do about those that do not."""

from __future__ import annotations

from typing import Final

PASSING_SQLSTATES: Final = {
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "08000": "connection_exception",
    "08001": "sqlclient_unable_to_establish_sqlconnection",
    "08003": "connection_does_not_exist",
    "08004": "sqlserver_rejected_establishment_of_sqlconnection",
    "08006": "connection_failure",
    "08007": "transaction_resolution_unknown",
    "25P03": "idle_in_transaction_session_timeout",
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "53300": "too_many_connections",
    "55P03": "lock_not_available",
    "57P01": "admin_shutdown",
    "57P02": "crash_shutdown",
    "57P03": "cannot_connect_now",
    "57P05": "idle_session_timeout",
}
"""Errors of PostgreSQL after which the same transaction may well succeed. An error without a SQLSTATE is a lost connection."""

PASSING_REFUSALS: Final = (
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "too many clients already",
    "remaining connection slots are reserved",
    "terminating connection",
)
"""What a PostgreSQL that refuses a connection says when it will take one later: libpq tells no SQLSTATE then. Whatever else it
refuses for (a password, a name) stays as it is.
"""

PASSING_SQLITE_CODES: Final = {
    # https://sqlite.org/rescode.html
    5: "SQLITE_BUSY",
    6: "SQLITE_LOCKED",
    15: "SQLITE_PROTOCOL",
}
"""Primary result codes of SQLite after which the same transaction may well succeed."""

SQLITE_REPAIRS: Final = {
    8: "the file cannot be written; give this process the right to write it and its folder",
    10: "the disk failed, or the file has reached the size this process may write",
    13: "there is no room left on the disk; make some",
    14: "the file cannot be opened; its folder has to exist, and this process has to be allowed to write there",
}
"""What to do about those that stay, by primary result code (SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN)."""
