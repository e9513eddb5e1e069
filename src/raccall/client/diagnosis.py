"""What went wrong with the sound, in one sentence; and how the link did, now and over the whole call. Pure: no clock.

    watch = LinkWatch()
    for sentence in watch.look(session.stats(), now): ...      # about twice a second
    watch.link, watch.total

Between two looks the counters differ; the first cause below that fits what was heard is told, nearest to the ear first:
this machine, its sound card, the way from the server, the speaker's own way, our way to the server. The same cause is
told once in ten seconds.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos, Ssrc
from raccall.voice.engine import EngineStats, SourceStats

KEPT_LOOKS = 120
"""A minute, at two looks a second; older ones are dropped."""
TOLD_AGAIN_NS = 10 * NANOS_PER_SECOND
FRAME_MS = 20
HEARD_MS = 100
"""Made-up sound that is noticed: half a syllable."""
STALL_JITTER_MS = 20.0
"""Interarrival jitter beyond this is a link that stops and goes."""
FULL_MS = 100.0
"""What packets wait in an uplink that is full."""
MUCH_LOSS_PCT = 10.0
SHOWN_LOSS_PCT = 2.0


@dataclass(frozen=True, slots=True)
class Link:
    """One stretch of a call: between two looks, or all of it."""

    seconds: float = 0.0
    loss_up_pct: float = 0.0
    """You to the server."""
    loss_down_pct: float = 0.0
    """Of what the server sent or others lost before it, on the way to you."""
    repaired_pct: float = 0.0
    """Of the sound played, lost and taken from what later packets carried of it (LBRR, DRED)."""
    concealed_pct: float = 0.0
    """Of the sound played, made up."""
    stretched_pct: float = 0.0
    """Of the sound played, added or left out to follow the delay."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What the counters say about the time between two looks. Sources that are new count from zero."""

    ms: float
    received: int
    lost: int
    repaired_ms: int
    concealed_ms: int
    stretched_ms: int
    worst: Ssrc | None
    """Of whom most was made up, if the others were heard well meanwhile."""
    jitter_ms: float
    kernel_drops: int
    gaps: int
    late_ticks: int
    overruns: int
    route_changes: int


