"""A sheet of characters on which lines find out by themselves where they cross and where they meet."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from graphflow.draw.lettering import columns

BACK, ON, LEFT, RIGHT = 1, 2, 4, 8
"""The four directions a line leaves a cell in: against and along the direction of the graph, and to its sides."""

ALONG, ACROSS = BACK | ON, LEFT | RIGHT


class Canvas:
    """Cells that are named by (across, along). A standing sheet leads down, a lying one to the right."""

    def __init__(self, lying: bool) -> None:
        self.lying = lying
        self._lines: dict[tuple[int, int], dict[Hashable, int]] = {}
        self._dashed: set[Hashable] = set()
        self._letters: dict[tuple[int, int], str] = {}

    def along(self, net: Hashable, across: int, begin: int, end: int) -> None:
        """A piece of a line through the cells from ``begin`` to before ``end``."""
        for cell in range(begin, end):
            self._mark(net, across, cell, ALONG)

    def bar(self, net: Hashable, along: int, before: set[int], after: set[int]) -> None:
        """A piece of a line from side to side, which the pieces ``before`` lead to and the pieces ``after`` lead on from."""
        first, last = min(before | after), max(before | after)
        for across in range(first, last + 1):
            mask = (LEFT if across > first else 0) | (RIGHT if across < last else 0)
            self._mark(net, across, along, mask | (BACK if across in before else 0) | (ON if across in after else 0))

    def dash(self, net: Hashable) -> None:
        """Draw this line dashed."""
        self._dashed.add(net)

    def put(self, across: int, along: int, letter: str) -> None:
        """A letter over whatever is there."""
        self._letters[(along, across) if self.lying else (across, along)] = letter

    def write(self, x: int, y: int, text: str) -> None:
        """Text from a column and row of the sheet on, over whatever is there."""
        for letter in text:
            if (width := columns(letter)) == 0:
                self._letters[x - 1, y] = self._letters.get((x - 1, y), "") + letter
                continue
            self._letters[x, y] = letter
            if width == 2:
                self._letters[x + 1, y] = ""
            x += width

    def rows(self) -> list[str]:
        """What is on the sheet, without spaces at the ends of the rows."""
        cells = {(along, across) if self.lying else (across, along): mark for (across, along), mark in self._marks()}
        cells.update(self._letters)
        width, height = (1 + max((cell[axis] for cell in cells), default=-1) for axis in (0, 1))
        return ["".join(cells.get((x, y), " ") for x in range(width)).rstrip() for y in range(height)]

    def _mark(self, net: Hashable, across: int, along: int, mask: int) -> None:
        nets = self._lines.setdefault((across, along), {})
        nets[net] = nets.get(net, 0) | mask

    def _marks(self) -> Iterator[tuple[tuple[int, int], str]]:
        for cell, nets in self._lines.items():
            turning = any(mask & ALONG and mask & ACROSS for mask in nets.values())
            through = {net: mask for net, mask in nets.items() if mask & ALONG}
            shown = nets if turning or not through else through  # of lines that only cross, the one that leads on
            union = 0
            for mask in shown.values():
                union |= mask
            yield cell, self._letter(union, all(net in self._dashed for net in shown))

    def _letter(self, mask: int, dashed: bool) -> str:
        upright = mask & ACROSS == mask if self.lying else mask & ALONG == mask
        flat = mask & ALONG == mask if self.lying else mask & ACROSS == mask
        if upright:
            return ":" if dashed else "|"
        if flat:
            return "." if dashed else "-"
        return "+"
