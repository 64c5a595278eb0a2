"""Ids: how new ones are made, and which of the users' are taken."""

from __future__ import annotations

import os
from binascii import b2a_base64
from typing import Final, TypeVar, cast

from graphflow.core.excerpts import excerpt
from graphflow.errors import InvalidId

T = TypeVar("T")

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def new_id() -> str:
    """A new id of 16 letters, digits, ``-`` and ``_`` (96 random bits): short, because it is in every row."""
    return b2a_base64(os.urandom(12), newline=False).translate(_URL_SAFE).decode()


def digest(text: str, size: int) -> str:
    """A hash of a text, as ``2 * size`` hex digits; the same everywhere and always (BLAKE2b)."""
    from hashlib import blake2b  # noqa: PLC0415  # brings OpenSSL along, which most runs without a database never need

    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def exact(text: T) -> T:
    """A text as it is stored: of a member of an Enum of texts, what it is, and not what it is shown as. All else as it is."""
    return text if type(text) is str or not isinstance(text, str) else cast(T, str.__str__(text))


def check_user(user_id: str | None) -> str | None:
    """The user of a call, if it names one. Raises InvalidId."""
    return None if user_id is None else check_id(user_id, "user_id")


def check_resumed(value: object) -> None:
    """Raise InvalidId for an answer that was given in the place of the session's id. None is no answer there."""
    if value is not None and not isinstance(value, str):
        raise InvalidId(
            f"resume({excerpt(value, 60)}): the session's id comes first, and this is no id; give an answer after it, "
            f"resume(session_id, {excerpt(value, 60)}), or as answer="
        )


def check_id(value: object, what: str) -> str:
    """The id itself, as it is stored. Raises InvalidId when it is not 1-255 printable characters."""
    if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable():
        return exact(value)
    raise InvalidId(f"{what} {excerpt(value, 60)} cannot be used: give 1-255 printable characters")
