"""Packets and samples, in Rust. Private: the public faces are `raccall.voice`, `raccall.wire` and `raccall.server`."""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str

# ---- wire: bytes on the network ----

TRANSPORT_MODES: tuple[str, ...]
"""Wire names of the transport modes, the preferred first, the three that Discord dropped in 2024 last."""

class WireError(ValueError):
    """Bytes that are not what they should be. `str(error)` is a sentence."""

    reason: str
    """Stable: "too_short", "malformed", "bad_seal" (open); "malformed", "nonce_would_repeat" (seal); "too_short",
    "bad_version", "bad_padding", "bad_length" (parse)."""

class Cipher:
    """Seals and opens whole packets with one key (Discord voice gateway, "Transport Encryption Modes").

    Immutable; any thread may use it. Raises ValueError for an unknown mode or a key that is not 32 bytes.
    """

    def __init__(self, mode: str, key: bytes) -> None: ...
    @property
    def mode(self) -> str:
        """The wire name."""
    def seal(self, packet: bytes, nonce: bytes) -> bytes:
        """A plain RTP or RTCP packet as a datagram.

        nonce: 4 bytes, never the same twice for a key, in both directions together: a relay sets the top bit of the
        first and the last byte, a client leaves the first one's clear. `xsalsa20_poly1305` ignores it (the RTP header
        is its nonce) and refuses RTCP. Raises WireError.
        """
    def open(self, datagram: bytes) -> bytes:
        """The packet as it was before sealing, extension and padding in place. Raises WireError."""

_RtpFields = tuple[bool, int, int, int, int, bytes, tuple[int, bytes] | None, bytes, int]
_BlockFields = tuple[int, int, int, int, int, int, int]
_ReportFields = tuple[int, tuple[int, int, int, int] | None, list[_BlockFields]]

def parse_rtp(packet: bytes) -> _RtpFields:
    """The fields of `raccall.wire.packet.Packet`, in its order. Raises WireError."""

def write_rtp(fields: _RtpFields) -> bytes:
    """The reverse. Raises ValueError or OverflowError for fields that do not fit a packet."""

def is_rtcp(packet: bytes) -> bool:
    """Whether a packet, sealed or plain, is RTCP: packet type 200 to 206 (RFC 5761 section 4)."""

def ssrc_of(packet: bytes) -> int | None:
    """The sender of an RTP or RTCP packet, sealed or plain."""

def parse_reports(compound: bytes) -> list[_ReportFields]:
    """The reports in a plain compound packet; other kinds are checked and left out. Raises WireError."""

def write_report(report: _ReportFields) -> bytes:
    """One report; more than 31 blocks continue in further ones. Raises OverflowError for numbers too large."""

def discovery_request(ssrc: int) -> bytes:
    """74 bytes that ask a media port as which address it sees the sender (voice gateway, "IP Discovery")."""

def parse_discovery_request(datagram: bytes) -> int | None:
    """The SSRC that asks; None for any other bytes."""

def discovery_response(ssrc: int, address: tuple[str, int]) -> bytes:
    """The answer. Raises ValueError if the host is no IP address."""

def parse_discovery_response(datagram: bytes) -> tuple[int, tuple[str, int]] | None:
    """SSRC and the address as the server sees it; None for any other bytes."""

# ---- opus: codec ----
# Documented in `raccall.voice.codec`, which is its public face.

class OpusError(ValueError):
    """libopus refused. `str(error)` says what, with libopus's text."""

    code: int
    """libopus's own: -1 invalid argument, -2 buffer too small, -4 corrupted payload, ... (opus_defines.h)."""

@final
class OpusEncoder:
    def __init__(self, sample_rate_hz: int, channels: int, application: str) -> None: ...
    def set_bitrate(self, bitrate_bps: int) -> None: ...
    def set_complexity(self, complexity: int) -> None: ...
    def set_expected_loss(self, percent: int) -> None: ...
    def set_lbrr(self, on: bool) -> None: ...
    def set_dtx(self, on: bool) -> None: ...
    def reset(self) -> None: ...
    def lookahead_samples(self) -> int: ...
    def final_range(self) -> int: ...
    def encode(self, frame: NDArray[np.float32] | NDArray[np.int16]) -> bytes: ...

@final
class OpusDecoder:
    def __init__(self, sample_rate_hz: int, channels: int) -> None: ...
    def set_complexity(self, complexity: int) -> None: ...
    def reset(self) -> None: ...
    def final_range(self) -> int: ...
    def decode(self, payload: bytes) -> NDArray[np.float32]: ...
    def conceal(self, samples: int) -> NDArray[np.float32]: ...
    def decode_lbrr(self, next_payload: bytes, samples: int) -> NDArray[np.float32]: ...
    def decode_int16(self, payload: bytes) -> NDArray[np.int16]: ...
    def conceal_int16(self, samples: int) -> NDArray[np.int16]: ...
    def decode_lbrr_int16(self, next_payload: bytes, samples: int) -> NDArray[np.int16]: ...

