"""The voice path without a network: frames in and sealed datagrams out, datagrams in and mixed sound out.

    frame ─▶ SendChain.push ─▶ datagram ══▶ ReceiveChain.push ─▶ ReceiveChain.pull ─▶ frame

Both are pure and clocked by their user: a sound card, a 20 ms timer, or the virtual time of a test. `now` is monotonic
nanoseconds; where its zero is does not matter. The Engine runs the same chains in its own thread: this is their face
for bots, tests and measurements. A chain may be used from several threads, one call at a time runs; the GIL is
released while sound is encoded or decoded.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from raccall import _native
from raccall.units import Nanos, Ssrc
from raccall.voice.e2ee import EpochKeys
from raccall.voice.engine import Encryption, EncryptionStats, GateMode, SourceStats
from raccall.voice.tap import TappedPacket
from raccall.wire.packet import ReportBlock

__all__ = ["Frame", "LinkReport", "QueueReport", "ReceiveChain", "ReceiveReport", "SendChain"]

_BLOCK_COUNTS = tuple(field.name for field in fields(ReportBlock) if field.name != "ssrc")

Frame = NDArray[np.float32]
"""Samples: float32, shape (frames, 1), 48 kHz, within ±1."""


@dataclass(frozen=True, slots=True)
class QueueReport:
    """How packets wait on the way to the relay."""

    standing_ms: float
    """What every packet waits; 0 while some pass at once."""
    arrived_ms: float
    """How long it took what follows to arrive."""
    arrived_packets: int
    arrived_bytes: int
    """Sealed, without UDP and IP headers."""


@dataclass(frozen=True, slots=True)
class LinkReport:
    """How the way to the listeners is doing."""

    uplink_loss_pct: float
    """Packets that the relay missed since the last report, 0 to 100."""
    round_trip_ms: float | None = None
    """To the relay and back."""
    jitter_ms: float = 0.0
    """Interarrival jitter at the relay."""
    highest_sequence: int | None = None
    """The newest packet that the relay had."""
    queue: QueueReport | None = None
    """None from a relay that is not ours."""
    heard_loss_pct: float | None = None
    """Loss on the whole way to the listeners that three quarters of them do not exceed; None while none has told."""


@dataclass(frozen=True, slots=True)
class ReceiveReport:
    """What a ReceiveChain heard so far."""

    sources: tuple[SourceStats, ...]
    refused: dict[str, int]
    """Datagrams that were not used, by reason: too_short, malformed, bad_seal, payload_type, duplicate, too_old,
    too_many_sources, unencrypted, replayed. Reasons that did not occur are absent."""
    encryption: EncryptionStats
    """What became of encrypted frames; `encrypted` and `unsent` are a SendChain's and 0 here."""


