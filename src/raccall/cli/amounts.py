"""Times and sizes as people type them."""

import re

from raccall.errors import InputError

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_duration(text: str, option: str) -> float:
    """Seconds of "90", "90s", "15m" or "1h30m"; more than 0. Raises InputError."""
    found = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    if not (total := hours * 3600 + minutes * 60 + seconds) > 0:
        raise InputError("duration_malformed", f"{option} wants a time above 0, as 90, 15m or 1h30m, and not {text!r}.")
    return total


def parse_size(text: str, option: str) -> int:
    """Bytes of "1000000", "500MB", "1.5 G" or "2GiB". Raises InputError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InputError("size_malformed", f"{option} wants a size, as 500MB or 2GB, and not {text!r}.")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: "0:07:05"."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def roughly(seconds: float) -> str:
    """For people, one unit: "40 s", "12 min", "5 h", "3 days"."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
