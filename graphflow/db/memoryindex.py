"""The index that memories are searched by: which words occur in which of a user's memories.

It is kept in tables of our own, so that both databases find the same, whatever full-text search they have, and so that a search
costs what that one user has, however many others there are. What is found is ranked in ``db.ranking``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from graphflow.db.jsontext import dumps
from graphflow.db.ranking import Candidate, Question, rank
from graphflow.db.wording import asks_for_time, speaker_of, tells_time, terms_of

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

LOOKED_AT: Final = 2_000
"""Places that are looked at in all, for the rarest words first: a word that is everywhere does not choose."""
RANKED: Final = 120
"""Memories that are ranked with all their words, besides those around them."""
AROUND: Final = 2
"""How far around a memory its surroundings reach."""


def owner_of(user_id: str) -> int:
    """The number that stands for a user in the index. What is found is checked against the memory's own user_id."""
    return int.from_bytes(sha256(user_id.encode()).digest()[:8], "big", signed=True)


# --- writing, with the user's memories held (see db.memories.hold) -----------------------------------------------------------


def add(tx: Transaction, user_id: str, memory: int, text: str) -> None:
    """Index a new memory."""
    row = tx.one(tx.sql.last_place, {"owner": owner_of(user_id)})
    _put(tx, owner_of(user_id), 1 if row is None or row[0] is None else row[0] + 1, memory, text)


def change(tx: Transaction, user_id: str, memory: int, text: str) -> None:
    """Index a memory anew; it keeps its place."""
    place = _take_out(tx, owner_of(user_id), memory)
    if place is None:
        add(tx, user_id, memory, text)
    else:
        _put(tx, owner_of(user_id), place, memory, text)


def drop(tx: Transaction, user_id: str, memory: int) -> None:
    """Take a memory out."""
    _take_out(tx, owner_of(user_id), memory)


def clear(tx: Transaction, user_id: str) -> None:
    """Take all memories of a user out."""
    for statement in tx.sql.clear_index:
        tx.execute(statement, {"owner": owner_of(user_id)})


def index_all(tx: Transaction) -> None:
    """Index the memories that are not indexed yet, in the order they came."""
    for memory, user_id, text in tx.all(tx.sql.unindexed_memories, {}):
        add(tx, user_id, memory, text)


def _put(tx: Transaction, owner: int, place: int, memory: int, text: str) -> None:
    terms = terms_of(text)
    row = {"owner": owner, "place": place, "memory": memory, "speaker": speaker_of(text), "timely": int(tells_time(text))}
    tx.execute(tx.sql.insert_index, row | {"terms": " ".join(terms)})
    tx.execute(tx.sql.insert_terms, {"owner": owner, "place": place, "terms": dumps(sorted(set(terms)))})


def _take_out(tx: Transaction, owner: int, memory: int) -> int | None:
    row = tx.one(tx.sql.drop_index, {"memory": memory})
    if row is None:
        return None
    place: int = row[0]
    terms = dumps(sorted(set(row[1].split())))
    tx.execute(tx.sql.drop_terms, {"owner": owner, "place": place, "terms": terms})
    return place


# --- searching -------------------------------------------------------------------------------------------------------------


def search(tx: Transaction, user_id: str, query: str, limit: int, among: list[int] | None = None) -> list[int]:
    """The ordinals of the memories that fit a query, best first; ``among`` are those that may be (None: all)."""
    owner = owner_of(user_id)
    terms = list(dict.fromkeys(terms_of(query)))
    row = tx.one(tx.sql.last_place, {"owner": owner})
    if not terms or row is None or row[0] is None:
        return []
    frequencies = {term: _frequency(tx, owner, term) for term in terms}
    question = Question(terms, frequencies, max(row[0], *frequencies.values()), asks_for_time(query))
    if among is None:
        places = sorted({place + step for place in _hits(tx, owner, question) for step in range(-AROUND, AROUND + 1)})
        rows = tx.all(tx.sql.index_at, {"owner": owner, "places": dumps(places)})
    else:
        rows = tx.all(tx.sql.index_of, {"owner": owner, "memories": dumps(among)})
    ranked = rank(
        question,
        [Candidate(place, memory, speaker, bool(timely), said.split()) for place, memory, speaker, timely, said in rows],
    )
    return [candidate.memory for candidate in ranked[:limit]]


def _frequency(tx: Transaction, owner: int, term: str) -> int:
    row = tx.one(tx.sql.count_places, {"owner": owner, "term": term, "count": LOOKED_AT})
    return 0 if row is None else int(row[0])


def _hits(tx: Transaction, owner: int, question: Question) -> list[int]:
    """The places that share most with a question: those of its rarest words, of a common one the newest."""
    scores: dict[int, float] = {}
    left = LOOKED_AT
    for term in sorted(question.terms, key=lambda term: question.frequencies[term]):
        if left <= 0 or not question.frequencies[term]:
            continue
        weight = question.weight(term)
        found = tx.all(tx.sql.places_of, {"owner": owner, "term": term, "count": left})
        for (place,) in found:
            scores[place] = scores.get(place, 0.0) + weight
        left -= len(found)
    return sorted(scores, key=lambda place: (scores[place], place), reverse=True)[:RANKED]
