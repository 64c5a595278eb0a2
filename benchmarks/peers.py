"""Peers: other libraries that do the same work, with the versions that are measured.

``python -m benchmarks.peers [PEER …]`` installs them into the environment it runs in and prints, as JSON, which are there.
A peer that cannot be installed is left out, with a line that says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

PEERS: dict[str, tuple[str, ...]] = {
    "langgraph": (
        "langgraph==1.2.22",
        "langgraph-checkpoint-sqlite==3.1.2",
        "langgraph-checkpoint-postgres==3.2.0",
        "psycopg[binary,pool]",
        "aiosqlite",
    ),
    "agno": ("agno==3.1.10", "sqlalchemy[asyncio]", "psycopg[binary]", "aiosqlite"),
    "openai-agents": ("openai-agents==0.24.0",),
    "burr": ("burr==0.42.0",),
    "dbos": ("dbos==3.4.0",),
    "pydantic-graph": ("pydantic-graph==2.68.0",),
}
"""What each is installed from; the first is the peer itself."""

SUBJECTS: dict[str, tuple[str, dict[str, str]]] = {
    **{peer: (peer, {}) for peer in PEERS},
    "langgraph exit": ("langgraph", {"durability": "exit"}),
    "langgraph delta": ("langgraph", {"channel": "delta"}),
}
"""Who is measured: a peer, as its documentation sets it up, or with options of its own that make it faster."""

NOT_ALIKE = frozenset({"langgraph exit"})
"""Shown, but never called the best: it stores nothing before a run is over."""


def peer_of(subject: str) -> str:
    """The library behind a subject."""
    return SUBJECTS[subject][0]


def installed(peers: Iterable[str] = PEERS) -> dict[str, str]:
    """The peers of this environment that have the versions above, and those versions."""
    return {peer: version(peer) for peer in peers if _has(PEERS[peer])}


def install(peers: Iterable[str]) -> dict[str, str]:
    """Install what is missing, one peer after the other; what is there then."""
    for peer in peers:
        if not _has(PEERS[peer]):
            print(f"installing {peer} ...", file=sys.stderr)
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[peer]]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
                print(f"without {peer}: {reason}", file=sys.stderr)
    return installed(peers)


def _has(requirements: Iterable[str]) -> bool:
    try:
        return all(version(name) == pinned for name, _, pinned in (text.partition("==") for text in requirements) if pinned)
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    print(json.dumps(install(sys.argv[1:] or PEERS)))
