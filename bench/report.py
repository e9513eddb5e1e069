"""What a benchmark prints: one claim, and for each row a value against a peer, a limit or a budget."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal


class CannotRun(Exception):
    """Something that a measurement needs is missing; says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. The claim about it: value / against stays on the better side of `limit`."""

    name: str
    value: float | None
    """In the report's unit; None if it could not be measured."""
    against: float | None
    """The same of the peer or limit, measured in the same run, or a budget that was set."""
    kind: Literal["peer", "limit", "budget"]
    limit: float
    better: Literal["lower", "higher"] = "lower"
    repeats: tuple[float, ...] = ()
    """The ratio of each repetition by itself: how far to trust the medians."""
    beside: dict[str, float] = field(default_factory=dict)
    """What else was measured and is under no limit, by name."""
    problem: str = ""
    """Why the row does not hold whatever its numbers are: a peer that cannot run, wrong results."""

    @property
    def ratio(self) -> float | None:
        return self.value / self.against if self.value is not None and self.against else None

    @property
    def holds(self) -> bool:
        if self.ratio is None or self.problem:
            return False
        return self.ratio <= self.limit if self.better == "lower" else self.ratio >= self.limit

    @classmethod
    def unmeasured(
        cls, name: str, kind: Literal["peer", "limit", "budget"], problem: object, limit: float = 1.0
    ) -> "Row":
        """It does not hold, and says why."""
        return cls(name=name, value=None, against=None, kind=kind, limit=limit, problem=str(problem))

    @classmethod
    def of_repeats(cls, *, value: Sequence[float], against: Sequence[float], **rest: object) -> "Row":
        """Medians of measurements taken in turn: the first of one next to the first of the other."""
        repeats = tuple(mine / theirs for mine, theirs in zip(value, against, strict=True))
        return cls(value=median(value), against=median(against), repeats=repeats, **rest)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        facts: dict[str, object] = {
            "name": self.name,
            "value": self.value,
            "against": self.against,
            "kind": self.kind,
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "limit": self.limit,
            "better": self.better,
            "holds": self.holds,
        }
        if self.repeats:
            facts["repeats"] = [round(ratio, 4) for ratio in self.repeats]
        if self.beside:
            facts["beside"] = {name: round(value, 4) for name, value in self.beside.items()}
        if self.problem:
            facts["problem"] = self.problem
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    claim: str
    unit: str
    rows: list[Row] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return bool(self.rows) and all(row.holds for row in self.rows)

    def to_json(self) -> str:
        rows = [row.as_dict() for row in self.rows]
        return json.dumps({"claim": self.claim, "unit": self.unit, "rows": rows, "holds": self.holds})

    def to_table(self) -> str:
        width = max([len(row.name) for row in self.rows] + [4])
        lines = [self.claim, f"{'':{width}} {self.unit:>12} {'against':>12} {'ratio':>7} {'limit':>7}"]
        for row in self.rows:
            sign = "≤" if row.better == "lower" else "≥"
            numbers = f"{_number(row.value):>12} {_number(row.against):>12} {_number(row.ratio, 2):>7}"
            lines.append(f"{row.name:{width}} {numbers} {sign + _number(row.limit, 2):>7}  {_verdict(row)}")
        return "\n".join(lines)


def note(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _verdict(row: Row) -> str:
    verdict = "holds" if row.holds else "DOES NOT HOLD"
    if row.repeats:
        verdict += f"  ({min(row.repeats):.2f} to {max(row.repeats):.2f})"
    verdict += "".join(f"; {name} {_number(value)}" for name, value in row.beside.items())
    return f"{verdict}: {row.problem}" if row.problem else verdict
