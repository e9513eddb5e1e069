"""Whose identity key we have met: trust on first use.

A guest is another user each time, so people are known as they know each other: by their names on a server. Many
clients make a new key for each call (discord.py does); so a key counts as somebody's own once it was there in two
calls, and only then another one is worth a word.
"""

import contextlib
from pathlib import Path

import msgspec

from raccall.whole_file import write_whole

OWN_AFTER_CALLS = 2
MAX_KEYS = 2000
"""Those met last are kept."""


class _Known(msgspec.Struct):
    key: str
    calls: int = 1
    """In how many it was there, one after the other."""
    verified: bool = False
    """The person at this end compared it with the one at the other."""


class KnownKeys:
    """Of one call: loaded at its beginning, and saved whenever somebody was met."""

    def __init__(self, file: Path) -> None:
        """Empty if there is no file, or none that can be read."""
        self._file = file
        self._known: dict[str, _Known] = {}
        self._met: set[tuple[str, str]] = set()
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._known = msgspec.json.decode(file.read_bytes(), type=dict[str, _Known])

    def meet(self, server: str, name: str, key: str) -> bool:
        """Somebody of this name has this public identity key (hexadecimal). False: it is not the one they had before.

        server: as `identity.server_of` gives it. A difference is told once: then the new key counts, from its first
        call on.
        """
        place = f"{server} {name}"
        if (place, key) in self._met:
            return True
        self._met.add((place, key))
        known = self._known.pop(place, None)
        same = known is None or known.key == key
        if known is not None and same:
            self._known[place] = _Known(key, known.calls + 1, known.verified)
        else:
            self._known[place] = _Known(key)
        while len(self._known) > MAX_KEYS:
            del self._known[next(iter(self._known))]
        self._save()
        return same or known is None or (known.calls < OWN_AFTER_CALLS and not known.verified)

    def verify(self, server: str, name: str, key: str) -> None:
        """It was compared, and is theirs. Holds until they come with another one."""
        known = self._known.get(f"{server} {name}")
        self._known[f"{server} {name}"] = _Known(key, known.calls if known is not None else 1, verified=True)
        self._save()

    def is_verified(self, server: str, name: str, key: str) -> bool:
        known = self._known.get(f"{server} {name}")
        return known is not None and known.verified and known.key == key

    def _save(self) -> None:
        """Whole or not at all; what cannot be written is forgotten."""
        with contextlib.suppress(OSError):
            write_whole(self._file, msgspec.json.encode(self._known))