class SendChain:
    """Frames in, sealed datagrams out: gain, limiter, Opus, encryption, RTP, seal.

    ssrc: the Source that speaks. mode: a transport mode by its wire name. key: 32 bytes.
    bitrate_bps: the largest used; `apply` lowers it on a poor link, to 6000 at least.
    complexity: of the encoder, 0 (least CPU) to 10 (best sound).
    expected_loss_pct: the least assumed; `apply` raises it up to 30.
    lbrr: each frame a second time, coarser, in the packet after it: a single lost packet costs nothing audible.
    dred_ms: 0 to 1040; so far back each packet tells of what was said before it, coarser still (DRED), so that whole
    bursts can be spoken again. It takes of the bitrate from 48 000 on, the more, the more loss is expected.
    dtx: send nothing while nobody speaks. music: whatever sounds, close to the original, without LBRR, DRED, DTX; best
    from 96 000 bits a second on. channels: 1, or 2 for stereo, which wants a third more; encoding it costs about twice
    as much. first_sequence, first_timestamp: where the counters start; any value will do.

    Raises ValueError for an unknown mode, a key of another length, or a number out of range.
    """

    def __init__(
        self,
        ssrc: int,
        mode: str,
        key: bytes,
        *,
        bitrate_bps: int = 32_000,
        complexity: int = 9,
        expected_loss_pct: int = 10,
        lbrr: bool = True,
        dred_ms: int = 0,
        dtx: bool = False,
        music: bool = False,
        channels: int = 1,
        first_sequence: int = 0,
        first_timestamp: int = 0,
    ) -> None:
        self._native = _native.SendChain(
            ssrc,
            mode,
            key,
            bitrate_bps=bitrate_bps,
            complexity=complexity,
            expected_loss_pct=expected_loss_pct,
            lbrr=lbrr,
            dred_ms=dred_ms,
            dtx=dtx,
            music=music,
            channels=channels,
            first_sequence=first_sequence,
            first_timestamp=first_timestamp,
        )

    def push(self, frame: Frame, now: Nanos) -> bytes | None:
        """Hand over 20 ms: float32, shape (960, channels), for mono also (960,), 48 kHz.

        Returns the datagram to send at once. None: the packet is longer and not full (`frame_ms`), muted, silent under
        `dtx`, held back because it would only wait, or the key's nonces are used up.
        Samples beyond ±1 are limited, those that are not finite become silence. ValueError for another shape.
        Only with a gate (`set_gate_mode`) there may be more to send at once: ask `more`.
        """
        return self._native.push(frame, now)

    def more(self, now: Nanos) -> list[bytes]:
        """The other datagrams to send at once: what was said just before the gate opened."""
        datagrams = []
        while self._native.has_more:
            if (datagram := self._native.more(now)) is not None:
                datagrams.append(datagram)
        return datagrams

    def set_gate_mode(self, mode: GateMode) -> None:
        """Which frames are sent, as `crates/media/src/gate.rs` begins with. OPEN at first."""
        self._native.set_gate_mode(mode)

    def set_pressed(self, pressed: bool) -> None:
        """The key of PUSH_TO_TALK."""
        self._native.set_pressed(pressed)

    def set_muted(self, muted: bool) -> None:
        """A muted chain sends one packet of silence, then nothing; its timestamps go on. Unmuting fades in in 20 ms."""
        self._native.set_muted(muted)

    def set_encryption(self, mode: Encryption) -> None:
        """Whether payloads are encrypted end to end. OFF at first; else nothing is sent until there are keys."""
        self._native.set_encryption(mode)

    def use_keys(self, keys: EpochKeys) -> None:
        """Encrypt with these from the next packet on. The same ones again change nothing: no nonce may repeat."""
        self._native.use_keys(keys)

    @property
    def encrypted_frames(self) -> int:
        return self._native.encryption_counts[0]

    @property
    def unsent_frames(self) -> int:
        """Those that were not sent because encryption is on and there was no key."""
        return self._native.encryption_counts[1]

    def set_gain_db(self, gain_db: float) -> None:
        """Takes effect with a 20 ms ramp from the next frame on. Range -60 to +12 dB, clamped."""
        self._native.set_gain_db(gain_db)

    def set_level_extension(self, on: bool) -> None:
        """Whether each packet tells its level in the header (RFC 6464, 8 bytes), so nobody decodes to draw a meter.

        On at first.
        """
        self._native.set_level_extension(on)

    def apply(self, report: LinkReport, now: Nanos) -> None:
        """Follow the link: bitrate, length of packets and expected loss, as `crates/media/src/rate.rs` begins with."""
        self._native.apply(astuple(report), now)

    def take_rtcp(self, rtcp: bytes, now: Nanos) -> LinkReport | None:
        """Read an opened RTCP packet (ReceiveChain.take_rtcp) and apply what it says about this Source, if anything."""
        if (report := self._native.take_rtcp(rtcp, now)) is None:
            return None
        loss, round_trip_ms, jitter_ms, highest, queue, heard = report
        return LinkReport(loss, round_trip_ms, jitter_ms, highest, QueueReport(*queue) if queue else None, heard)

    def report_datagram(self, blocks: Sequence[ReportBlock], now: Nanos) -> bytes | None:
        """A sealed RTCP sender report, with `blocks` as receiver reports.

        None: the key's nonces are used up, or the mode seals no RTCP (`xsalsa20_poly1305`: its nonce would repeat).
        """
        return self._native.report_datagram([astuple(block) for block in blocks], now)

    @property
    def sent_packets(self) -> int:
        """Voice packets so far."""
        return self._native.sent_packets

    @property
    def sent_bytes(self) -> int:
        """Of all datagrams so far, reports included, without UDP and IP headers."""
        return self._native.sent_bytes

    @property
    def bitrate_bps(self) -> int:
        """Of payloads, as `apply` left it."""
        return self._native.bitrate_bps

    @property
    def frame_ms(self) -> int:
        """What one packet holds now: 20, 40 or 60 ms."""
        return self._native.frame_ms

    @property
    def held_frames(self) -> int:
        """Frames of 20 ms not sent because they would only have waited in a queue."""
        return self._native.held_frames


