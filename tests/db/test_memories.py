"""Memories: facts about a user, stored once, searched by their words, gone when they are deleted."""

from __future__ import annotations

import threading
from datetime import UTC
from typing import Any

import pytest

from graphflow.core.memories import ReadMemories
from graphflow.core.stored import MemoryWrite
from graphflow.db import SqliteDb, memories
from graphflow.db.ranking import Candidate, Question, rank
from graphflow.db.wording import speaker_of, terms_of
from graphflow.errors import CorruptCheckpoint, InvalidId


def texts(memories: list[Any]) -> list[str]:
    return [memory.memory for memory in memories]


def rows_left(db: Any) -> list[int]:
    """How many rows the tables about memories have."""
    tables = ("gf_memories", "gf_memory_index", "gf_memory_terms")
    return [db._read(lambda tx, table=table: tx.one(f"SELECT COUNT(*) FROM {table}", {})[0]) for table in tables]


def test_a_memory_is_what_was_noted(db):
    id = db.add_user_memory("ann", "I love pizza", ["food"])
    (memory,) = db.get_user_memories("ann")
    assert (memory.memory_id, memory.memory, memory.topics, memory.user_id) == (id, "I love pizza", ("food",), "ann")
    assert memory.run_id is None
    assert memory.created_at.tzinfo is UTC
    assert memory.created_at == memory.updated_at
    assert db.get_user_memories("bob") == []


def test_the_same_text_of_the_same_user_is_stored_once(db):
    ids = {db.add_user_memory("ann", text) for text in ("I love pizza", " I love pizza\n", "I love pizza")}
    assert len(ids) == 1
    assert db.add_user_memory("bob", "I love pizza") not in ids
    assert len(db.get_user_memories("ann")) == 1


