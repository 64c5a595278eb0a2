"""Scratch folders: where database files are written, on a disk that has to do what fsync asks for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, where .venv is."""
IN_MEMORY = {"tmpfs", "ramfs"}


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """A new folder in ``parent`` (None: beside .venv), deleted with all that is in it. Exits when that is no real disk."""
    parent = (parent or ROOT).resolve()
    parent.mkdir(parents=True, exist_ok=True)
    if filesystem(parent) in IN_MEMORY:
        raise SystemExit(f"{parent} is in memory, where commits cost nothing; name a folder on a disk with --scratch")
    with tempfile.TemporaryDirectory(prefix=".benchmarks-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def filesystem(folder: Path) -> str | None:
    """The kind of file system a folder is on, where the system tells (Linux)."""
    table = Path("/proc/self/mounts")
    if not table.exists():
        return None
    mounts = [line.split()[1:3] for line in table.read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if folder.is_relative_to(point.replace("\\040", " "))]
    # Of those at one point the last one mounted is seen.
    return max(enumerate(holding), key=lambda mount: (len(mount[1][0]), mount[0]))[1][1] if holding else None
