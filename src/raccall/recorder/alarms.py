"""When a recording that goes on is in danger, and when it no longer is. Pure.

Each kind is on or off; in between lies a band in which it stays as it is, so that none flickers.

| kind | on | off |
|--|--|--|
| no_sound | people are here, agreed, unmuted, and none was heard for 5 min | a voice, or nobody could speak |
| unreadable | half of ten seconds' packets, at least 50, could not be opened | fewer than a tenth of 25 or more |
| undecryptable | half of ten seconds' frames, at least 50, fitted no key | fewer than a tenth of 25 or more |
| ghost | somebody can listen, or was to, who is not shown in the room | nobody any more |
| lost_here | the kernel or this program lost a packet | none lost for 30 s |
| disk_low | less than 30 min or 100 MB are left on the disk | more than 40 min and 135 MB |
| disk_nearly_full | less than 5 min or 20 MB are left on the disk | more than 6:45 min and 27 MB |
| size_limit | less than 5 min are left before the chosen size | more than 6:45 min |
| connection | the connection to the server, or its voice, is lost | both are back |
| writer_behind | half of what may wait for the disk does (2.5 s) | less than a tenth |

One silent person among others is no alarm: people listen. What is left on the disk is what may be recorded so that
rendering still fits.
"""

import math
from collections import deque

from raccall.recorder.events import Alarm
from raccall.recorder.space import Disk, Limit, megabytes
from raccall.units import NANOS_PER_SECOND, Nanos

SILENCE_S = 300.0
WINDOW: int = 10 * NANOS_PER_SECOND
LOST_FOR: int = 30 * NANOS_PER_SECOND


