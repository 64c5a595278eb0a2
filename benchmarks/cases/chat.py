"""Case E: what a turn of a conversation costs, and what is stored, as the conversation grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.adapters import adapter, options
from benchmarks.amounts import PAIRS, WARM_UP, WINDOW, marks
from benchmarks.clock import cost, median
from benchmarks.conversation import Growth, Talk, answers, questions
from benchmarks.figure import AtMost, Beside, Case, Figure, Measured, Part, Place
from benchmarks.gauge import Gauge
from benchmarks.weight import peak_mib


def measure(subject: str, part: Part, place: Place) -> Measured:
    """One conversation, mark by mark, after another one that is not measured."""
    room = adapter(subject, "chat")

    def opened() -> tuple[Talk, Callable[[], int]]:
        store = place.store(part.options["store"])
        talk = room.Chat(store, answers(), **options(subject))
        empty = store.size()
        for question in questions(WARM_UP):
            talk.turn(question, "warm-up")
        before = store.size() - empty
        return talk, lambda: store.size() - before

    talk, size = opened()
    chosen = part.options.get("marks") or marks(place.size)
    growth = Growth(talk, chosen[-1], place.gauge)
    measured: Measured = {}
    for mark in chosen:
        spent = growth.up_to(mark)
        measured |= {f"wall.{mark}": spent.wall, f"cpu.{mark}": spent.cpu, f"kib.{mark}": size() / 1024}
    assert talk.all() == 2 * chosen[-1], f"{talk.all()} messages are stored after {chosen[-1]} turns"
    measured["mib"] = peak_mib()
    young, _ = opened()
    return measured | grown(talk, young, place.gauge)


def grown(old: Talk, young: Talk, gauge: Gauge) -> Measured:
    """What the next turns of a long conversation cost, as a multiple of the first turns of others in a young store.

    They are taken by turns: between the tenth turn and the hundred thousandth of one conversation there are minutes, in which
    the machine itself may become slower.
    """
    pairs = []
    for number in range(PAIRS):
        gauge.wait()
        mine = partial(young.turn, session=f"young-{number}")
        pairs += [(cost(partial(old.turn, question)), cost(partial(mine, question))) for question in questions(WINDOW)][1:]
    long, short = (median(list(costs)) for costs in zip(*pairs, strict=True))
    return {"growth.wall": long.wall / short.wall, "growth.cpu": long.cpu / short.cpu}


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
        Figure("growth.wall", f"{label}: the next turns : the first ones of another conversation", "ratio"),
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
    beside = f"{label}: the turns after : the first ones of another conversation, processor time"
    growth = Figure("growth.cpu", beside, "ratio", AtMost(1.05))
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
            {"cpu.1000": AtMost(0.6, Beside("openai-agents", 2.2)), "growth": AtMost(1.05), "kib.1000": AtMost(1_800)},
        ),
        part(
            "postgres",
            "PostgreSQL",
            ("langgraph", "langgraph delta", "langgraph exit", "agno"),
            {"cpu.1000": AtMost(0.9, Beside("agno", 13.4)), "growth": AtMost(1.05)},
        ),
        long_part("sqlite", "SQLite"),
        long_part("postgres", "PostgreSQL"),
    ),
    measure,
)
