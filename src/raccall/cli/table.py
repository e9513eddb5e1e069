"""Tables on a terminal that stay straight whatever names hold: wide letters, accents, control characters."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raccall.cli.screen import printable


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    left: bool = False
    """Text is aligned left, numbers right."""
    width: int = 0
    """At most so many places; 0: as its widest cell."""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line of titles and a line a row, columns two places apart."""
    shown = [[column.title for column in columns]]
    for row in rows:
        shown.append([cut(cell, column.width or places(cell)) for cell, column in zip(row, columns, strict=True)])
    widths = [max(places(row[at]) for row in shown) for at in range(len(columns))]
    for row in shown:
        line = (_aligned(c, w, column.left) for c, w, column in zip(row, widths, columns, strict=True))
        yield "  ".join(line).rstrip()


def places(text: str) -> int:
    """How many places of a terminal's row a text takes."""
    return sum(_places(letter) for letter in text)


def cut(text: str, width: int) -> str:
    """Printable, and no wider than `width` places; what is missing shows as an ellipsis."""
    text = printable(text)
    if places(text) <= width:
        return text
    kept, room = "", width - 1
    for letter in text:
        room -= _places(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…"


def wrapped(text: str, width: int) -> Iterator[str]:
    """Printable lines of at most `width` places, broken between words, and in a word only where it is longer."""
    line = ""
    for word in printable(text).split():
        if line and places(line) + 1 + places(word) > width:
            yield line
            line = ""
        while places(word) > width:
            head = cut(word, width).removesuffix("…")
            yield head
            word = word[len(head) :]
        line = f"{line} {word}" if line else word
    yield line


def _aligned(text: str, width: int, left: bool) -> str:
    padding = " " * (width - places(text))
    return text + padding if left else padding + text


def _places(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
