"""Pictures of graphs: Mermaid, plain text and SVG, and a networkx graph to reckon with.

Each is loaded when it is first asked for, because a run needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.lazy import exports

if TYPE_CHECKING:
    from graphflow.draw.ascii import draw_ascii
    from graphflow.draw.mermaid import draw_mermaid
    from graphflow.draw.network import draw_json, to_networkx
    from graphflow.draw.svg import draw_svg

__all__ = ["draw_ascii", "draw_json", "draw_mermaid", "draw_svg", "to_networkx"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "draw_ascii": "graphflow.draw.ascii",
            "draw_json": "graphflow.draw.network",
            "draw_mermaid": "graphflow.draw.mermaid",
            "draw_svg": "graphflow.draw.svg",
            "to_networkx": "graphflow.draw.network",
        },
    )
