"""A capture becomes a recording's folder: each datagram opened, in the journal at the time it was captured."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from raccall import __version__
from raccall._native import PacketBatch
from raccall.errors import InputError, StorageError
from raccall.recorder.events import EventWriter, MemberJoined, Source, Start, Stop
from raccall.recorder.importing.capture import Capture
from raccall.recorder.importing.datagrams import Datagram, datagram_of
from raccall.recorder.importing.opener import Opener
from raccall.recorder.importing.owners import Owner
from raccall.recorder.importing.server import Server
from raccall.recorder.journal import JournalWriter, TimeBase
from raccall.recorder.placement import EVENTS, JOURNAL
from raccall.recorder.recorder import check_folder
from raccall.units import NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import TRANSPORT_MODES

MAX_SPAN_S = 30 * 86_400
"""A packet further from the first one has a wrong time: a recording lasts a month at most."""
MAX_DISORDER_NS = NANOS_PER_SECOND
"""Captures of several processors are out of order by less. Beyond, the clock was set back; time goes on from there."""
MAX_WALL_NS = 1 << 62
"""The year 2116. Beyond, a capture's resolution or offset is damaged."""

_BATCH_PACKETS = 4096
_HINT_DATAGRAMS = 20_000
"""So many are tried in all modes to tell a wrong mode from a wrong key."""
_BEGIN = Nanos(1_000 * NANOS_PER_SECOND)
"""The recording's monotonic clock at its first packet: any time that leaves room before it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found."""

    counts: dict[str, int]
    """Captured packets by what became of them; see `Skipped`, `Opener.open`, and here: "elsewhere" (not of the
    server), "impossible_time", "clock_set_back" (times, not packets). Absent: none."""
    modes: dict[str, int]
    """Opened datagrams by transport mode."""
    capture_ended: str
    """"whole", "cut" or "damaged"."""
    seconds: float
    """From the first packet of voice to the last."""


