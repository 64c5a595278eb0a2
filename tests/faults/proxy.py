"""A proxy in front of PostgreSQL that cuts a connection at the most awkward moment: while a transaction is committed."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from typing import Any

BEFORE, DURING, AFTER = "before", "during", "after"
"""The COMMIT never reaches the server; it does, and nobody waits for the answer; it is done, and its answer is lost."""


class Proxy:
    """Listens on a port of its own and passes everything on, until it is told to cut.

    A commit is a statement COMMIT, or the single statement that a plain step consists of. Both are known by the text they were
    parsed from (https://www.postgresql.org/docs/current/protocol-message-formats.html).
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.cuts: list[str] = []
        """The cuts that were made."""
        self.chance = 0.0
        """How likely a commit is cut."""
        self._random = random.Random(1)
        self._links: list[_Link] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                link = _Link(self, client, socket.create_connection(self.server))
                self._links.append(link)
                link.start()

    def choose(self) -> str | None:
        """Whether the commit that comes now is cut, and how."""
        if self._random.random() >= self.chance:
            return None
        how = self._random.choice([BEFORE, DURING, AFTER])
        self.cuts.append(how)
        return how

    def close(self) -> None:
        self.listener.close()
        for link in self._links:
            link.cut()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.committing: set[bytes] = set()
        """Prepared statements that commit, by name."""
        self.lose_answer = False

    def start(self) -> None:
        for work in (self._upwards, self._downwards):
            threading.Thread(target=work, daemon=True).start()

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _upwards(self) -> None:
        """From the client to the server, message by message."""
        buffer = b""
        started = False
        with suppress(OSError):
            while data := self.client.recv(65536):
                buffer += data
                if not started:
                    # The first messages have a length but no type; an encrypted connection is refused by the server.
                    length = int.from_bytes(buffer[:4], "big")
                    self.server.sendall(buffer[:length])
                    started = buffer[4:8] == b"\x00\x03\x00\x00"
                    buffer = buffer[length:]
                whole = b""
                how = None
                while started and len(buffer) >= 5 and len(buffer) > int.from_bytes(buffer[1:5], "big"):
                    size = 1 + int.from_bytes(buffer[1:5], "big")
                    message, buffer = buffer[:size], buffer[size:]
                    whole += message
                    if self._commits(message):
                        how = self.proxy.choose()
                if how == BEFORE:
                    break
                self.lose_answer = how == AFTER
                self.server.sendall(whole)
                if how == DURING:
                    break
        self.cut()

    def _commits(self, message: bytes) -> bool:
        kind, body = message[:1], message[5:]
        if kind == b"Q":
            return body.startswith(b"COMMIT")
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self.committing.discard(name)
            if rest.startswith((b"COMMIT", b"WITH moved AS")):
                self.committing.add(name)
        return kind == b"B" and body.partition(b"\0")[2].partition(b"\0")[0] in self.committing

    def _downwards(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self.lose_answer:
                    break
                self.client.sendall(data)
        self.cut()


def between(url: Any, proxy: Proxy) -> str:
    """The URL of the same database, through the proxy."""
    text: str = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    return text