def test_the_same_text_said_by_many_at_once_is_stored_once(db):
    failures: list[Exception] = []

    def add() -> None:
        try:
            for n in range(5):
                db.add_user_memory("ann", f"fact {n}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(texts(db.get_user_memories("ann"))) == [f"fact {n}" for n in range(5)]
    assert rows_left(db)[:2] == [5, 5]


def test_memories_come_in_the_order_they_were_noted(db):
    for n in range(5):
        db.add_user_memory("ann", f"fact {n}")
    assert texts(db.get_user_memories("ann")) == [f"fact {n}" for n in range(5)]
    assert texts(db.get_user_memories("ann", limit=2)) == ["fact 3", "fact 4"]


def test_a_search_may_be_about_topics(db):
    for memory, topics in (("I love pizza", ["Food"]), ("I love opera", ["music"]), ("pizza is round", [])):
        db.add_user_memory("ann", memory, topics)
    db.add_user_memory("bob", "I love pasta", ["food"])
    assert texts(db.search_user_memories("ann", "love pizza", topics=["food"])) == ["I love pizza"]
    assert texts(db.search_user_memories("ann", "love", topics=["music", "food"])) == ["I love opera", "I love pizza"]
    assert texts(db.search_user_memories("ann", "love", 1, topics=["music", "food"])) == ["I love opera"]
    assert db.search_user_memories("ann", "love", topics=["sport"]) == db.search_user_memories("ann", "love", topics=[]) == []
    with pytest.raises(ValueError, match="topics='food': give a list of texts, or None for all memories"):
        db.search_user_memories("ann", "love", topics="food")


def test_a_search_about_topics_sees_memories_that_a_search_by_words_alone_would_not_look_at(db):
    db.add_user_memory("ann", "the first walk", ["walks"])
    for number in range(150):
        db.add_user_memory("ann", f"walk number {number}")
    assert "the first walk" not in texts(db.search_user_memories("ann", "walk", 100))
    assert texts(db.search_user_memories("ann", "walk", topics=["walks"])) == ["the first walk"]


def test_a_search_finds_words_in_any_form_and_nobody_elses(db):
    db.add_user_memory("ann", "I adopted a dog called Rex")
    db.add_user_memory("ann", "My sister studies biology")
    db.add_user_memory("bob", "I adopted two cats")
    assert texts(db.search_user_memories("ann", "What did she think of adopting?")) == ["I adopted a dog called Rex"]
    assert texts(db.search_user_memories("ann", "study of the sisters")) == ["My sister studies biology"]
    assert db.search_user_memories("ann", "cats") == []
    assert db.search_user_memories("ann", "and or the") == []
    assert db.search_user_memories("carl", "dog") == []
    assert texts(db.search_user_memories("ann", "dog sister", limit=1)) == ["My sister studies biology"]


def test_words_of_any_script_and_any_signs_are_found(db):
    for text in ("Я люблю чай", "私は寿司が好きです", "naïve café", "it's 100% 'quoted' \"text\" \0 \\ {}"):
        db.add_user_memory("ann", text)
    assert texts(db.search_user_memories("ann", "чай")) == ["Я люблю чай"]
    assert texts(db.search_user_memories("ann", "寿司")) == ["私は寿司が好きです"]
    assert texts(db.search_user_memories("ann", "CAFÉ?")) == ["naïve café"]
    assert len(db.search_user_memories("ann", '"quoted" OR * NEAR( \0')) == 1


def test_turns_of_a_conversation_are_found_by_what_was_said_around_them(db):
    for turn in ("Ann: What is your favourite dish?", "Ben: The lasagne of my grandmother!", "Ann: Nice weather today."):
        db.add_user_memory("u", turn)
    db.add_user_memory("u", "a plain fact about tea")
    found = texts(db.search_user_memories("u", "Which dish is Ben's favourite?"))
    assert found[0] == "Ben: The lasagne of my grandmother!", "the answer of the one who is named, though it shares no word"
    assert "a plain fact about tea" not in found


def test_a_changed_memory_is_found_by_its_new_words_only(db):
    id = db.add_user_memory("ann", "lives in Oslo")
    change = MemoryWrite("change", "moved to Rome", memory_id=id, version=1, key="k")
    for _ in range(2):
        db._write(lambda tx: memories.apply(tx, change, "ann", "run-1", db._stamp()))
    assert db.search_user_memories("ann", "Oslo") == []
    (memory,) = db.search_user_memories("ann", "Rome")
    assert (memory.memory_id, memory.version, memory.run_id) == (id, 2, "run-1")
    assert memory.updated_at > memory.created_at


def test_deleting_leaves_nothing_behind(db):
    id = db.add_user_memory("ann", "I love pizza")
    db.add_user_memory("ann", "I love tea")
    db.add_user_memory("bob", "I love pizza")
    assert db.delete_user_memory(id, user_id="bob") is False
    assert db.delete_user_memory(id, user_id="ann") is True
    assert db.delete_user_memory(id, user_id="ann") is False
    assert db.search_user_memories("ann", "pizza") == []
    assert texts(db.search_user_memories("ann", "love")) == ["I love tea"]
    assert db.clear_user_memories("ann") == 1
    assert rows_left(db) == [1, 1, 2]
    db.delete_user("bob")
    assert rows_left(db) == [0, 0, 0]


def test_recall_gives_all_when_few_and_what_fits_when_many(db):
    for n in range(8):
        db.add_user_memory("ann", f"fact {n}" + (" about tea" if n == 2 else ""))
    few = db.read_memories(ReadMemories("ann", "tea", limit=3, all_upto=8))
    assert texts(few) == ["fact 0", "fact 1", "fact 2 about tea", *[f"fact {n}" for n in range(3, 8)]]
    many = db.read_memories(ReadMemories("ann", "tea", limit=3, all_upto=7))
    assert texts(many) == ["fact 2 about tea", "fact 7", "fact 6"], "filled up with the newest"


@pytest.mark.parametrize("wrong", ["", "  ", None, 3])
def test_a_memory_has_to_be_a_text(wrong, db):
    with pytest.raises(ValueError, match="give a text"):
        db.add_user_memory("ann", wrong)


def test_wrong_users_topics_and_limits_are_refused(db):
    with pytest.raises(InvalidId):
        db.add_user_memory("", "x")
    with pytest.raises(ValueError, match="list of texts"):
        db.add_user_memory("ann", "x", "food")
    with pytest.raises(ValueError, match="limit=-1"):
        db.search_user_memories("ann", "x", limit=-1)


def test_memories_of_an_older_database_are_indexed_when_it_is_opened(tmp_path):
    first = SqliteDb(tmp_path / "a.db")
    first.add_user_memory("ann", "I love pizza")
    for statement in ("DROP TABLE gf_memory_index", "DROP TABLE gf_memory_terms", "DELETE FROM gf_schema WHERE version > 1"):
        first._write(lambda tx, statement=statement: tx.execute(statement))
    first.close()
    second = SqliteDb(tmp_path / "a.db")
    assert texts(second.search_user_memories("ann", "pizzas")) == ["I love pizza"]
    second.close()


# --- words and ranks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["adopt adopts adopted adopting adoption", "run running", "study studies studied", "dog dog's dogs"]
)
def test_forms_of_a_word_meet(words):
    assert len({terms_of(word)[0] for word in words.split()}) == 1


