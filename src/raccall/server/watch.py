"""How the calls go, looked at every WATCH_EVERY_S: what operators and Prometheus are shown. Pure: `now` is an argument.

The relay counts for each voice session since its beginning. Here the looks become rates, and sums that outlive sessions
(what a session did after the last look before its end is not in them).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from raccall.units import NANOS_PER_SECOND, SAMPLE_RATE_HZ, Nanos

WATCH_EVERY_S = 2.0
FRACTIONS = 256
"""Of a receiver report's fraction lost (RFC 3550 section 6.4.1)."""
SUMMED = ("received", "received_bytes", "lost", "sent", "sent_bytes")

Stats = Mapping[str, int]
"""`Relay.session_stats` of one session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceNow:
    """One voice session between the last two looks."""

    up_loss_pct: float | None
    """Between the member and the server; None while nothing comes."""
    down_loss_pct: float
    """Between the server and the member, as the member reported last, of its worst source."""
    up_kbps: float
    down_kbps: float
    jitter_ms: float
    """Of what comes from the member (RFC 3550)."""


class Watch:
    """Of one server."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = dict.fromkeys(SUMMED, 0)
        """Of all sessions since the server's start, by the relay's names."""
        self.voices: dict[int, VoiceNow] = {}
        """By session id."""
        self.loop_lag_s = 0.0
        """How late the event loop was at worst since the last look but one."""
        self._lags = [0.0, 0.0]
        self._before: dict[int, Stats] = {}
        self._looked: Nanos | None = None

    def lag(self, seconds: float) -> None:
        """A timer of the event loop came so late."""
        self._lags[-1] = max(self._lags[-1], seconds)
        self.loop_lag_s = max(self._lags)

    def look(self, now: Nanos, sessions: Mapping[int, Stats]) -> None:
        """sessions: by session id, all there are."""
        seconds = (now - self._looked) / NANOS_PER_SECOND if self._looked is not None else 0.0
        self._looked = now
        self._lags = [self._lags[-1], 0.0]
        self.loop_lag_s = max(self._lags)
        self.voices = {}
        for session_id, stats in sessions.items():
            before = self._before.get(session_id, dict.fromkeys(SUMMED, 0))
            grown = {name: max(stats[name] - before[name], 0) for name in SUMMED}  # a late packet takes a loss back
            for name, count in grown.items():
                self.sums[name] += count
            self.voices[session_id] = _voice(grown, stats, seconds)
        self._before = dict(sessions)


def _voice(grown: Stats, stats: Stats, seconds: float) -> VoiceNow:
    came, lost = grown["received"], grown["lost"]
    return VoiceNow(
        up_loss_pct=round(100 * lost / (came + lost), 2) if came else None,
        down_loss_pct=round(100 * stats["heard_fraction_lost"] / FRACTIONS, 2),
        up_kbps=_kbps(grown["received_bytes"], seconds),
        down_kbps=_kbps(grown["sent_bytes"], seconds),
        jitter_ms=round(1000 * stats["jitter_ticks"] / SAMPLE_RATE_HZ, 2),
    )


def _kbps(grown_bytes: int, seconds: float) -> float:
    return round(8 * grown_bytes / 1000 / seconds, 1) if seconds > 0 else 0.0
