"""Contents of images and files: stored once by their sha256, looked up when a message that holds them is read."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from graphflow.db.rows import plain_text
from graphflow.db.tags import Fetch, Media
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def store_media(tx: Transaction, media: Media, session: int | None) -> None:
    """Insert contents that are not there yet, and that a session uses them."""
    for digest, (media_type, data) in sorted(media.items()):
        tx.execute(tx.sql.insert_media, {"sha256": digest, "media_type": plain_text(media_type), "data": data})
        tx.execute(tx.sql.insert_media_use, {"sha256": digest, "session": session})


def media_of(tx: Transaction) -> Fetch:
    """Looks up contents of images and files, each once, and verifies them."""
    known: dict[bytes, bytes] = {}

    def fetch(checksum: bytes) -> bytes:
        if checksum not in known:
            row = tx.one(tx.sql.get_media, {"sha256": checksum})
            if row is None:
                raise CorruptCheckpoint(f"the contents with sha256 {checksum.hex()} are missing")
            known[checksum] = verified_media(checksum, row[0])
        return known[checksum]

    return fetch


def verified_media(checksum: bytes, data: Any) -> bytes:
    """The contents of an image or a file. Raises CorruptCheckpoint when they are not what was stored."""
    if data is None:
        raise CorruptCheckpoint(f"the contents with sha256 {checksum.hex()} are missing")
    from_row = bytes(data)
    if sha256(from_row).digest() != checksum:
        raise CorruptCheckpoint(f"the contents with sha256 {checksum.hex()} do not match it")
    return from_row