class ReceiveChain:
    """Datagrams in, mixed sound out: open, de-duplicate, decrypt, jitter buffer, decode, conceal, mix, limit.

    One jitter buffer and one decoder per Source, created by its first packet, let go after `source_timeout_ms` of
    silence. At most 64 Sources: one more takes the place of one that timed out, or is refused.

    mode: a transport mode by its wire name. key: 32 bytes.
    deep_plc: conceal losses with the neural network; better, and 17 times the work per lost frame.
    min_target_ms, max_target_ms: limits of the jitter buffer's delay above the fastest packet. A larger least delay
        survives sudden stalls, a smaller largest one keeps a conversation brisk on a bad link, with more gaps.
    channels: of the frames that come out. With 2, who sends stereo is heard in stereo, from their first stereo packet
        on; who does not costs no more than with 1, where left and right are heard by halves.

    Raises ValueError for an unknown mode, a key of another length, limits in the wrong order, or other than one or two
    channels.
    """

    def __init__(
        self,
        mode: str,
        key: bytes,
        *,
        deep_plc: bool = True,
        min_target_ms: int = 0,
        max_target_ms: int = 500,
        source_timeout_ms: int = 10_000,
        channels: int = 1,
    ) -> None:
        self._native = _native.ReceiveChain(
            mode,
            key,
            deep_plc=deep_plc,
            min_target_ms=min_target_ms,
            max_target_ms=max_target_ms,
            source_timeout_ms=source_timeout_ms,
            channels=channels,
        )

    def push(self, datagram: bytes, now: Nanos) -> TappedPacket | None:
        """Hand over one datagram that arrived at `now`. Hostile bytes are counted by reason, never raised.

        Returns the packet when it is fresh, as a Tap tells it; None for a report, a refused datagram, or a packet that
        waits for its key or has to come behind such ones: ask `released`.
        """
        fresh = self._native.push(datagram, now)
        if fresh is None:
            return None
        ssrc, sequence, timestamp, rtp = fresh
        return TappedPacket(now, Ssrc(ssrc), sequence, timestamp, rtp)

    def released(self) -> list[TappedPacket]:
        """Packets that had to wait, each with the time when it came; of each Source in order. Ask after `push`, `tend`,
        `add_keys`, `use_keys` and `set_owner`."""
        return [
            TappedPacket(Nanos(arrival), Ssrc(ssrc), sequence, timestamp, rtp)
            for arrival, ssrc, sequence, timestamp, rtp in self._native.released()
        ]

    def tend(self, now: Nanos) -> None:
        """Look after what waits: ten seconds at most. Call it once a second, also when nothing comes."""
        self._native.tend(now)

    def set_encryption(self, mode: Encryption, now: Nanos) -> None:
        """What is to be encrypted end to end. OFF at first."""
        self._native.set_encryption(mode, now)

    def add_keys(self, keys: EpochKeys, now: Nanos) -> None:
        """Open what members encrypt with this epoch's keys, too, and what waited for them."""
        self._native.add_keys(keys, now)

    def use_keys(self, keys: EpochKeys, now: Nanos) -> None:
        """Everybody encrypts with these keys from now on; those of former epochs open for ten seconds more."""
        self._native.use_keys(keys, now)

    def set_owner(self, source: int, user_id: int, now: Nanos) -> None:
        """Who is said to speak as this Source. Tried first, never believed: `report` tells whose key it was."""
        self._native.set_owner(source, user_id, now)

    def take_rtcp(self) -> list[bytes]:
        """The opened RTCP packets that came since the last call; of more than 64, the newest."""
        return self._native.take_rtcp()

    def pull(self, now: Nanos) -> Frame:
        """The next 10 ms of everyone: shape (480, channels). Call it every 10 ms of `now`.

        Missing speech is concealed; with no speaker the frame is zeros. Never fails.
        """
        return self._native.pull(now)

    def pull_each(self, now: Nanos) -> dict[Ssrc, Frame]:
        """The same 10 ms before the mix, one frame per Source of the same shape, not limited: bots, live
        transcription.

        Takes the place of `pull`: either of them advances the time.
        """
        return {Ssrc(ssrc): frame for ssrc, frame in self._native.pull_each(now).items()}

    def set_decoding(self, decoding: bool) -> None:
        """Off: packets are opened and counted, nothing is decoded and `pull` is silent. For those that only record."""
        self._native.set_decoding(decoding)

    def set_gain_db(self, source: int, gain_db: float) -> None:
        """One Source's volume, also before its first packet. Ramp of 20 ms, range -60 to +12 dB, clamped."""
        self._native.set_gain_db(source, gain_db)

    def remove_source(self, source: int) -> None:
        """Forget a Source and its volume, because its owner has left."""
        self._native.remove_source(source)

    def report(self) -> ReceiveReport:
        """Counts and gauges since the beginning."""
        numbers = self._native.report()
        sources = tuple(SourceStats(**source) for source in numbers["sources"])
        return ReceiveReport(sources, numbers["refused"], EncryptionStats(**numbers["encryption"]))

    def report_blocks(self) -> list[ReportBlock]:
        """What to tell others about each Source; the loss fraction is about the time since the last call."""
        return [
            ReportBlock(ssrc=Ssrc(ssrc), **dict(zip(_BLOCK_COUNTS, counts, strict=True)))
            for ssrc, *counts in self._native.report_blocks()
        ]
