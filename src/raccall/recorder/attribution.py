"""Whose packets they are. Sources are told by events, often after their first packets; so this is decided at rendering.

A Source belongs to whom the newest event before its packet said, or, when none came before it, the first one after it.
A Source that nobody ever claimed is a speaker of its own, named after its SSRC.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raccall._native import PacketBatch
from raccall.recorder.events import Event, MemberJoined, Source
from raccall.units import Nanos, Ssrc

MAX_FILE_NAME_CHARS = 48
"""Leaves room for a number and an ending in the 255 bytes that file systems allow, at four bytes a character."""

_RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Speaker:
    """One person, or one Source without an owner."""

    user_id: str
    """Empty for a Source without an owner."""
    name: str
    file_name: str
    """Without ending; no two of a recording are equal, even where case does not count."""


class Attribution:
    """Built once from a recording's events."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._claims: dict[int, list[tuple[int, str]]] = {}
        self._names: dict[str, str] = {}
        self._speakers: dict[str, Speaker] = {}
        self._taken: set[str] = set()
        self._numbered: dict[str, int] = {}
        """File name → the highest number given behind it."""
        for event in events:
            match event:
                case MemberJoined(user_id=user_id, name=name):
                    self._names[user_id] = name
                case Source(now=now, ssrc=ssrc, user_id=user_id, name=name):
                    self._claims.setdefault(ssrc, []).append((now, user_id))
                    if name:
                        self._names.setdefault(user_id, name)
        for claims in self._claims.values():
            claims.sort(key=lambda claim: claim[0])

    def speaker_of(self, ssrc: Ssrc, arrival: Nanos) -> Speaker:
        """Who sent a packet. File names are given in the order of first asking."""
        claims = self._claims.get(ssrc)
        if not claims:
            return self._speaker(f"ssrc {ssrc}", "", f"unknown-{ssrc:08x}")
        newest = bisect_right(claims, int(arrival), key=lambda claim: claim[0]) - 1
        user_id = claims[max(newest, 0)][1]
        return self._speaker(user_id, user_id, self._names.get(user_id, user_id))

    def split(self, batch: PacketBatch) -> list[tuple[Speaker, NDArray[np.int64]]]:
        """Each speaker's packets by index, in the order of arrival; speakers by their first packet."""
        parts: dict[Speaker, list[NDArray[np.int64]]] = {}
        for source, indices in batch.by_source():
            ssrc = Ssrc(source)
            # The first claim holds from the beginning of time on, each other from its own.
            times = [time for time, _ in self._claims.get(ssrc, ())][1:]
            if not times:
                parts.setdefault(self.speaker_of(ssrc, Nanos(0)), []).append(indices)
                continue
            arrivals = batch.arrival[indices]
            claim = np.searchsorted(times, arrivals, side="right")
            for number in np.unique(claim):
                part = claim == number
                speaker = self.speaker_of(ssrc, Nanos(int(arrivals[part][0])))
                parts.setdefault(speaker, []).append(indices[part])
        return [
            (speaker, found[0] if len(found) == 1 else np.sort(np.concatenate(found)))
            for speaker, found in parts.items()
        ]

    def _speaker(self, key: str, user_id: str, name: str) -> Speaker:
        speaker = self._speakers.get(key)
        if speaker is None:
            speaker = self._speakers[key] = Speaker(user_id, name, self._free_file_name(name))
        return speaker

    def _free_file_name(self, name: str) -> str:
        base = safe_file_name(name)
        candidate, number = base, self._numbered.get(base.casefold(), 1)
        while candidate.casefold() in self._taken:
            number += 1
            candidate = f"{base}-{number}"
        self._numbered[base.casefold()] = number
        self._taken.add(candidate.casefold())
        return candidate


def safe_file_name(name: str) -> str:
    """A file name that every system takes, still readable: letters and digits of any script, space, dot, dash."""
    normal = unicodedata.normalize("NFC", name)
    kept = "".join(c if c.isalnum() or c in " -_." or unicodedata.category(c) == "Mn" else "_" for c in normal)
    short = kept.strip(" .")[:MAX_FILE_NAME_CHARS].rstrip(" .")
    begins_badly = short.startswith("-") or _RESERVED_ON_WINDOWS.match(short)  # a dash begins an option of a command
    return f"_{short}" if begins_badly else short or "speaker"
