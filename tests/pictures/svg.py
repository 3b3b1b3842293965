"""A picture as the text of an SVG file: plain, of one's own colours, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

MARGIN = 24

_PAPER = {
    "paper": ("#ffffff", "#161b22"),
    "ink": ("#1f2328", "#e6edf3"),
    "pale": ("#59636e", "#9198a1"),
    "line": ("#d1d9e0", "#3d444d"),
}
"""What every picture has: its colour on a light page, and on a dark one."""


class Picture:
    """A drawing of a fixed width that grows downwards.

    Parameters
    ----------
    title, told
        What it shows: in a few words, and in sentences for those who cannot see it.
    colours
        Fills by name: on a light page, and on a dark one.
    """

    def __init__(
        self, *, title: str, told: str, colours: Mapping[str, tuple[str, str]], width: int = 980
    ) -> None:
        self.width = width
        self.height = 0.0
        self._title = title
        self._told = told
        self._colours = {**_PAPER, **colours}
        self._drawn: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, told: str = ""
    ) -> None:
        """Draw a box; `told` is what it is, for a pointer that rests on it."""
        shape = (
            f'<rect class="{fill}" x="{_(x)}" y="{_(y)}" width="{_(width)}" height="{_(height)}"'
        )
        self._put(f"{shape}><title>{escape(told)}</title></rect>" if told else f"{shape}/>")
        self._reach(y + height)

    def boxes(self, corners: Iterable[tuple[float, float]], side: float, fill: str) -> None:
        """Draw squares of one colour, as one shape."""
        places = list(corners)
        path = "".join(f"M{_(x)} {_(y)}h{_(side)}v{_(side)}h-{_(side)}z" for x, y in places)
        if places:
            self._put(f'<path class="{fill}" d="{path}"/>')
            self._reach(max(y for _x, y in places) + side)

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw a thin line."""
        self._put(f'<path class="rule" d="M{_(x1)} {_(y1)}L{_(x2)} {_(y2)}"/>')
        self._reach(max(y1, y2))

    def text(self, x: float, y: float, words: str, kind: str = "", *, anchor: str = "") -> None:
        """Write words whose base line is at `y`: `head`, `pale`, `small`, `on` a fill, or plain."""
        named = f" class={quoteattr(kind)}" if kind else ""
        placed = f' text-anchor="{anchor}"' if anchor else ""
        self._put(f'<text{named} x="{_(x)}" y="{_(y)}"{placed}>{escape(words)}</text>')
        self._reach(y + 4)

    def legend(self, y: float, entries: Iterable[tuple[str, str]]) -> None:
        """Say in a row what the fills mean: fill, and words."""
        x = float(MARGIN)
        for fill, words in entries:
            self.box(x, y - 11, 14, 14, fill)
            self.text(x + 20, y, words)
            x += 20 + 6.7 * len(words) + 18

    def document(self) -> str:
        """Return the file."""
        size = f"{self.width} {_(self.height + MARGIN)}"
        light = "".join(f".{name}{{fill:{one}}}" for name, (one, _dark) in self._colours.items())
        dark = "".join(f".{name}{{fill:{one}}}" for name, (_light, one) in self._colours.items())
        rule = ".rule{{fill:none;stroke:{}}}text{{fill:{}}}text.pale{{fill:{}}}"
        rules = [
            rule.format(*(self._colours[name][mode] for name in ("line", "ink", "pale")))
            for mode in (0, 1)
        ]
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img"'
                ' aria-labelledby="title told">',
                f'<title id="title">{escape(self._title)}</title>',
                f'<desc id="told">{escape(self._told)}</desc>',
                "<style>text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,"
                "sans-serif}.head{font-weight:600;font-size:15px}.small,.on{font-size:11px}"
                f"{light}{rules[0]}text.on{{fill:#ffffff}}"
                f"@media (prefers-color-scheme:dark){{{dark}{rules[1]}text.on{{fill:#0d1117}}}}"
                "</style>",
                '<rect class="paper" width="100%" height="100%" rx="8"/>',
                *self._drawn,
                "</svg>\n",
            ]
        )

    def _put(self, element: str) -> None:
        self._drawn.append(element)

    def _reach(self, y: float) -> None:
        self.height = max(self.height, y)


def _(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
