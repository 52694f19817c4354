# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw boxes in columns, and lines from a box to a row of a box in the next column, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

# A text of a fixed width, so that no font is needed to know where it ends.
_SIZE, _LETTER = 12, 7.25
_LINE, _PAD, _EDGE = 18, 8, 12
# Between the boxes of a column, at least and at most.
_NEAR, _FAR = 10, 60
# Colours that people with any colour vision tell apart, dark enough for text on white.
_COLOURS = ("#0b5fa5", "#a34700", "#00705a", "#8a2a6b", "#4a5a00", "#5b3fa8", "#a3193f", "#3d3d3d")


class Row(NamedTuple):
    """A line of text in a box, with the boxes of the column before that lead to it."""

    text: str
    sources: Sequence[str]
    is_dashed: bool = False


@dataclass(frozen=True)
class Box:
    """A box with a title, and lines of text below it."""

    title: str
    about: Sequence[str] = ()
    rows: Sequence[Row] = ()

    @property
    def width(self) -> float:
        """How wide the texts are."""
        letters = max(len(text) for text in (self.title, *self.about, *(row.text for row in self.rows)))
        return letters * _LETTER + 2 * _PAD

    @property
    def height(self) -> float:
        """How high the texts are."""
        return _LINE * (1 + len(self.about) + len(self.rows)) + _PAD


@dataclass(frozen=True)
class _Place:
    box: Box
    left: float
    top: float
    width: float
    colour: str

    @property
    def exit(self) -> tuple[float, float]:
        """Where lines leave the box."""
        return self.left + self.width, self.top + self.box.height / 2

    def entry(self, row: int) -> tuple[float, float]:
        """Where lines come to a row."""
        return self.left, self.baseline(row) - _SIZE / 3

    def baseline(self, row: int) -> float:
        """Where the text of a row stands."""
        return self.top + _LINE * (2 + len(self.box.about) + row) - 2


@dataclass
class _Canvas:
    shapes: list[str] = field(default_factory=list)

    def text(self, at: tuple[float, float], words: str, style: str = "") -> None:
        self.shapes.append(f'<text x="{at[0]:g}" y="{at[1]:g}"{style}>{escape(words)}</text>')

    def curve(self, start: tuple[float, float], end: tuple[float, float], colour: str, is_dashed: bool) -> None:
        middle = (start[0] + end[0]) / 2
        dashes = ' stroke-dasharray="5 4"' if is_dashed else ""
        self.shapes.append(
            f'<path d="M{start[0]:g} {start[1]:g} C{middle:g} {start[1]:g} {middle:g} {end[1]:g} {end[0] - 6:g} '
            f'{end[1]:g}" stroke="{colour}" fill="none"{dashes} marker-end="url(#arrow)"/>'
        )

    def frame(self, place: _Place) -> None:
        self.shapes.append(
            f'<rect x="{place.left:g}" y="{place.top:g}" width="{place.width:g}" height="{place.box.height:g}" rx="5" '
            f'fill="#f6f7f9" stroke="{place.colour}"/>'
        )


def drawn(title: str, columns: Sequence[Sequence[Box]], between: int = 110) -> str:
    """Return a drawing. Lines go from the boxes of a column to the rows of the next one, `between` apart."""
    filled = [column for column in columns if column]
    height = max(_height(column, _NEAR) for column in filled) + 2 * _EDGE
    places = list(_placed(filled, height, between))
    canvas = _Canvas()
    for before, after in zip(places, places[1:]):
        _connect(canvas, {place.box.title: place for place in before}, after)
    for place in (place for column in places for place in column):
        _fill(canvas, place)
    width = max(place.left + place.width for place in places[-1]) + _EDGE
    return _svg(title, (width, height), canvas.shapes)


def _height(column: Sequence[Box], gap: float) -> float:
    return sum(box.height for box in column) + gap * (len(column) - 1)


def _placed(columns: Sequence[Sequence[Box]], height: float, between: int) -> Iterator[list[_Place]]:
    left = float(_EDGE)
    for column in columns:
        width = max(box.width for box in column)
        room = (height - 2 * _EDGE - _height(column, 0)) / max(len(column) - 1, 1)
        gap = round(min(max(room, _NEAR), _FAR))
        top, places = (height - _height(column, gap)) / 2, []
        for number, box in enumerate(column):
            places.append(_Place(box, left, top, width, _COLOURS[number % len(_COLOURS)]))
            top += box.height + gap
        yield places
        left += width + between


def _connect(canvas: _Canvas, sources: dict[str, _Place], targets: Sequence[_Place]) -> None:
    for target in targets:
        for number, row in enumerate(target.box.rows):
            for source in (sources[name] for name in row.sources):
                canvas.curve(source.exit, target.entry(number), source.colour, row.is_dashed)


def _fill(canvas: _Canvas, place: _Place) -> None:
    canvas.frame(place)
    left = place.left + _PAD
    canvas.text((left, place.top + _LINE - 2), place.box.title, ' font-weight="bold"')
    for number, line in enumerate(place.box.about):
        canvas.text((left, place.top + _LINE * (2 + number) - 2), line, ' fill="#555"')
    for number, row in enumerate(place.box.rows):
        canvas.text((left, place.baseline(number)), row.text)


def _svg(title: str, size: tuple[float, float], shapes: Sequence[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:g} {size[1]:g}" width="{size[0]:g}" '
        f'height="{size[1]:g}" font-family="monospace" font-size="{_SIZE}" role="img">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 6 6" refX="0" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 L6 3 L0 6 z" fill="#333"/></marker></defs>',
        '<rect width="100%" height="100%" rx="8" fill="#fff"/>',
        *shapes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
