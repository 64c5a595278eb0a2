"""A PostgreSQL of its own for tests that make it crash: stopped without a checkpoint, and started again on the same port."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import postgres


class CrashingServer:
    """A server that can be stopped as ``pg_ctl stop -m immediate`` does: no checkpoint, connections dropped, then recovery."""

    def __init__(self, binaries: Path, home: Path, owner: dict[str, Any]) -> None:
        self._binaries, self._home, self._owner = binaries, home, owner
        self.port = postgres._free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self._home}&port={self.port}"

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self._home}
        command = [str(self._binaries / "postgres"), "-D", str(self._home / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self._home / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._home, **self._owner
            )
        deadline = time.monotonic() + postgres.STARTING_MAY_TAKE
        while not postgres._is_ready(self._home / "data"):
            assert self._process.poll() is None and time.monotonic() < deadline, (self._home / "log").read_text()
            time.sleep(0.01)

    def crash(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)
        (self._home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            postgres._stop(self._process)


@contextmanager
def crashing_server() -> Iterator[CrashingServer]:
    """Raises postgres.Unavailable where there is no PostgreSQL."""
    for folder in postgres.folders():
        home = Path(tempfile.mkdtemp(prefix="graphflow-pg-", dir=postgres._common_folder()))
        try:
            owner = postgres._owner()
            if owner:
                shutil.chown(home, owner["user"], owner["group"])
                folder = postgres._within_reach(folder, home, owner)
            postgres._initialise(folder, home, owner)
            server = CrashingServer(folder, home, owner)
            try:
                yield server
            finally:
                server.stop()
            return
        finally:
            shutil.rmtree(home, ignore_errors=True)
    raise postgres.Unavailable("no initdb was found")
