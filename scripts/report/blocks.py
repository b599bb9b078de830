"""What any section of the page is made of: paragraphs, tables, figures, images, definitions and code."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from markupsafe import Markup

from scripts.scores.formats import format_interval, format_number
from scripts.scores.json_files import ResultsError
from scripts.scores.results import Picture

WIDE, NARROW = 820, 350  # widths of figures in CSS pixels: desktop, phone


@dataclass(frozen=True)
class Mark:
    """What a title is drawn as: a colour of the page's style (a role of `drawing`, or "#rrggbb") and a symbol."""

    title: str
    colour: str
    symbol: str = "\u25a0"


@dataclass(frozen=True)
class Heading:
    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Paragraph:
    """`style` is "", "small" or "warning"."""

    kind: ClassVar[str] = "paragraph"
    text: str
    style: str = ""


@dataclass(frozen=True)
class Cell:
    """A value, what stands quietly beside it, and lines under it; `style` is "", "quiet", "raised" or "lowered"."""

    value: str | Markup
    beside: str = ""
    below: Sequence[str] = ()
    style: str = ""


@dataclass(frozen=True)
class Column:
    """`optional` ones are not shown on a phone; `drawing` is an axis in the table's head."""

    title: str
    optional: bool = False
    drawing: Markup | None = None


@dataclass(frozen=True)
class Row:
    """`style` is "", "chosen" or "real"."""

    title: str
    cells: Sequence[Cell]
    mark: Mark | None = None
    style: str = ""


@dataclass(frozen=True)
class Group:
    """Rows under a title, which may be empty."""

    rows: Sequence[Row]
    title: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class Table:
    """`heading` stands over the row titles; `details`, where given, is the line that the table is folded under."""

    kind: ClassVar[str] = "table"
    heading: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    caption: str
    details: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing for desktop and one for phones, or one for both."""

    kind: ClassVar[str] = "figure"
    wide: Markup
    caption: str
    narrow: Markup | None = None
    legend: Sequence[Mark] = ()


@dataclass(frozen=True)
class Gallery:
    """Small figures side by side, folded under `details` where given; a figure's caption stands above it."""

    kind: ClassVar[str] = "gallery"
    figures: Sequence[Figure]
    details: str = ""


@dataclass(frozen=True)
class Image:
    """An embedded PNG."""

    kind: ClassVar[str] = "image"
    source: str
    caption: str
    legend: Sequence[Mark] = ()


@dataclass(frozen=True)
class Definitions:
    kind: ClassVar[str] = "definitions"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Code:
    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Answer:
    """The box of a verdict; `colour` is "raised", "lowered" or "open"."""

    kind: ClassVar[str] = "answer"
    task: str
    sentence: str
    colour: str
    details: Sequence[str] = ()
    next_step: str = ""
    next_command: str = ""


Block = Heading | Paragraph | Table | Figure | Gallery | Image | Definitions | Code | Answer


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


class HasInterval(Protocol):
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def interval_cell(estimate: HasInterval, digits: int = 3, *, scale: float = 1, style: str = "") -> Cell:
    """A value with its interval beside it."""
    interval = format_interval(scale * estimate.low, scale * estimate.high, digits)
    return Cell(format_number(scale * estimate.value, digits), interval, style=style)


def text_cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def columns(*titles: str) -> list[Column]:
    return [Column(title) for title in titles]


def draw_figure(draw: Callable[[int, str], Markup], name: str, caption: str, legend: Sequence[Mark] = ()) -> Figure:
    """A figure drawn for desktop and for phone, by a function of width and name; the page's style shows one of them."""
    return Figure(draw(WIDE, f"{name}w"), caption, draw(NARROW, f"{name}n"), legend)


def embed_pictures(folder: Path, pictures: Sequence[Picture], section: str) -> list[Block]:
    """The pictures of one section as data URLs.

    Raises:
        ResultsError: a file is missing or no PNG.
    """
    images: list[Block] = []
    for picture in pictures:
        if picture.section == section:
            legend = [Mark(title, colour) for title, colour in picture.legend]
            images.append(Image(_embed(folder / picture.file), picture.caption, legend))
    return images


def _embed(file: Path) -> str:
    content = file.read_bytes() if file.is_file() else b""
    if not content.startswith(b"\x89PNG"):
        raise ResultsError(f"{file} is missing or no PNG image. Remove it and run the study again, which draws it.")
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
