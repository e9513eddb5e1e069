"""What a check found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and may not always."""
    PROBLEM = "problem"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    """Name of what was looked at; does not change."""
    status: Status
    says: str
    """One sentence."""
    do: str = ""
    """What to do; empty if nothing."""


def ok(check: str, says: str) -> Finding:
    return Finding(check, Status.OK, says)


def warning(check: str, says: str, do: str) -> Finding:
    return Finding(check, Status.WARNING, says, do)


def problem(check: str, says: str, do: str) -> Finding:
    return Finding(check, Status.PROBLEM, says, do)