def opus_version() -> str: ...
def opus_payload_samples(payload: bytes, sample_rate_hz: int) -> int: ...
def opus_payload_has_lbrr(payload: bytes) -> bool: ...

# ---- e2ee: end-to-end encryption ----
# `DaveMember` is explained in `raccall.voice.e2ee`, the public face.

DAVE_PROTOCOL_VERSION: int
"""Of DAVE, as op 0 tells it."""

class DaveError(ValueError):
    """A handshake message, or a request, was refused. `str(error)` is a sentence."""

    code: str
    """Stable: "malformed", "no_group", "in_group", "wrong_group", "wrong_epoch", "wrong_sender", "unexpected_user",
    "bad_roster", "not_proposed", "forged", "unknown_user", "bad_key", "failed" (crates/e2ee/src/error.rs)."""

@final
class EpochKeys:
    """The frame keys of one epoch, for all its members. Immutable and opaque: no secret byte reaches Python."""

    @property
    def epoch(self) -> int: ...
    @property
    def own_user_id(self) -> int: ...
    @property
    def user_ids(self) -> list[int]:
        """Members, ourselves included, sorted."""

@final
class DaveMember:
    """One member's side of the group. Any thread may call it, one call at a time runs, without the GIL."""

    def __init__(self, user_id: int, channel_id: int, identity_key: bytes | None = None) -> None:
        """identity_key: the private P-256 key, 32 bytes; made when None. Raises DaveError ("bad_key")."""
    def identity_key(self) -> bytes:
        """The private key, to be kept secret and handed over again in the next call."""
    @property
    def user_id(self) -> int: ...
    def set_external_sender(self, external_sender: bytes) -> None:
        """Take what op 25 carries. Raises DaveError: "malformed", "in_group"."""
    def key_package(self) -> bytes:
        """What op 26 carries, made anew each time; a welcome is for the newest."""
    def process_proposals(self, body: bytes, expected_user_ids: Sequence[int] | None = None) -> bytes | None:
        """Take what op 27 carries. Gives what op 28 carries; None when all was revoked.

        expected_user_ids: who may be added. Raises DaveError: "no_group", "malformed", "wrong_epoch", "wrong_sender",
        "unexpected_user", "bad_roster", "not_proposed" (revoked what is not known), "forged".
        """
    def process_commit(self, commit: bytes) -> bool:
        """Take the commit of op 29. False: it is not for us, who wait for a welcome.

        Raises DaveError: "no_group", "malformed", "wrong_group", "wrong_epoch", "wrong_sender", "bad_roster",
        "not_proposed", "forged". Answer with op 31 then.
        """
    def process_welcome(self, welcome: bytes, recognized: Sequence[int] | None = None) -> None:
        """Take the welcome of op 30. recognized: who may be in the group, ourselves included.

        Raises DaveError: "no_group" (no external sender yet), "in_group", "malformed", "wrong_group", "wrong_sender",
        "unexpected_user", "bad_roster", "forged". Answer with op 31 then.
        """
    @property
    def epoch(self) -> int | None:
        """None before there is a group."""
    def roster(self) -> list[tuple[int, bytes]]:
        """User id and public identity key (65 bytes) of each member, as the group has them. Empty without a group."""
    def verification_code(self) -> str:
        """30 digits in groups of five, the same for everyone in this epoch. Raises DaveError ("no_group")."""
    def fingerprint(self, user_id: int) -> str:
        """45 digits in groups of five that both see alike, in every call, while both have the identity keys that they
        show each other. Takes 50 ms on purpose. Raises DaveError ("no_group", "unknown_user")."""
    def keys(self) -> EpochKeys:
        """This epoch's. Raises DaveError ("no_group")."""
    def reset(self) -> None:
        """Leave the group and begin anew, same identity, same external sender; `key_package` is next."""

# ---- media: chains ----

_Queue = tuple[float, float, int, int]
"""standing_ms, arrived_ms, arrived_packets, arrived_bytes."""

_Link = tuple[float, float | None, float, int | None, _Queue | None, float | None]
"""uplink_loss_pct, round_trip_ms, jitter_ms, highest_sequence, queue, heard_loss_pct."""

