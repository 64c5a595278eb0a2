"""The PostgreSQL of the suite: the one that is named, or one started on the disk that is measured, as durable as by default."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scratch import IN_MEMORY, filesystem
from tests import postgres

LONGEST_NAME = 60
"""Characters of a folder below which a socket can still have a name."""


_DATABASES = "SELECT datname FROM pg_database WHERE datname ~ '^(bench|fresh)_'"
"""Those that the suite makes."""


@contextmanager
def server(scratch: Path) -> Iterator[str | None]:
    """Its URL, or None when there is none here; the reason is printed. Databases that were made meanwhile are dropped."""
    try:
        started = postgres.start(_folder(scratch))
    except postgres.Unavailable as reason:
        print(f"without PostgreSQL: {reason}", file=sys.stderr)
        yield None
        return
    before = started.ask(_DATABASES)
    try:
        yield started.url
    finally:
        for (made,) in set(started.ask(_DATABASES)) - set(before):
            started.ask(f'DROP DATABASE "{made}" WITH (FORCE)')
        started.close()


def _folder(scratch: Path) -> Path:
    """A folder on a disk, with a short name, that the server's own user may enter."""
    for folder in (scratch, Path(tempfile.gettempdir()), Path("/var/tmp")):
        entered = all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents)) or os.geteuid() != 0
        if filesystem(folder) not in IN_MEMORY and entered and len(str(folder)) < LONGEST_NAME:
            return folder
    raise postgres.Unavailable("no folder on a disk can hold its files; name one with --scratch")
