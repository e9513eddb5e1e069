"""Packets as values: RTP, RTCP reports, sealing and IP discovery. The work is done in Rust (`crates/wire`).

For tests, tools and bots. The voice path does not pass here: the engine and the relay handle their packets natively.
"""

from dataclasses import dataclass

from raccall._native import (
    TRANSPORT_MODES,
    Cipher,
    WireError,
    discovery_request,
    discovery_response,
    is_rtcp,
    parse_discovery_request,
    parse_discovery_response,
    parse_reports,
    parse_rtp,
    ssrc_of,
    write_report,
    write_rtp,
)
from raccall.units import OPUS_PAYLOAD_TYPE, Ssrc

__all__ = [
    "TRANSPORT_MODES",
    "Cipher",
    "Extension",
    "Packet",
    "Report",
    "ReportBlock",
    "SenderInfo",
    "WireError",
    "discovery_request",
    "discovery_response",
    "is_rtcp",
    "parse_compound",
    "parse_discovery_request",
    "parse_discovery_response",
    "ssrc_of",
]


@dataclass(frozen=True, slots=True)
class Extension:
    """An RTP header extension (RFC 3550 section 5.3.1)."""

    profile: int
    """0xBEDE for one-byte elements (RFC 8285)."""
    body: bytes
    """Whole words of 4 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A plain RTP packet (RFC 3550 section 5.1). Extension and padding are already cut from `payload`."""

    sequence: int
    """16 bits."""
    timestamp: int
    """32 bits, 48 kHz ticks."""
    ssrc: Ssrc
    payload: bytes
    marker: bool = False
    payload_type: int = OPUS_PAYLOAD_TYPE
    csrc: bytes = b""
    """Contributing sources: 4 bytes each, at most 15."""
    extension: Extension | None = None
    padding_bytes: int = 0
    """Behind the payload, their count included."""

    @classmethod
    def parse(cls, packet: bytes) -> "Packet":
        """Read an opened packet, whatever transport mode it came by. Raises WireError."""
        marker, payload_type, sequence, timestamp, ssrc, csrc, extension, payload, padding_bytes = parse_rtp(packet)
        return cls(
            marker=marker,
            payload_type=payload_type,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=Ssrc(ssrc),
            csrc=csrc,
            extension=None if extension is None else Extension(*extension),
            payload=payload,
            padding_bytes=padding_bytes,
        )

    def write(self) -> bytes:
        """The packet's bytes. Raises ValueError or OverflowError for fields that do not fit."""
        extension = None if self.extension is None else (self.extension.profile, self.extension.body)
        return write_rtp(
            (
                self.marker,
                self.payload_type,
                self.sequence,
                self.timestamp,
                self.ssrc,
                self.csrc,
                extension,
                self.payload,
                self.padding_bytes,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """How well one source is received (RFC 3550 section 6.4.1)."""

    ssrc: Ssrc
    fraction_lost: int
    """Since the last report, in 256ths."""
    lost: int
    """Since the beginning; negative when duplicates outnumber losses."""
    highest_sequence: int
    """Wraps in the upper 16 bits."""
    jitter: int
    """In 48 kHz ticks."""
    last_sr: int
    """Middle 32 bits of the last sender report's `ntp`; 0 = none yet."""
    delay_since_last_sr: int
    """In 65536ths of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderInfo:
    """What a sender report says about its sender."""

    ntp: int
    """32.32 fixed point seconds; only differences mean something."""
    timestamp: int
    """The RTP timestamp of the same instant."""
    packets: int
    bytes: int
    """Of payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A sender report, or a receiver report if it has no `sender`."""

    ssrc: Ssrc
    sender: SenderInfo | None
    blocks: tuple[ReportBlock, ...] = ()

    def write(self) -> bytes:
        """One RTCP packet. Raises OverflowError for numbers that do not fit."""
        sender = self.sender
        info = None if sender is None else (sender.ntp, sender.timestamp, sender.packets, sender.bytes)
        return write_report((self.ssrc, info, [_block_fields(block) for block in self.blocks]))


def parse_compound(compound: bytes) -> list[Report]:
    """The reports in an opened RTCP packet; other kinds are checked and left out. Raises WireError."""
    return [
        Report(
            ssrc=Ssrc(ssrc),
            sender=None if info is None else SenderInfo(ntp=info[0], timestamp=info[1], packets=info[2], bytes=info[3]),
            blocks=tuple(_block(*fields) for fields in blocks),
        )
        for ssrc, info, blocks in parse_reports(compound)
    ]


def _block(ssrc: int, fraction: int, lost: int, highest: int, jitter: int, last_sr: int, delay: int) -> ReportBlock:
    return ReportBlock(
        ssrc=Ssrc(ssrc),
        fraction_lost=fraction,
        lost=lost,
        highest_sequence=highest,
        jitter=jitter,
        last_sr=last_sr,
        delay_since_last_sr=delay,
    )


def _block_fields(block: ReportBlock) -> tuple[int, int, int, int, int, int, int]:
    return (
        block.ssrc,
        block.fraction_lost,
        block.lost,
        block.highest_sequence,
        block.jitter,
        block.last_sr,
        block.delay_since_last_sr,
    )
