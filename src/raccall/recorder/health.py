"""How a recording goes while it goes on: a meter a speaker, loss by hop, the disk, and alarms.

A pure core: it is shown everything that is known a few times a second, and remembers what it needs to compare.

    health = Health(now)
    for alarm in health.look(now, observation):      # events for the journal's log; see `alarms` for the rules
        ...
    health.report                                    # what a screen shows

Levels come from the packets' headers; nothing is decoded while recording.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raccall.recorder.alarms import SILENCE_S, Alarms
from raccall.recorder.events import Alarm
from raccall.recorder.space import Disk
from raccall.units import NANOS_PER_SECOND, Nanos, Ssrc

WINDOW: int = 10 * NANOS_PER_SECOND
"""Loss is shown of the last ten seconds: longer hides what is wrong now, shorter makes one packet a percentage."""

SILENT_DB = -127.0


class SourceFigures(Protocol):
    """One SSRC as received since the connection began: an engine's `SourceStats` is one."""

    @property
    def ssrc(self) -> Ssrc: ...
    @property
    def received(self) -> int: ...
    @property
    def lost(self) -> int:
        """By sequence number; falls when a packet comes late."""

    @property
    def jitter_ms(self) -> float: ...
    @property
    def level_db(self) -> float: ...
    @property
    def talking(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the room; recorders are none."""

    user_id: str
    name: str
    muted: bool = False
    kept: bool = True
    """Agreed to be recorded: nobody else's voice comes here."""
    uplink_loss_pct: float | None = None
    """Lost on the way from them to the server, as the server says; None while it does not."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that is known at one instant. Counts are since the connection began."""

    connection: int = 0
    """Another number: the counts begin anew."""
    people: Sequence[Person] = ()
    owners: Mapping[Ssrc, str] = field(default_factory=dict)
    """SSRC → user id."""
    sources: Sequence[SourceFigures] = ()
    refused: int = 0
    """Datagrams that could not be opened or read, so that what they held is not recorded."""
    decrypted: int = 0
    """Frames of end-to-end encryption that were opened, and those that needed no key."""
    undecrypted: Mapping[str, int] = field(default_factory=dict)
    """Those that were not, by reason; "waiting" ones may still be."""
    ghosts: int = 0
    """People who can listen, or were to, and are not shown in the room."""
    kernel_drops: int = 0
    lost_in_reader: int = 0
    """Since the recording began."""
    outage: str = ""
    """Which connection is lost, in a sentence; empty while all is well."""
    backlog: float = 0.0
    """How much of what may wait for the disk does, 0 to 1."""
    disk: Disk | None = None


@dataclass(frozen=True, slots=True)
class SpeakerHealth:
    """One person's voice."""

    user_id: str
    """Empty for a voice whose owner is not known yet."""
    name: str
    muted: bool
    kept: bool
    """Agreed to be recorded."""
    talking: bool
    level_db: float
    """Against full scale; -127 is silence."""
    packets: int
    loss_pct: float
    """Of the last ten seconds, all hops."""
    uplink_loss_pct: float | None
    """Of it, lost between them and the server, where the server says so."""
    jitter_ms: float
    silent_s: float | None
    """Since they were last heard; None: never."""


@dataclass(frozen=True, slots=True)
class HopLoss:
    """Packets lost since the recording began, by where."""

    network: int = 0
    """Between the speakers and this machine, by sequence number."""
    kernel: int = 0
    """By this machine's socket buffer."""
    reader: int = 0
    """By this program."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All of it at one instant."""

    seconds: float
    """Since the recording began."""
    speakers: tuple[SpeakerHealth, ...] = ()
    """Who is in the room, in the order they came, then voices whose owner is not known."""
    voices: int = 0
    """Of whom anything was received so far; some may have left."""
    packets: int = 0
    loss_pct: float = 0.0
    """Of the last ten seconds, everyone, all hops."""
    lost: HopLoss = HopLoss()
    refused: int = 0
    undecrypted: dict[str, int] = field(default_factory=dict)
    """Frames of end-to-end encryption that could not be opened since the recording began, by reason."""
    backlog: float = 0.0
    disk: Disk | None = None
    alarms: tuple[Alarm, ...] = ()
    """That are on, the oldest first."""


class Health:
    """One recording's health."""

    def __init__(self, now: Nanos, *, silence_s: float = SILENCE_S) -> None:
        """silence_s: how long nothing may be heard of people who are not muted; then it is an alarm. 0: for ever."""
        self._began = now
        self._connection = 0
        self._seen: dict[Ssrc, tuple[int, int]] = {}
        self._owners: dict[Ssrc, str] = {}
        self._before: Observation = Observation()
        self._voices: dict[str, _Voice] = {}
        self._kernel = 0
        self._refused = 0
        self._undecrypted: Counter[str] = Counter()
        self._alarms = Alarms(now, silence_s=silence_s)
        self.report = HealthReport(0.0)
        """As of the last look."""

    def look(self, now: Nanos, seen: Observation) -> list[Alarm]:
        """Take in what is known. Returns the alarms that begin or end with it."""
        if seen.connection != self._connection:
            self._connection = seen.connection
            self._seen.clear()
            self._owners.clear()
            self._undecrypted["expired"] += self._before.undecrypted.get("waiting", 0)  # nobody waits any more
            self._undecrypted["waiting"] = 0
            self._before = Observation()
        self._owners.update(seen.owners)  # remembered: a voice goes on for a moment after its owner has left
        came = self._count(now, seen)
        self._kernel += max(seen.kernel_drops - self._before.kernel_drops, 0)
        refused = max(seen.refused - self._before.refused, 0)
        self._refused += refused
        decrypted = max(seen.decrypted - self._before.decrypted, 0)
        fresh = {reason: count - self._before.undecrypted.get(reason, 0) for reason, count in seen.undecrypted.items()}
        self._undecrypted.update(fresh)
        self._before = seen
        speakers = self._speakers(now, seen)
        changes = self._alarms.look(
            now,
            can_speak=any(person.kept and not person.muted for person in seen.people),
            sound=any(speaker.talking for speaker in speakers),
            opened=came,
            refused=refused,
            decrypted=decrypted,
            undecrypted=sum(fresh.values()),
            ghosts=seen.ghosts,
            lost_here=self._kernel + seen.lost_in_reader,
            outage=seen.outage,
            backlog=seen.backlog,
            disk=seen.disk,
        )
        lost = sum(voice.lost for voice in self._voices.values())
        self.report = HealthReport(
            seconds=(now - self._began) / NANOS_PER_SECOND,
            speakers=speakers,
            voices=len(self._voices),
            packets=sum(voice.packets for voice in self._voices.values()),
            loss_pct=_loss_pct(voice.recent(now) for voice in self._voices.values()),
            lost=HopLoss(max(lost - self._kernel, 0), self._kernel, seen.lost_in_reader),
            refused=self._refused,
            undecrypted={reason: count for reason, count in self._undecrypted.items() if count},
            backlog=seen.backlog,
            disk=seen.disk,
            alarms=self._alarms.active,
        )
        return changes

    def _count(self, now: Nanos, seen: Observation) -> int:
        """Credit what came to its owners. Returns how many packets did."""
        came = 0
        for voice in self._voices.values():
            voice.begin_look()
        for source in seen.sources:
            received, lost = self._seen.get(source.ssrc, (0, 0))
            self._seen[source.ssrc] = (source.received, source.lost)
            voice = self._voice_of(source.ssrc)
            voice.add(now, source, source.received - received, source.lost - lost)
            came += source.received - received
        return came

    def _voice_of(self, ssrc: Ssrc) -> "_Voice":
        """Of its owner; what came before the owner was known is theirs, too."""
        stranger = f"ssrc {ssrc}"
        owner = self._owners.get(ssrc, stranger)
        if owner not in self._voices:
            self._voices[owner] = self._voices.pop(stranger, _Voice())
        return self._voices[owner]

    def _speakers(self, now: Nanos, seen: Observation) -> tuple[SpeakerHealth, ...]:
        speakers = [self._speaker(now, person, self._voices.get(person.user_id, _Voice())) for person in seen.people]
        for source in seen.sources:
            if source.ssrc not in self._owners and (voice := self._voice_of(source.ssrc)).recent(now)[0]:
                speakers.append(self._speaker(now, Person("", f"voice {source.ssrc}"), voice))
        return tuple(speakers)

    def _speaker(self, now: Nanos, person: Person, voice: "_Voice") -> SpeakerHealth:
        return SpeakerHealth(
            user_id=person.user_id,
            name=person.name,
            muted=person.muted,
            kept=person.kept,
            talking=voice.talking,
            level_db=voice.level_db,
            packets=voice.packets,
            loss_pct=_loss_pct([voice.recent(now)]),
            uplink_loss_pct=person.uplink_loss_pct,
            jitter_ms=voice.jitter_ms,
            silent_s=None if voice.heard is None else (now - voice.heard) / NANOS_PER_SECOND,
        )


class _Voice:
    """What is remembered of one person, over all their SSRCs and our connections."""

    def __init__(self) -> None:
        self.packets = self.lost = 0
        self.talking = False
        self.level_db = SILENT_DB
        self.jitter_ms = 0.0
        self.heard: Nanos | None = None
        self._history: deque[tuple[Nanos, int, int]] = deque()

    def begin_look(self) -> None:
        self.talking, self.level_db = False, SILENT_DB

    def add(self, now: Nanos, source: SourceFigures, packets: int, lost: int) -> None:
        """One of their sources since the last look. A level is old when no packet came with it."""
        self.packets += packets
        self.lost += lost
        if packets or lost:
            self._history.append((now, packets, lost))
        if packets:
            self.talking |= source.talking
            self.level_db = max(self.level_db, source.level_db)
            self.jitter_ms = source.jitter_ms
        if self.talking:
            self.heard = now

    def recent(self, now: Nanos) -> tuple[int, int]:
        """Packets that came and that were lost within the window."""
        while self._history and self._history[0][0] <= now - WINDOW:
            self._history.popleft()
        return sum(packets for _, packets, _ in self._history), sum(lost for _, _, lost in self._history)


def _loss_pct(counts: Iterable[tuple[int, int]]) -> float:
    came = lost = 0
    for packets, missing in counts:
        came += packets
        lost += missing
    lost = max(lost, 0)  # late packets fill gaps of before the window
    return 100.0 * lost / (came + lost) if lost else 0.0