class LinkWatch:
    """Looks at one call's numbers again and again."""

    def __init__(self) -> None:
        self._before: EngineStats | None = None
        self._before_at = Nanos(0)
        self._looks: deque[tuple[Nanos, EngineStats]] = deque(maxlen=KEPT_LOOKS)
        self._told: dict[str, Nanos] = {}
        self._total = [0.0] * 7  # ms; received, lost; repaired, concealed, stretched ms; uplink loss × ms
        self._played_ms = 0.0
        self.link = Link()
        """Since the look before."""
        self.glitches = 0

    @property
    def total(self) -> Link:
        """Of the whole call."""
        ms, received, lost, repaired_ms, concealed_ms, stretched_ms, up = self._total
        return Link(
            seconds=ms / 1000,
            loss_up_pct=up / ms if ms else 0.0,
            loss_down_pct=_percent(lost, received + lost),
            repaired_pct=_percent(repaired_ms, self._played_ms),
            concealed_pct=_percent(concealed_ms, self._played_ms),
            stretched_pct=_percent(stretched_ms, self._played_ms),
        )

    def look(self, stats: EngineStats, now: Nanos, names: Mapping[Ssrc, str] | None = None) -> list[str]:
        """Sentences about what was just heard, mostly none. names: of the people whose voices the Sources are."""
        self._looks.append((now, stats))
        before, at = self._before, self._before_at
        self._before, self._before_at = stats, now
        # A voice session that began anew counts from zero again.
        if before is None or stats.sent_packets < before.sent_packets:
            return []
        change = _change(before, stats, (now - at) / NANOS_PER_MS)
        self._add_up(change, stats)
        said = []
        for cause, sentence in _causes(change, stats, names or {}):
            last = self._told.get(cause)
            if last is None or now - last >= TOLD_AGAIN_NS:
                self._told[cause] = now
                self.glitches += 1
                said.append(sentence)
            break
        return said

    def last_minute(self) -> Iterator[dict[str, Any]]:
        """The counters at each look of the last minute: `at_ms` since the first of them, and all of EngineStats."""
        for at, stats in self._looks:
            yield {"at_ms": (at - self._looks[0][0]) // NANOS_PER_MS, **asdict(stats)}

    def _add_up(self, change: _Change, stats: EngineStats) -> None:
        up_pct = stats.uplink_loss_pct or 0.0
        played_ms = FRAME_MS * change.received + change.repaired_ms + change.concealed_ms
        self._played_ms += played_ms
        made = (change.repaired_ms, change.concealed_ms, change.stretched_ms)
        news = (change.ms, change.received, change.lost, *made, up_pct * change.ms)
        self._total = [total + new for total, new in zip(self._total, news, strict=True)]
        self.link = Link(
            seconds=change.ms / 1000,
            loss_up_pct=up_pct,
            loss_down_pct=_percent(change.lost, change.received + change.lost),
            repaired_pct=_percent(change.repaired_ms, played_ms),
            concealed_pct=_percent(change.concealed_ms, played_ms),
            stretched_pct=_percent(change.stretched_ms, played_ms),
        )


def _causes(change: _Change, stats: EngineStats, names: Mapping[Ssrc, str]) -> Iterator[tuple[str, str]]:
    """What could be said, the likeliest first."""
    if change.kernel_drops:
        yield (
            "cpu",
            f"This machine was too busy to take {change.kernel_drops} packets: other programs need its processor.",
        )
    if change.gaps and change.late_ticks:
        yield "cpu", "The sound broke off because this machine was too busy: other programs need its processor."
    if change.gaps:
        yield (
            "device",
            "The sound broke off at the loudspeaker: its device or driver asked later or for more than usual.",
        )
    if change.overruns and change.late_ticks:
        yield "cpu", "Some of what you said was lost because this machine was too busy."
    if change.overruns:
        yield "clock", "The microphone gives sound faster than its clock says; a moment of it was left out."
    if change.route_changes:
        route = "over the web connection, for UDP does not get through" if stats.route == "tunnel" else "by UDP again"
        yield "route", f"The way to the server changed: voice now goes {route}."
    if change.concealed_ms >= HEARD_MS:
        yield from _network_causes(change, stats, names)
    if stats.uplink_queue_ms >= FULL_MS:
        yield (
            "uplink_full",
            f"Your way to the server is full: what you say waits {stats.uplink_queue_ms:.0f} ms there. It is sent at "
            f"{stats.bitrate_bps / 1000:.0f} kb/s now; an upload may be running.",
        )
    if (stats.uplink_loss_pct or 0.0) >= MUCH_LOSS_PCT:
        yield (
            "uplink_loss",
            f"The others miss {stats.uplink_loss_pct:.0f} % of what you say: lost on your way to the server.",
        )


def _network_causes(change: _Change, stats: EngineStats, names: Mapping[Ssrc, str]) -> Iterator[tuple[str, str]]:
    if change.worst is not None and len(stats.sources) > 1:
        yield "speaker", f"{names.get(change.worst, 'One voice')} was hard to hear: their own way to the server failed."
    loss_pct = _percent(change.lost, change.received + change.lost)
    if change.jitter_ms >= STALL_JITTER_MS and loss_pct < MUCH_LOSS_PCT:
        yield (
            "stall",
            "Packets stopped and then came all at once, as on a Wi-Fi or mobile link that is busy or far away.",
        )
    if loss_pct >= SHOWN_LOSS_PCT:
        yield "loss", f"{loss_pct:.0f} % of the packets were lost on the way to you, as on a weak Wi-Fi link."
    yield "late", "Packets came too late to be played: the network's delay has just grown."


def _change(before: EngineStats, after: EngineStats, ms: float) -> _Change:
    known = {source.ssrc: source for source in before.sources}
    made_up = {source.ssrc: FRAME_MS * _grown(known, source, "concealed") for source in after.sources}
    worst = max(made_up, key=made_up.__getitem__, default=None)
    others_ms = sum(made_up.values()) - made_up.get(worst, 0) if worst is not None else 0
    return _Change(
        ms=ms,
        received=sum(_grown(known, source, "received") for source in after.sources),
        lost=sum(_grown(known, source, "lost") for source in after.sources),
        repaired_ms=sum(
            FRAME_MS * _grown(known, source, counter)
            for source in after.sources
            for counter in ("recovered", "respoken")
        ),
        concealed_ms=sum(made_up.values()),
        stretched_ms=sum(_grown(known, source, "stretched_ms") for source in after.sources),
        worst=worst
        if worst is not None and made_up[worst] > 0 and others_ms == 0 and _others_talk(after, worst)
        else None,
        jitter_ms=max((source.jitter_ms for source in after.sources if made_up[source.ssrc]), default=0.0),
        kernel_drops=after.kernel_drops - before.kernel_drops,
        gaps=after.playback_gaps - before.playback_gaps,
        late_ticks=after.late_ticks - before.late_ticks,
        overruns=after.capture_overruns - before.capture_overruns,
        route_changes=after.route_changes - before.route_changes,
    )


def _others_talk(stats: EngineStats, but: Ssrc) -> bool:
    return any(source.talking for source in stats.sources if source.ssrc != but)


def _grown(known: Mapping[Ssrc, SourceStats], source: SourceStats, counter: str) -> int:
    """A decoder that was let go counts from zero again; a late packet takes a loss back."""
    before = getattr(known[source.ssrc], counter) if source.ssrc in known else 0
    after: int = getattr(source, counter)
    return max(after - before, 0)


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole > 0 else 0.0