class Alarms:
    """All kinds of one recording."""

    def __init__(self, now: Nanos, *, silence_s: float = SILENCE_S) -> None:
        """silence_s: before `no_sound`; 0: never."""
        self._silence = int(silence_s * NANOS_PER_SECOND)
        self._on: dict[str, Alarm] = {}
        self._changes: list[Alarm] = []
        self._sound = now
        self._packets = _Readings()
        self._frames = _Readings()
        self._lost_here = 0
        self._lost_at: Nanos | None = None

    @property
    def active(self) -> tuple[Alarm, ...]:
        """Those that are on, the oldest first."""
        return tuple(self._on.values())

    def look(
        self,
        now: Nanos,
        *,
        can_speak: bool,
        sound: bool,
        opened: int,
        refused: int,
        decrypted: int,
        undecrypted: int,
        ghosts: int,
        lost_here: int,
        outage: str,
        backlog: float,
        disk: Disk | None,
    ) -> list[Alarm]:
        """Judge one instant. opened, refused, decrypted, undecrypted: since the last look (the last one is less than 0
        when keys come for what waited); ghosts: now; lost_here: so far. Returns what begins or ends."""
        self._changes = []
        self._set(now, "connection", bool(outage), outage, "The connection is back.")
        self._look_for_sound(now, can_speak=can_speak, sound=sound, connected=not outage)
        self._look_at_packets(now, opened, refused)
        self._look_at_keys(now, decrypted, undecrypted, ghosts)
        self._look_for_losses(now, lost_here)
        behind = True if backlog >= 0.5 else False if backlog < 0.1 else None
        self._set(
            now,
            "writer_behind",
            behind,
            "The disk is too slow: it is more than two seconds behind. At five the recording stops.",
            "The disk keeps up again.",
        )
        if disk is not None:
            self._look_at_disk(now, disk)
        return self._changes

    def _look_for_sound(self, now: Nanos, *, can_speak: bool, sound: bool, connected: bool) -> None:
        silent_s = (now - self._sound) // NANOS_PER_SECOND
        if sound or not can_speak:
            self._sound = now
            again = f"Sound again after {_duration(silent_s)}." if sound else "Nobody is here who could speak."
            self._set(now, "no_sound", False, "", again)
        elif not connected:
            self._sound = now  # nothing can be heard, and there is an alarm for it
        elif self._silence and now - self._sound >= self._silence:
            text = f"No sound for {_duration(silent_s)}, though people are here and not muted."
            self._set(now, "no_sound", True, text, "")

    def _look_at_packets(self, now: Nanos, opened: int, refused: int) -> None:
        opened, refused = self._packets.add(now, opened, refused)
        which = "None" if not opened else f"Only {opened}"
        text = f"{which} of {opened + refused} packets in ten seconds could be opened."
        self._set(now, "unreadable", _mostly_bad(opened, refused), text, "What arrives can be opened again.")

    def _look_at_keys(self, now: Nanos, decrypted: int, undecrypted: int, ghosts: int) -> None:
        decrypted, undecrypted = self._frames.add(now, decrypted, undecrypted)
        which = "None" if not decrypted else f"Only {decrypted}"
        text = f"{which} of {decrypted + undecrypted} encrypted frames in ten seconds could be decrypted."
        wrong = _mostly_bad(decrypted, undecrypted)
        self._set(now, "undecryptable", wrong, text, "What arrives can be decrypted again.")
        text = "Somebody who is not shown in the room can listen, or the server tried to let them."
        self._set(now, "ghost", ghosts > 0, text, "Nobody listens any more who is not shown in the room.")

    def _look_for_losses(self, now: Nanos, lost_here: int) -> None:
        fresh, self._lost_here = lost_here - self._lost_here, lost_here
        if fresh > 0:
            self._lost_at = now
            text = f"This machine is too busy: {fresh} packets were lost on it."
            self._set(now, "lost_here", True, text, "")
        elif self._lost_at is not None and now - self._lost_at >= LOST_FOR:
            self._set(now, "lost_here", False, "", "No packets are lost on this machine any more.")

    def _look_at_disk(self, now: Nanos, disk: Disk) -> None:
        near = disk.limit is Limit.DISK
        about = "" if disk.left_s is None else f", about {_duration(int(disk.left_s))}"
        left = f"{megabytes(max(disk.left_bytes, 0))} are left to record{about}."
        room = "There is room on the disk again."
        low, full = _below(disk, 30, 100), _below(disk, 5, 20)
        self._set(now, "disk_low", near and low, f"Room on the disk runs low: {left}", room)
        self._set(now, "disk_nearly_full", near and full, f"The disk is nearly full: {left}", room)
        reached = not near and _below(disk, 5, 0)
        self._set(
            now, "size_limit", reached, f"The size limit is nearly reached: {left}", "The size limit is far again."
        )

    def _set(self, now: Nanos, kind: str, wrong: bool | None, text: str, all_clear: str) -> None:
        """wrong: None leaves it as it is."""
        if wrong and kind not in self._on:
            self._on[kind] = Alarm(now=now, kind=kind, text=text)
            self._changes.append(self._on[kind])
        elif wrong is False and kind in self._on:
            del self._on[kind]
            self._changes.append(Alarm(now=now, kind=kind, text=all_clear, ended=True))


class _Readings:
    """What was good and what was bad in the last ten seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[Nanos, int, int]] = deque()

    def add(self, now: Nanos, good: int, bad: int) -> tuple[int, int]:
        """What came since the last time. Returns the window's sums, at least 0."""
        if good or bad:
            self._readings.append((now, good, bad))
        while self._readings and self._readings[0][0] <= now - WINDOW:
            self._readings.popleft()
        return sum(reading[1] for reading in self._readings), max(sum(reading[2] for reading in self._readings), 0)


def _mostly_bad(good: int, bad: int) -> bool | None:
    """None: neither clearly so nor clearly not."""
    if bad >= 50 and bad >= good:
        return True
    return False if good >= 25 and bad * 10 < good else None


def _below(disk: Disk, minutes: int, size_mb: int) -> bool | None:
    """None: no longer below, and not yet a good third above."""
    left_bytes, left_s = disk.left_bytes, math.inf if disk.left_s is None else disk.left_s
    if left_bytes < size_mb * 1_000_000 or left_s < 60 * minutes:
        return True
    return None if left_bytes < size_mb * 1_350_000 or left_s < 60 * minutes * 1.35 else False


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