def import_capture(
    path: Path,
    folder: Path,
    keys: Sequence[bytes],
    *,
    modes: Sequence[str] = TRANSPORT_MODES,
    server: Server | None = None,
    owners: Mapping[Ssrc, Owner] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Imported:
    """Write journal and events of a recording into a new or empty folder; `render` makes the rest.

    modes: those that are tried. progress: called with the share done. Nothing is left in the folder on an error:
    InputError as `check_folder` and `Capture.packets` raise it, or "nothing_opened", "wrong_mode", "no_voice",
    "end_to_end_encrypted"; StorageError "folder_unwritable", "import_failed".
    """
    check_folder(folder)
    importing = _Importing(path, folder, Opener(keys, modes), server or Server(), owners or {})
    try:
        return importing.run(progress or (lambda share: None))
    except _Nothing:
        raise _why_nothing(importing, keys, modes) from None


class _Nothing(Exception):
    """No packet of voice was found."""


class _Importing:
    def __init__(self, path: Path, folder: Path, opener: Opener, server: Server, owners: Mapping[Ssrc, Owner]) -> None:
        self.capture = Capture(path)
        self.counts: Counter[str] = Counter()
        self.opener = opener
        self.server = server
        self._owners = owners
        self._folder = folder
        self._clock = _CaptureClock()
        self._known: set[Ssrc] = set()
        self._waiting: list[TappedPacket] = []
        self._writers: tuple[JournalWriter, EventWriter] | None = None

    def run(self, progress: Callable[[float], None]) -> Imported:
        made_folder = not self._folder.exists()
        try:
            self._read(progress)
            self.opener.close()
            self.counts.update(self.opener.counts)
            self._close()
        except BaseException as error:
            self._discard(made_folder)
            if isinstance(error, OSError):
                why = error.strerror or error
                raise StorageError("import_failed", f"{self._folder} cannot be written: {why}.") from error
            raise
        counts = self.counts + Counter(clock_set_back=self._clock.set_back)
        return Imported(dict(counts), dict(self.opener.modes), self.capture.ended, self._clock.seconds)

    def _read(self, progress: Callable[[float], None]) -> None:
        size = max(self.capture.path.stat().st_size, 1) if self.capture.path.exists() else 1
        for number, captured in enumerate(self.capture.packets()):
            if number % _BATCH_PACKETS == 0:
                progress(min(self.capture.at / size, 1.0))
            datagram = datagram_of(captured)
            if isinstance(datagram, str):
                self.counts[datagram] += 1
            elif not self.server.has_part_in(datagram):
                self.counts["elsewhere"] += 1
            else:
                self._take(datagram)

    def _take(self, datagram: Datagram) -> None:
        now = self._clock.now_of(datagram.wall_ns)
        if now is None:
            self.counts["impossible_time"] += 1
            return
        packets = self.opener.open(datagram.payload, now)
        if packets and self._writers is None:
            self._clock.begin(datagram.wall_ns)
            self._begin(datagram.wall_ns)
        for packet in packets:
            if packet.ssrc not in self._known:
                self._introduce(packet)
            self._waiting.append(packet)
        if packets:
            self._clock.take(datagram.wall_ns, packets[-1].arrival)
        if len(self._waiting) >= _BATCH_PACKETS:
            self._write()

    def _begin(self, wall_ns: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        events = EventWriter(self._folder / EVENTS)
        journal = JournalWriter(
            self._folder / JOURNAL, TimeBase(_BEGIN, wall_ns), application=f"Raccall {__version__} import"
        )
        self._writers = journal, events
        wall = datetime.fromtimestamp(wall_ns / NANOS_PER_SECOND, UTC).isoformat()
        room = self.capture.path.stem
        events.append(Start(now=_BEGIN, wall_ns=wall_ns, wall=wall, room=room, version=__version__))

    def _introduce(self, packet: TappedPacket) -> None:
        self._known.add(packet.ssrc)
        owner = self._owners.get(packet.ssrc)
        if owner is not None and self._writers is not None:
            _, events = self._writers
            events.append(MemberJoined(now=packet.arrival, user_id=owner.user_id, name=owner.name))
            events.append(Source(now=packet.arrival, ssrc=packet.ssrc, user_id=owner.user_id, name=owner.name))

    def _write(self) -> None:
        if self._writers is not None and self._waiting:
            self._waiting.sort(key=lambda packet: packet.arrival)  # some may have waited to be believed
            rows = [(p.arrival, p.ssrc, p.sequence, p.timestamp, p.rtp) for p in self._waiting]
            self._writers[0].append(PacketBatch(rows))
            self._waiting.clear()

    def _close(self) -> None:
        if self._writers is None:
            raise _Nothing
        self._write()
        journal, events = self._writers
        events.append(Stop(now=self._clock.last, reason="imported"))
        events.close()
        journal.close()

    def _discard(self, made_folder: bool) -> None:
        if self._writers is None:
            return
        for writer in self._writers:
            writer.close()
        for name in (JOURNAL, EVENTS):
            (self._folder / name).unlink(missing_ok=True)
        if made_folder:
            self._folder.rmdir()


class _CaptureClock:
    """From the capture's wall clock, which may be set, to a recording's, which never goes back."""

    def __init__(self) -> None:
        self.last = _BEGIN
        self.set_back = 0
        self._first_wall: int | None = None
        self._newest_wall = 0
        self._offset = 0

    @property
    def seconds(self) -> float:
        return (self.last - _BEGIN) / NANOS_PER_SECOND

    def begin(self, wall_ns: int) -> None:
        """The first packet of voice: here the recording begins."""
        self._first_wall = self._newest_wall = wall_ns
        self._offset = _BEGIN - wall_ns

    def now_of(self, wall_ns: int) -> Nanos | None:
        """None: further from the beginning than a recording can last, or no date at all."""
        if self._first_wall is None:
            return _BEGIN if 0 <= wall_ns < MAX_WALL_NS else None
        if abs(wall_ns - self._first_wall) > MAX_SPAN_S * NANOS_PER_SECOND:
            return None
        if wall_ns < self._newest_wall - MAX_DISORDER_NS:
            return self.last
        return Nanos(max(wall_ns + self._offset, self.last))

    def take(self, wall_ns: int, now: Nanos) -> None:
        """A packet of voice came then. Only these move the clock: any other packet's time may be wrong."""
        if wall_ns < self._newest_wall - MAX_DISORDER_NS:
            self.set_back += 1
            self._offset = now - wall_ns
            self._newest_wall = wall_ns
        self._newest_wall = max(self._newest_wall, wall_ns)
        self.last = now


def _why_nothing(importing: _Importing, keys: Sequence[bytes], modes: Sequence[str]) -> InputError:
    """Why there is no voice in it, in one sentence."""
    path, counts = importing.capture.path, importing.counts
    if counts["end_to_end_encrypted"]:
        return InputError(
            "end_to_end_encrypted",
            f"The voice in {path} is end-to-end encrypted (DAVE); its keys are with the members, not in a capture.",
        )
    sealed = counts["not_opened"]
    if sealed:
        other = _mode_that_opens(importing, keys, [mode for mode in TRANSPORT_MODES if mode not in modes])
        if other:
            return InputError(
                "wrong_mode", f"The voice in {path} is sealed with {other}, not with {' or '.join(modes)}."
            )
        return InputError(
            "nothing_opened",
            f"None of the {sealed} sealed voice packets in {path} opens with the {_number(keys)} given, in any mode.",
        )
    datagrams = sum(counts[kind] for kind in ("not_voice", "reports", "other_payload"))
    if datagrams:
        return InputError("no_voice", f"Of the {datagrams} UDP packets in {path} none looks like a voice packet.")
    if counts["elsewhere"]:
        return InputError(
            "no_voice", f"None of the {counts['elsewhere']} UDP packets in {path} is from or to that server."
        )
    if counts["other_link"]:
        return InputError(
            "no_voice", f"{path} was captured on a kind of network that is not read: {counts['other_link']} packets."
        )
    total = sum(counts.values())
    return InputError(
        "no_voice", f"{path} holds {f'{total} packets, but ' if total else ''}no UDP packet that is whole."
    )


def _number(keys: Sequence[bytes]) -> str:
    return "key" if len(keys) == 1 else f"{len(keys)} keys"


def _mode_that_opens(importing: _Importing, keys: Sequence[bytes], modes: Sequence[str]) -> str | None:
    opener = Opener(keys, modes)
    found = map(datagram_of, Capture(importing.capture.path).packets())
    datagrams = (one for one in found if not isinstance(one, str) and importing.server.has_part_in(one))
    for datagram in islice(datagrams, _HINT_DATAGRAMS):
        opener.open(datagram.payload, _BEGIN)
        if opener.modes:
            return next(iter(opener.modes))
    return None