@pytest.mark.parametrize(
    ("text", "speaker"),
    [
        ("Ann: hello", "ann"),
        ("[1:56 pm on 8 May, 2023] Mary Lou: hello", "mary lou"),
        ("(8 May) Ann: I said: no", "ann"),
        ("I love pizza", None),
        ("likes: tea", None),
        ("see https://example.com: it works", None),
    ],
)
def test_a_turn_of_a_conversation_begins_with_a_name(text, speaker):
    assert speaker_of(text) == speaker


def candidate(place: int, text: str) -> Candidate:
    return Candidate(place, place, speaker_of(text), False, terms_of(text))


def test_rare_words_weigh_more_and_equals_come_newest_first():
    found = [candidate(1, "tea in Oslo"), candidate(2, "tea"), candidate(3, "tea"), candidate(4, "Oslo")]
    question = Question(terms_of("tea Oslo"), {"tea": 50, "oslo": 2}, 100)
    assert [each.place for each in rank(question, found)] == [1, 4, 3, 2]


@pytest.mark.parametrize(
    "change",
    [
        "topics = '[\"work\"]'",
        "topics = NULL",
        "version = 7",
        "created_at = 1",
        "updated_at = 1",
        "run_id = 'r'",
        "memory_id = 'm'",
    ],
)
def test_a_memory_that_was_changed_by_damage_is_an_error_when_it_is_read(db: Any, change: str) -> None:
    db.add_user_memory("ann", "Ann lives in Oslo", ["home"])
    db._write(lambda tx: tx.execute(f"UPDATE gf_memories SET {change}"))
    for read in (lambda: db.get_user_memories("ann"), lambda: db.search_user_memories("ann", "Oslo")):
        with pytest.raises(CorruptCheckpoint, match=r"memory .* of user 'ann' does not match its checksum"):
            read()
    assert not db.check().ok
    assert db.clear_user_memories("ann") == 1 and db.check().ok


def test_memories_of_a_time_before_there_were_checksums_are_read(db: Any) -> None:
    key = db.add_user_memory("ann", "Ann lives in Oslo", ["home"])
    db._write(lambda tx: tx.execute("UPDATE gf_memories SET seal = NULL"))
    assert db.get_user_memories("ann")[0].topics == ("home",) and db.check().ok
    assert db.add_user_memory("ann", "Ann lives in Oslo") == key


def test_a_memory_may_hold_a_very_long_word(db):
    key = "0123456789abcdef" * 400
    db.add_user_memory("ann", f"my public key is {key}")
    assert [memory.memory for memory in db.search_user_memories("ann", "public key")] == [f"my public key is {key}"]
    assert [memory.user_id for memory in db.search_user_memories("ann", key)] == ["ann"]


def test_a_memory_may_hold_a_long_gap(db):
    db.add_user_memory("ann", '"' + " " * 20_000 + "hello world")  # it took hours
    assert len(db.get_user_memories("ann")) == 1