@final
class SendChain:
    """Frames in, sealed datagrams out. Pure: no thread, no clock, no socket. See `raccall.voice.chains`."""

    def __init__(
        self,
        ssrc: int,
        mode: str,
        key: bytes,
        *,
        bitrate_bps: int,
        complexity: int,
        expected_loss_pct: int,
        lbrr: bool,
        dred_ms: int,
        dtx: bool,
        music: bool,
        channels: int,
        first_sequence: int,
        first_timestamp: int,
    ) -> None:
        """ValueError for an unknown mode, a key that has not 32 bytes, a number that the encoder refuses."""

    def push(self, frame: NDArray[np.float32], now: int) -> bytes | None:
        """One frame of shape (960, channels), for mono also (960,). ValueError for another shape."""

    def more(self, now: int) -> bytes | None: ...
    @property
    def has_more(self) -> bool: ...
    def set_gate_mode(self, mode: str) -> None:
        """ValueError if it is not open, voice or ptt."""

    def set_pressed(self, pressed: bool) -> None: ...
    def set_muted(self, muted: bool) -> None: ...
    def set_encryption(self, mode: str) -> None:
        """ValueError if it is not off, either or on."""

    def use_keys(self, keys: EpochKeys) -> None: ...
    @property
    def encryption_counts(self) -> tuple[int, int]:
        """Frames encrypted, and not sent for want of a key."""

    def set_gain_db(self, gain_db: float) -> None: ...
    def set_level_extension(self, on: bool) -> None: ...
    def apply(self, report: _Link, now: int) -> None: ...
    def take_rtcp(self, rtcp: bytes, now: int) -> _Link | None: ...
    def report_datagram(self, blocks: Sequence[tuple[int, int, int, int, int, int, int]], now: int) -> bytes | None:
        """Each block: ssrc, fraction_lost, lost, highest_sequence, jitter, last_sr, delay_since_last_sr."""

    @property
    def sent_packets(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...
    @property
    def bitrate_bps(self) -> int: ...
    @property
    def frame_ms(self) -> int: ...
    @property
    def held_frames(self) -> int: ...

@final
class ReceiveChain:
    """Datagrams in, mixed sound out. Pure: no thread, no clock, no socket. See `raccall.voice.chains`."""

    def __init__(
        self,
        mode: str,
        key: bytes,
        *,
        deep_plc: bool,
        min_target_ms: int,
        max_target_ms: int,
        source_timeout_ms: int,
        channels: int,
    ) -> None:
        """ValueError for an unknown mode, a key that has not 32 bytes, a least target above the largest, other than one
        or two channels."""

    def push(self, datagram: bytes, now: int) -> tuple[int, int, int, bytes] | None:
        """A fresh packet: ssrc, extended_sequence, extended_timestamp, rtp_packet. None: RTCP, refused (counted), or
        one that comes by `released`."""

    def released(self) -> list[tuple[int, int, int, int, bytes]]:
        """Those that had to wait for a key: when they came, then as `push`."""

    def tend(self, now: int) -> None: ...
    def set_encryption(self, mode: str, now: int) -> None:
        """ValueError if it is not off, either or on."""

    def add_keys(self, keys: EpochKeys, now: int) -> None: ...
    def use_keys(self, keys: EpochKeys, now: int) -> None: ...
    def set_owner(self, ssrc: int, user_id: int, now: int) -> None: ...
    def take_rtcp(self) -> list[bytes]:
        """The opened RTCP packets since the last call, the newest 64."""

    def pull(self, now: int) -> NDArray[np.float32]:
        """The next 10 ms of everyone, shape (480, channels), within ±1."""

    def pull_each(self, now: int) -> dict[int, NDArray[np.float32]]:
        """The next 10 ms of each source by SSRC, each of shape (480, channels), not limited."""

    def set_decoding(self, decoding: bool) -> None: ...
    def set_gain_db(self, ssrc: int, gain_db: float) -> None: ...
    def remove_source(self, ssrc: int) -> None: ...
    def report(self) -> dict[str, Any]:
        """`sources`: one dict each, as in `Engine.stats`; `refused`: counts by reason."""

    def report_blocks(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """One block per source, as `SendChain.report_datagram` takes them."""

# ---- media: processing ----

@final
class Processor:
    """A microphone's echo, noise and level, 10 ms at a time. See `raccall.voice.processing`."""

    def __init__(self, *, echo: bool, noise: str, gain_control: bool, gain_db: float, high_pass: bool) -> None:
        """ValueError for a noise suppression that is not off, light or neural."""

    def set(self, *, echo: bool, noise: str, gain_control: bool, gain_db: float, high_pass: bool) -> None:
        """The same while it runs."""

    def reverse(self, frame: NDArray[np.float32]) -> None:
        """One frame of shape (480, 1) or (480,). ValueError for another shape."""

    def capture(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """One frame of shape (480, 1) or (480,); returns one of shape (480, 1). ValueError for another shape."""

    def reset(self) -> None: ...
    def report(self) -> dict[str, Any]:
        """See `raccall.voice.processing.ProcessReport`."""

@final
class EchoReference:
    """What sounds, in the microphone's time. See `raccall.voice.processing`."""

    def __init__(self) -> None: ...
    def push(self, samples: NDArray[np.float32]) -> None:
        """Shape (n,)."""

    def take_clocks(self, played: tuple[int, int], captured: tuple[int, int]) -> float:
        """Each: samples since the beginning, monotonic ns. Returns the drift in ppm."""

    def pull(self) -> NDArray[np.float32]:
        """Shape (480, 1)."""

    @property
    def jumps(self) -> int: ...

# ---- relay: forwarding ----

class Relay:
    """A running relay: native threads that own the sockets and never take the GIL. Any thread may call it.

    Commands take effect in their order before the next batch of datagrams, well under a millisecond later. A command
    that contradicts the table (unknown session, SSRC in use) is not raised but counted as `command_refused`.
    """

    def __init__(
        self,
        bind: list[tuple[str, int]],
        *,
        receive_buffer_bytes: int = 8 << 20,
        threads: int = 1,
        speakers_at_once: int = 8,
        portable: bool = False,
        limited: bool = True,
        nonce_space: int = 1 << 30,
    ) -> None:
        """Bind each (IP address, port) and start.

        receive_buffer_bytes: asked of the system, for a burst must fit while the thread is not running.
        threads: 1 to 256, elsewhere than on Linux always one. The lowest byte of an SSRC, modulo their number, is the
        session's thread, so all sources of a room must have the same byte: sessions of other threads are not heard.
        speakers_at_once: how many sources of a room are heard at once, at least 1; see `set_room`.
        portable: one system call per datagram, as on systems without recvmmsg. Slower; for tests.
        limited: False lets one address send without end and believes addresses unseen; for benchmarks.
        nonce_space: nonces that the relay has for each key, 10 to 2³⁰; for tests that want to see their end.
        Raises OSError (with errno) if an address is busy or not ours, ValueError for a host that is no IP address or
        a number of threads or speakers that is none.
        """
    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The bound addresses with their true ports, in the order given."""
    @property
    def receive_buffer_bytes(self) -> int:
        """What the system granted per socket; less than asked for means that a long stall loses packets."""
    @property
    def threads(self) -> int:
        """How many there are: one where the kernel cannot hand out datagrams by room."""
    def add_session(self, session_id: int, ssrc: int, mode: str, key: bytes) -> None:
        """Add a session; with an id and SSRC that exist: give it a new key, keeping address, route and replay window.

        The old key opens and seals on until the client uses the new one, and opens for five seconds more.

        session_id: 64 bits, never used twice. ssrc: 32 bits, neither 0 nor the STUN cookie. mode: its wire name.
        key: 32 bytes. Raises ValueError for an unknown mode or another length and, as every command,
        RuntimeError if the relay is stopped.
        """
    def remove_session(self, session_id: int) -> None: ...
    def set_room(self, session_id: int, room_id: int, hears_all: bool) -> None:
        """Let the session compete with the others of the room to be heard; in no room, as at first, it always is.

        What the loudest make inaudible is counted as `quieter` and never looks lost to a listener. hears_all: it gets
        every packet that is for it as it was sent, for a recorder or a bot.
        """
    def set_silenced(self, session_id: int, silenced: bool) -> None:
        """What the session says goes to nobody from now on (counted as `silenced`), or to all on its route again."""
    def set_route(self, session_id: int, destinations: list[int]) -> None:
        """Who hears this session from now on: sessions that exist. The sender itself is left out."""
    def set_address(self, session_id: int, address: tuple[str, int], *, proven: bool) -> None:
        """Send there from now on. Refused (`not_observed`) unless IP discovery has seen the session's SSRC there.

        proven: the member is known to be at this IP address. Else it is sent at most three times what it sent, until
        a fresh packet with a valid seal comes from there; for discovery can be forged.
        """
    def latency(self) -> tuple[list[tuple[float, int]], int, float]:
        """How long sampled datagrams were in this machine (Linux): (at most so many seconds, how many) pairs, how many
        took longer, sum in seconds. From the kernel's receive timestamp until the last copy was sent."""

    def counters(self) -> dict[str, int]:
        """Counts since the start by reason: received, opened, forwarded, sent, bad_seal, replayed, kernel_drops …

        Every name is documented in crates/relay/src/counters.rs.
        """
    def session_stats(self, session_id: int) -> dict[str, int] | None:
        """One session's counts, None if there is no such session.

        received, received_bytes, lost, jitter_ticks (48 kHz): what it sends. sent, sent_bytes: what it is sent.
        heard_fraction_lost (256ths), heard_jitter_ticks: the worst source in its last RTCP report.
        observed, has_address, needs_rekey, rekeying (its new key is not used yet): 0 or 1.
        """
    def stop(self) -> None:
        """End the threads and close the sockets. Again: no effect."""

class RelayCore:
    """Table and forwarding of the relay without thread, clock and socket: for tests in virtual time. As Relay else."""

    def __init__(self, *, speakers_at_once: int = 8, nonce_space: int = 1 << 30) -> None: ...
    def add_session(self, session_id: int, ssrc: int, mode: str, key: bytes) -> None: ...
    def remove_session(self, session_id: int) -> None: ...
    def set_room(self, session_id: int, room_id: int, hears_all: bool) -> None: ...
    def set_silenced(self, session_id: int, silenced: bool) -> None: ...
    def set_route(self, session_id: int, destinations: list[int]) -> None: ...
    def set_address(self, session_id: int, address: tuple[str, int], *, proven: bool) -> None: ...
    def forward(self, now: int, datagram: bytes, address: tuple[str, int]) -> list[tuple[bytes, tuple[str, int]]]:
        """Handle one datagram that came from `address` at `now` (monotonic ns). Returns what is to be sent, and where.

        Hostile bytes are counted by reason, never raised.
        """
    def alarm(self, now: int) -> list[tuple[bytes, tuple[str, int]]]:
        """Tell senders whose next packet should have come by `now`. Returns what is to be sent, and where."""
    def counters(self) -> dict[str, int]: ...
    def session_stats(self, session_id: int) -> dict[str, int] | None: ...

# ---- engine: a client's native thread ----

@final
class Sound:
    """The sound's end of one Engine: 48 kHz, float32. A microphone is mono; a clocked one may speak in stereo, and what
    is played may be stereo: who sends it so is heard so.

    Keep it until the device is closed.

    When its Engine is closed another one may have it; it goes on where it stopped.
    """

    @staticmethod
    def device() -> Sound:
        """A Sound for a sound card, clocked by it.

        Open capture and playback with a callback address each: native functions that copy between card and
        rings, so the interpreter never holds up sound. While no Engine runs they play silence. Any period size: the
        Engine keeps one period and 10 ms ahead, more after a gap. RuntimeError when 16 are open in this process.
        """

    @staticmethod
    def clocked(capture: NDArray[np.float32] | None, *, keep_playback: bool, playback_channels: int = 1) -> Sound:
        """A Sound without a card, clocked by the Engine's own timer: bots, tests, benchmarks.

        capture: shape (n,), or (n, 2) to be sent in stereo, as it is: `set_processing` leaves two channels alone.
        Spoken once from the start; then no packets are sent. None: no microphone. ValueError for another shape.
        keep_playback: keep what is played, for `read_playback`; the last 60 s, older samples are dropped and counted.
        playback_channels: 1, where a stereo sender is heard by halves of left and right, or 2. ValueError for others.
        """

    @property
    def capture_callback_address(self) -> int:
        """Address of a `ma_device_data_proc`: float32, one channel, 48 kHz. ValueError for a clocked Sound."""

    @property
    def playback_callback_address(self) -> int:
        """Address of a `ma_device_data_proc`: float32, one channel, 48 kHz. ValueError for a clocked Sound."""

    @property
    def stereo_playback_callback_address(self) -> int:
        """The same for a card that is opened with two channels."""

    @property
    def playback_channels(self) -> int:
        """Of what is played: as a card was opened (1 until it calls), or as said to `clocked`."""

    @property
    def capture_callbacks(self) -> int:
        """Calls so far: a card that was unplugged stops calling. ValueError for a clocked Sound."""

    @property
    def playback_callbacks(self) -> int:
        """Calls so far. ValueError for a clocked Sound."""

    @property
    def capture_channels(self) -> int:
        """1, or 2 for what is sent in stereo."""

    @property
    def is_clocked(self) -> bool:
        """No sound card clocks it: it was made by `clocked`."""

    @property
    def capture_done(self) -> bool:
        """A clocked Sound has spoken all of its capture."""

    @property
    def playback_dropped(self) -> int:
        """Played samples, of each channel, that nobody read within 60 s."""

    def read_playback(self) -> NDArray[np.float32]:
        """Take what was played since the last call: shape (n,), with two `playback_channels` (n, 2).

        ValueError for a sound card's Sound."""

@final
class PacketTap:
    """Every packet of a call, opened, each once, in the order of arrival. Ends with the Engine."""

    @property
    def dropped(self) -> int:
        """Packets lost because `capacity_packets` were unread: the newest ones."""

    def read(self, timeout_ms: int, gather_ms: int = 0) -> PacketBatch | None:
        """Wait for packets without the GIL; after the first, `gather_ms` longer for more.

        A batch comes about every 20 ms; an empty one when none came within `timeout_ms`, None when the Engine closed
        and all is read. Arrival is the kernel's receive time on the clock of `time.monotonic_ns()`. The packet is
        whole: header, extension, padding. An encrypted one is decrypted, without padding; one that had to wait for its
        key comes late, with the arrival it had, each Source's in their order.
        """

@final
class Engine:
    """One native thread with one UDP socket: a member's voice. It never takes the GIL while it runs.

    Methods may be called from any thread. What is asked before `start` holds for the first packet. RuntimeError after
    `close`, or in the wrong order.
    """

    def __init__(self, address: tuple[str, int], *, receive_buffer_bytes: int = 4 << 20) -> None:
        """Open a socket to the relay's media address. OSError when the host has no address or no route."""

    @property
    def local_address(self) -> tuple[str, int]: ...
    def open_tunnel(self, carrier: tuple[str, int]) -> tuple[str, int]:
        """Open, before `start`, the engine's end of a tunnel: a UDP socket of this machine, connected to `carrier`, an
        IP address and port, who takes datagrams to the relay by another way. The engine decides which way to go: it
        falls back when UDP is silent, and returns. Returns its own address."""

    def discover(self, ssrc: int, timeout_ms: int = 3000, *, tunnel: bool = False) -> tuple[str, int]:
        """Ask as which address the relay sees us, by UDP or by the tunnel, again every 250 ms, without the GIL.
        `start` begins with the way that was answered last. TimeoutError."""

    def start(
        self,
        *,
        ssrc: int,
        mode: str,
        key: bytes,
        sound: Sound | None,
        bitrate_bps: int = 32000,
        complexity: int = 9,
        expected_loss_pct: int = 10,
        deep_plc: bool = True,
        dred_ms: int = 0,
        dtx: bool = False,
        music: bool = False,
        muted: bool = False,
        encryption: str = "off",
    ) -> None:
        """Start sending, receiving and playing.

        mode, key: from the session description; the key has 32 bytes.
        sound: None only listens: packets go to the taps, nothing is decoded, nothing but reports is sent.
        bitrate_bps: 6000 to 128000. complexity: 0 to 10. expected_loss_pct: 0 to 100, until reports tell.
        deep_plc: conceal losses with libopus's neural network. dred_ms: 0 to 1040, how far back each packet tells of
        what was said before it. dtx: send next to nothing while nobody speaks. Neither with `music`. encryption: as in
        `set_encryption`.
        ValueError for a number out of range or a Sound in use.
        """

    def rekey(self, mode: str, key: bytes) -> None:
        """Seal with another key, or in another mode, from the next tick on. The former key still opens for ten seconds.

        ValueError for an unknown mode or a key that is not 32 bytes.
        """

    def set_muted(self, muted: bool) -> None:
        """Within 20 ms no packet leaves any more; timestamps go on."""

    def set_deafened(self, deafened: bool) -> None:
        """Play silence instead of the others, within 10 ms; they are received all the same."""

    def set_gate_mode(self, mode: str) -> None:
        """When the microphone is sent: open, voice or ptt. ValueError for another."""

    def set_pressed(self, pressed: bool) -> None:
        """The key of ptt."""

    def set_processing(self, *, echo: bool, noise: str, gain_control: bool, gain_db: float, high_pass: bool) -> None:
        """What is done to the microphone's sound, from the next tick on: see `raccall.voice.processing.Processing`.
        Nothing at first. A clocked Sound has no loudspeaker: its echo's reference is silence. ValueError for an unknown
        noise suppression."""

    def set_gain_db(self, ssrc: int, gain_db: float) -> None:
        """Of one Source as played here, -60 to +12."""

    def play(self, sound: SharedSound) -> None:
        """Mix a sound with what the microphone hears, behind all processing, until it ends or the microphone is muted.
        Of more than eight at once the oldest ends. RuntimeError without a Sound or before `start`; ValueError if it
        was played already."""

    def set_encryption(self, mode: str) -> None:
        """End-to-end: off, either or on (`raccall.voice.engine.Encryption`). ValueError for another."""

    def add_keys(self, keys: EpochKeys) -> None:
        """From the next tick on open what members encrypt with this epoch's keys, and what waited for them."""

    def use_keys(self, keys: EpochKeys) -> None:
        """Encrypt with these from the next packet on; `add_keys` included. Former epochs open for ten seconds more."""

    def set_owner(self, ssrc: int, user_id: int) -> None:
        """Who is said to speak as this Source (op 5). Tried first, never believed: who it was tells `stats`."""

    def open_tap(self, capacity_packets: int = 16384) -> PacketTap:
        """Open a tap; opened before `start`, it misses nothing. It holds 6 s of 50 talkers unread."""

    def stats(self) -> dict[str, Any]:
        """See `raccall.voice.engine.EngineStats`. At most 100 ms old; after `close`, final."""

    def close(self) -> None:
        """End thread, taps and socket; waits for at most one tick (20 ms). Closing again does nothing."""

@final
class SharedSound:
    """A sound on its way into the call: filled by a program, two seconds ahead at most, taken by an engine."""

    def __init__(self, *, gain_db: float = 0.0, monitored: bool = False) -> None:
        """gain_db: -60 to +12. monitored: who plays it hears it, too. ValueError for another gain."""
    def write(self, samples: NDArray[np.float32]) -> int:
        """Take as many samples, shape (n, 2), 48 kHz, as there is room for; says how many. ValueError for another
        shape."""
    def complete(self) -> None:
        """Nothing more is written."""
    def stop(self) -> None:
        """Fade out within 20 ms."""
    @property
    def position_s(self) -> float:
        """What went out, in seconds of sound."""
    @property
    def ended(self) -> str | None:
        """finished, stopped, muted, or closed (its engine did); None: it goes on."""

# ---- record: a recording's packets ----

@final
class PacketBatch:
    """Packets in the order they arrived, in one piece of native memory. Immutable; any thread may use it.

    An item is (arrival_ns, ssrc, extended_sequence, extended_timestamp, rtp_packet). The columns are made anew at each
    access. Negative indices count from the end only in `batch[index]`; IndexError where there is no packet.
    """

    def __init__(self, packets: Sequence[tuple[int, int, int, int, bytes]]) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[int, int, int, int, bytes]: ...
    def __iter__(self) -> Iterator[tuple[int, int, int, int, bytes]]: ...
    @property
    def arrival(self) -> NDArray[np.int64]:
        """Monotonic nanoseconds."""
    @property
    def ssrc(self) -> NDArray[np.uint32]: ...
    @property
    def sequence(self) -> NDArray[np.int64]:
        """Extended: goes on past 65 535."""
    @property
    def timestamp(self) -> NDArray[np.int64]:
        """Extended: goes on past 2³². 48 kHz."""
    @property
    def toc(self) -> NDArray[np.int16]:
        """First byte of each Opus payload (RFC 6716 section 3.1; 0x04: stereo); -1 where there is none."""
    @property
    def rtp_bytes(self) -> int:
        """Of all packets together."""
    def rtp(self, index: int) -> bytes:
        """The whole plain RTP packet."""
    def payload(self, index: int) -> bytes:
        """The Opus payload; empty for anything that is no well-formed voice packet."""
    def select(self, indices: Sequence[int]) -> PacketBatch:
        """These packets alone, in the given order."""
    def newest_arrivals(self) -> dict[int, int]:
        """SSRC and the arrival of its last packet here."""
    def by_source(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Each SSRC's packets by index, in their order; SSRCs by their first packet."""

JOURNAL_FORMAT: int
"""The version of journal and events that is written here, and the newest that is read."""

class JournalError(ValueError):
    """A file that is no journal for this program. `str(error)`: "too_new" or "foreign" (another program's capture)."""

@final
class JournalBlocks:
    """The bytes of a journal, made anew: `head` once, then `packets` of each batch. See crates/record/src/journal."""

    def __init__(self, monotonic_ns: int, wall_ns: int) -> None: ...
    def head(self, application: str) -> bytes: ...
    def packets(self, batch: PacketBatch) -> bytes: ...

@final
class JournalScan:
    """Goes through a journal once, in constant memory, whatever happened to it. Damage counts grow while it reads."""

    def __init__(self, path: str | PathLike[str], *, base: tuple[int, int] | None = None, span_ns: int = ...) -> None:
        """base: (monotonic_ns, wall_ns) for when the head is damaged. OSError when the file cannot be opened."""
    def read(self) -> PacketBatch | None:
        """The next packets, those of less than `span_ns` (a second) and at most 4096; None at the end.

        Works without the GIL. Raises OSError or JournalError and may not be called again then.
        """
    @property
    def base(self) -> tuple[int, int] | None:
        """The head's once that is read, before that what was given; without either, times count from 1970."""
    @property
    def format(self) -> int | None:
        """The version that the head told; None before that, or when the head is damaged."""
    @property
    def places(self) -> int:
        """Places where no whole block stood."""
    @property
    def lost_bytes(self) -> int:
        """Bytes skipped there."""
    @property
    def unreadable(self) -> int:
        """Whole packet blocks whose checksum does not hold."""
    @property
    def missing(self) -> int:
        """Packets that are not there, as their running numbers tell; of those behind the last one nothing is known."""

# ---- record: where packets belong ----
# `Timeline` has its public face in `raccall.recorder.timeline`; its policy is told in crates/record/src/timeline.rs.

TIMELINE_GRID_SAMPLES: int
TIMELINE_LEAD_IN_SAMPLES: int
TIMELINE_LOOK_AHEAD_NS: int

@final
class Placed:
    """A packet and its place in the recording, in samples at 48 kHz from the beginning of the tracks. Immutable."""

    def __init__(
        self,
        position: int,
        samples: int,
        payload: bytes,
        *,
        lost: int = 0,
        exact: float | None = None,
        in_track: bool = True,
    ) -> None:
        """exact: `position` when None."""
    @property
    def position(self) -> int:
        """First sample, on the 2.5 ms grid of Opus. In tracks never before the end of the packet placed before it."""
    @property
    def exact(self) -> float:
        """Where its sound belongs, for rendered sound, which is resampled: inside a talk spurt it advances with the
        timestamps within 0.5 %."""
    @property
    def samples(self) -> int: ...
    @property
    def lost(self) -> int:
        """Packets missing directly before this one, by sequence number."""
    @property
    def in_track(self) -> bool:
        """False for a packet left out of the track to make up for drift. Rendered sound needs it all the same."""
    @property
    def payload(self) -> bytes: ...

@final
class PlacedBatch:
    """Placed packets in order, in one piece of native memory. Immutable. The columns are made anew at each access.

    IndexError where there is no packet; negative indices raise OverflowError.
    """

    def __init__(self, placed: Sequence[Placed]) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Placed: ...
    def __iter__(self) -> Iterator[Placed]: ...
    @property
    def position(self) -> NDArray[np.int64]: ...
    @property
    def exact(self) -> NDArray[np.float64]: ...
    @property
    def samples(self) -> NDArray[np.int32]: ...
    @property
    def lost(self) -> NDArray[np.int64]: ...
    @property
    def in_track(self) -> NDArray[np.bool_]: ...
    def payload(self, index: int) -> bytes: ...

@final
class Timeline:
    """Packets of one speaker in, placed packets out. All methods work without the GIL; one thread at a time."""

    def __init__(self, start_ns: int) -> None: ...
    def push(self, batch: PacketBatch, indices: NDArray[np.int64] | None = None) -> None: ...
    def begin_anew(self) -> None: ...
    def pull(self, now_ns: int) -> PlacedBatch: ...
    def finish(self) -> PlacedBatch: ...
    @property
    def end(self) -> int: ...
    def position_of(self, now_ns: int) -> int: ...
    def drift_ppm(self) -> float | None: ...
    def counts(self) -> dict[str, int]: ...
    def shifts(self) -> list[tuple[int, int, int, str]]:
        """(position, samples, left_out, reason) each."""

@final
class LoudnessMeter:
    """Integrated loudness of 48 kHz sound (ITU-R BS.1770-4, EBU R 128). See `raccall.recorder.loudness`."""

    def __init__(self, channels: int) -> None:
        """ValueError for other than one or two channels."""

    def add(self, frames: NDArray[np.float32]) -> None:
        """Append frames of shape (n, channels); ValueError for another shape. Releases the GIL."""

    @property
    def lufs(self) -> float:
        """Of everything so far; minus infinity for silence, and for less than 400 ms."""

# ---- record: sound ----
# What becomes of losses, pauses and hostile bytes is told in crates/record/src/sound/mod.rs.

LIMITER_CEILING: float

@final
class Limiter:
    """Sound in, the same sound out, never above LIMITER_CEILING, up to 51 ms later. Works without the GIL.

    Frames have the shape (n, channels), any n, at 48 kHz; ValueError for others. The int16 methods do the
    same and put out 16 bit integers, rounded. gain: a factor on everything, before it is limited.
    """

    def __init__(self, channels: int, *, gain: float = 1.0) -> None:
        """ValueError for other than one or two channels."""

    def push(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take frames, and give those that are ready: in the end as many as were taken."""

    def push_int16(self, frames: NDArray[np.float32]) -> NDArray[np.int16]: ...
    def finish(self) -> NDArray[np.float32]:
        """The rest."""

    def finish_int16(self) -> NDArray[np.int16]: ...

@final
class SpeakerSound:
    """One speaker's placed packets in, sound out: float32, 48 kHz. Works without the GIL.

    channels: 1 or 2, whatever the sender used. gain: a factor on everything. begin: position of the first sample put
    out; packets long before it are not decoded. ValueError for another number of channels.
    """

    def __init__(self, channels: int, *, gain: float = 1.0, begin: int = 0) -> None: ...
    def pull(self, placed: Sequence[PlacedBatch], end: int) -> NDArray[np.float32]:
        """Take packets, and give the sound from the last `end` to this one: shape (frames, channels), zeros where
        nothing sounds. What belongs before `end` and comes later is put behind it."""
    @property
    def concealed_samples(self) -> int:
        """Made up for what was lost, or could not be decoded."""
    @property
    def recovered_samples(self) -> int:
        """Lost, and decoded from the packet after."""
    @property
    def refused_packets(self) -> int:
        """Placed, and refused by the decoder."""

@final
class Mixer:
    """Sums of voices. The memory of an array is used for another once nobody looks at it any more."""

    def __init__(self, channels: int) -> None:
        """ValueError for other than one or two channels."""

    def mix(self, voices: Sequence[NDArray[np.float32]], frames: int) -> NDArray[np.float32]:
        """The sum, in the order of `voices`: shape (frames, channels). Works without the GIL.

        voices: contiguous, shape (frames, as many channels), or one channel, which sounds on both sides. ValueError
        for another shape.
        """
