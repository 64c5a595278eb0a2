"""Case E: what a turn of a conversation costs, and what is stored, as the conversation grows."""

from __future__ import annotations

from benchmarks.adapters import adapter, options
from benchmarks.amounts import WARM_UP, marks
from benchmarks.conversation import Growth, answers, questions
from benchmarks.figure import AtMost, Case, Figure, Measured, Part, Place
from benchmarks.weight import peak_mib


def measure(subject: str, part: Part, place: Place) -> Measured:
    """One conversation, mark by mark, after another one that is not measured."""
    store = place.store(part.options["store"])
    talk = adapter(subject, "chat").Chat(store, answers(), **options(subject))
    empty = store.size()
    for question in questions(WARM_UP):
        talk.turn(question, "warm-up")
    before = store.size() - empty
    chosen = part.options.get("marks") or marks(place.size)
    growth = Growth(talk, chosen[-1])
    measured: Measured = {}
    for mark in chosen:
        spent = growth.up_to(mark)
        measured |= {f"wall.{mark}": spent.wall, f"cpu.{mark}": spent.cpu, f"kib.{mark}": (store.size() - before) / 1024}
    assert talk.all() == 2 * chosen[-1], f"{talk.all()} messages are stored after {chosen[-1]} turns"
    growths = {f"growth.{clock}": measured[f"{clock}.{chosen[-1]}"] / measured[f"{clock}.{chosen[0]}"] for clock in CLOCKS}
    return {**measured, **growths, "mib": peak_mib()}


CLOCKS = ("wall", "cpu")


def part(store: str, label: str, peers: tuple[str, ...], goals: dict[str, AtMost]) -> Part:
    """Three figures for each mark, and how they grow."""
    figures = [
        Figure(f"{what}.{mark}", words.format(label, mark), unit, goals.get(f"{what}.{mark}"))
        for mark in (10, 100, 500, 1_000)
        for what, words, unit in (
            ("wall", "{0}: turn {1:,}", "ms"),
            ("cpu", "… processor time", "ms"),
            ("kib", "… stored by then", "KiB"),
        )
    ]
    growths = [
        Figure("growth.wall", f"{label}: last turn : turn 10", "ratio"),
        Figure("growth.cpu", "… processor time", "ratio", goals["growth"]),
    ]
    memory = Figure("mib", f"{label}: peak of memory", "MiB")
    return Part(store, (*figures, *growths, memory), peers, options={"store": store})


def long_part(store: str, label: str) -> Part:
    """Ours and the limit, as far as no peer can go."""
    figures = [
        figure
        for mark in (10, 1_000, 10_000, 100_000)
        for figure in (Figure(f"cpu.{mark}", f"{label}: turn {mark:,}, processor time", "ms"),)
    ]
    growth = Figure("growth.cpu", f"{label}: turn 100,000 : turn 10, processor time", "ratio", AtMost(1.05))
    chosen = {"store": store, "marks": (10, 1_000, 10_000, 100_000)}
    return Part(f"{store}-long", (*figures, growth), options=chosen, long=True)


CASE = Case(
    "E",
    "chat",
    "A turn of a conversation, 500 characters each way",
    "reading the last 6 messages, inserting 2 and committing",
    (
        part(
            "sqlite",
            "SQLite",
            ("langgraph", "langgraph delta", "langgraph exit", "agno", "openai-agents"),
            {"cpu.1000": AtMost(0.6), "growth": AtMost(1.05), "kib.1000": AtMost(1_800)},
        ),
        part(
            "postgres",
            "PostgreSQL",
            ("langgraph", "langgraph delta", "langgraph exit", "agno"),
            {"cpu.1000": AtMost(0.9), "growth": AtMost(1.05)},
        ),
        long_part("sqlite", "SQLite"),
        long_part("postgres", "PostgreSQL"),
    ),
    measure,
)
