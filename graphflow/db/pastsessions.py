"""Searching what was said in earlier sessions of a user."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Final

from graphflow.db import conversations
from graphflow.db.ranking import Candidate, Question, rank
from graphflow.db.times import as_time
from graphflow.db.wording import terms_of
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

SESSIONS: Final = 20
"""How many sessions are looked through, the last that were used."""
MESSAGES: Final = 100
"""How many messages of each, the last."""

Said = tuple[str, datetime, Message]


def search(tx: Transaction, user_id: str, query: str, limit: int, without: str | None) -> list[Said]:
    """Session, the time it began, and message, best first."""
    filters = {"user_id": user_id}
    statement = tx.sql.select_sessions(tuple(filters), "updated_at", True)
    said: list[Said] = []
    for row in tx.all(statement, {**filters, "count": SESSIONS, "skip": 0}):
        if row[0] != without:
            messages = conversations.messages(tx, row[0], limit=MESSAGES)
            said += [(row[0], as_time(row[7]), each) for each in messages if each.role in ("user", "assistant")]
    candidates = [
        Candidate(place, place, None, False, terms_of(each.text)) for place, (_, _, each) in enumerate(reversed(said))
    ]
    frequencies = Counter(term for each in candidates for term in set(each.terms))
    terms = list(dict.fromkeys(terms_of(query)))
    ranked = rank(Question(terms, frequencies, len(candidates)), candidates)
    return [said[len(said) - 1 - candidate.memory] for candidate in ranked[:limit]]
