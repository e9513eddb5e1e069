"""Who is at which leaf of the ratchet tree (RFC 9420 sections 4.1 and 7.7), without the keys above the leaves."""

from collections.abc import Iterator
from typing import Generic, TypeVar

M = TypeVar("M")


class Leaves(Generic[M]):
    """The members by leaf index. Members are told apart by what they are, not by equality."""

    def __init__(self, *members: M) -> None:
        self._leaves: list[M | None] = list(members)
        self._fit()

    @property
    def width(self) -> int:
        """A power of two."""
        return len(self._leaves)

    def copy(self) -> "Leaves[M]":
        other: Leaves[M] = Leaves()
        other._leaves = list(self._leaves)
        return other

    def __iter__(self) -> Iterator[M]:
        return (member for member in self._leaves if member is not None)

    def at(self, index: int) -> M | None:
        return self._leaves[index] if index < len(self._leaves) else None

    def index(self, member: M) -> int | None:
        """None if the member has no leaf."""
        return next((index for index, other in enumerate(self._leaves) if other is member), None)

    def add(self, member: M) -> int:
        """At the leftmost blank leaf; if there is none the tree doubles. Returns the index."""
        index = next((index for index, other in enumerate(self._leaves) if other is None), len(self._leaves))
        if index == len(self._leaves):
            self._leaves.append(None)
        self._leaves[index] = member
        self._fit()
        return index

    def remove(self, index: int) -> None:
        """Blank a leaf. The right half goes when it is all blank."""
        self._leaves[index] = None
        self._fit()

    def path_length(self, index: int) -> int:
        """How many nodes an update path from a leaf has: those above it with somebody on the other side (the filtered
        direct path, RFC 9420 section 4.1.2)."""
        length, level = 0, 1
        while level < self.width:
            start = (index // level ^ 1) * level
            length += any(member is not None for member in self._leaves[start : start + level])
            level *= 2
        return length

    def _fit(self) -> None:
        """To the smallest power of two that holds the last member."""
        last = max((index for index, member in enumerate(self._leaves) if member is not None), default=0)
        width = 1 << last.bit_length()
        del self._leaves[width:]
        self._leaves += [None] * (width - len(self._leaves))
