"""Opus: frames in, payloads out, and back. Usable alone: a modern libopus on any system, by `pip install raccall`.

    from raccall.voice import Decoder, Encoder

    encoder = Encoder(16_000)
    decoder = Decoder(16_000)
    payload = encoder.encode(frame)     # frame: 320 samples = 20 ms at 16 kHz, float32 within ±1 or int16
    frame = decoder.decode(payload)     # float32, shape (320, 1)

A *frame* here is a numpy array of the shape (frames, channels), for mono also (frames,), lasting 2.5, 5, 10, 20, 40 or
60 ms (libopus also packs 80, 100 and 120). At 16 kHz 20 ms are 320 samples; 960 samples, which are 20 ms at 48 kHz,
would last 60.

An Encoder or Decoder may be used from several threads, one call at a time runs; the GIL is released meanwhile.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from raccall import _native
from raccall._native import OpusError
from raccall.units import SAMPLE_RATE_HZ

__all__ = ["Application", "Decoder", "Encoder", "OpusError", "libopus_version", "payload_has_lbrr", "payload_samples"]

CLASSIC_PLC_COMPLEXITY = 0
DEEP_PLC_COMPLEXITY = 5
"""Below it a decoder conceals by repetition, from it on by a neural network (xiph/opus, src/opus_decoder.c).

From 6 on it would also re-shape decoded speech (OSCE), whose weights are not built in."""


class Application(StrEnum):
    """What an Encoder should be good at."""

    VOIP = "voip"
    """Speech that must stay intelligible. The only one whose LBRR and DTX are of use."""
    AUDIO = "audio"
    """Music and mixed sound, close to the original."""
    LOW_DELAY = "lowdelay"
    """Least delay: 2.5 ms of look-ahead instead of 6.5. No speech modes, so no LBRR."""


class Encoder:
    """Frames in, payloads out, in order: each payload builds on the ones before.

    sample_rate_hz: 8000, 12 000, 16 000, 24 000 or 48 000.
    channels: 1 or 2.
    bitrate_bps: 500 to 512 000, held as an average. Speech: 16 000 is good, 32 000 full band; music: 96 000.
    complexity: 0 (least CPU) to 10 (best sound).
    expected_loss_pct: 0 to 100; makes payloads depend less on each other and sizes LBRR.
    lbrr: repeat each speech frame at a low bitrate in the next payload, so that one lost payload can be repaired.
        It has an effect when `expected_loss_pct` is above 0.
    dtx: in silence, write payloads of one or two bytes, which need not be sent; one full payload each 400 ms.

    Raises OpusError if libopus refuses a number, ValueError for an unknown application.
    """

    def __init__(
        self,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        channels: int = 1,
        application: Application | str = Application.VOIP,
        *,
        bitrate_bps: int = 32_000,
        complexity: int = 9,
        expected_loss_pct: int = 0,
        lbrr: bool = False,
        dtx: bool = False,
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self._native = _native.OpusEncoder(sample_rate_hz, channels, str(application))
        self.set_bitrate(bitrate_bps)
        self.set_complexity(complexity)
        self.set_expected_loss(expected_loss_pct)
        self.set_lbrr(lbrr)
        self.set_dtx(dtx)

    @property
    def lookahead_samples(self) -> int:
        """How many samples the decoded sound comes late (an Ogg file's pre-skip, at this sample rate)."""
        return self._native.lookahead_samples()

    @property
    def final_range(self) -> int:
        """State of the range coder after the newest payload. Equal to a decoder's: the same bytes were decoded."""
        return self._native.final_range()

    def set_bitrate(self, bitrate_bps: int) -> None:
        """500 to 512 000, from the next frame on."""
        self._native.set_bitrate(bitrate_bps)

    def set_complexity(self, complexity: int) -> None:
        """0 to 10, from the next frame on."""
        self._native.set_complexity(complexity)

    def set_expected_loss(self, percent: int) -> None:
        """0 to 100, from the next frame on."""
        self._native.set_expected_loss(percent)

    def set_lbrr(self, on: bool) -> None:
        """Repeat each speech frame in the next payload, from the next frame on."""
        self._native.set_lbrr(on)

    def set_dtx(self, on: bool) -> None:
        """Write next to nothing in silence, from the next frame on."""
        self._native.set_dtx(on)

    def encode(self, frame: NDArray[np.float32] | NDArray[np.int16]) -> bytes:
        """Encode one frame: float32 within ±1 or int16, shape (frames, channels) or, mono, (frames,).

        Raises OpusError if it has no length of Opus, ValueError for another shape, TypeError for another sample type.
        """
        return self._native.encode(frame)

    def reset(self) -> None:
        """Forget the sound so far, as before the first frame; settings stay."""
        self._native.reset()


class Decoder:
    """Payloads in, frames out. One per speaker, because concealment goes on from what was heard before.

    sample_rate_hz, channels: of the frames wanted, whatever the sender used.
    deep_plc: conceal losses with libopus's neural network instead of by repetition.

    Every frame has the shape (frames, channels); float32 may pass ±1 by a little, int16 is clipped.
    """

    def __init__(self, sample_rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1, *, deep_plc: bool = True) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self._native = _native.OpusDecoder(sample_rate_hz, channels)
        self._native.set_complexity(DEEP_PLC_COMPLEXITY if deep_plc else CLASSIC_PLC_COMPLEXITY)

    @property
    def final_range(self) -> int:
        """State of the range coder after the newest payload. Equal to the encoder's: the same bytes were decoded."""
        return self._native.final_range()

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """Decode one payload. Raises OpusError if it is malformed; the decoder stays usable."""
        return self._native.decode(payload)

    def conceal(self, samples: int) -> NDArray[np.float32]:
        """Make up `samples` samples per channel for a lost payload: a multiple of 2.5 ms, at most 120 ms."""
        return self._native.conceal(samples)

    def decode_lbrr(self, next_payload: bytes, samples: int) -> NDArray[np.float32]:
        """Decode a lost frame of `samples` samples from its repetition in the payload after it; decode that next.

        Conceals if there is none (`payload_has_lbrr`).
        """
        return self._native.decode_lbrr(next_payload, samples)

    def decode_int16(self, payload: bytes) -> NDArray[np.int16]:
        """`decode` to int16."""
        return self._native.decode_int16(payload)

    def conceal_int16(self, samples: int) -> NDArray[np.int16]:
        """`conceal` to int16."""
        return self._native.conceal_int16(samples)

    def decode_lbrr_int16(self, next_payload: bytes, samples: int) -> NDArray[np.int16]:
        """`decode_lbrr` to int16."""
        return self._native.decode_lbrr_int16(next_payload, samples)

    def reset(self) -> None:
        """Forget the sound so far, as before the first payload."""
        self._native.reset()


def payload_samples(payload: bytes, sample_rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """How many samples per channel `payload` decodes to; looks at its header only. Raises OpusError if malformed."""
    return _native.opus_payload_samples(payload, sample_rate_hz)


def payload_has_lbrr(payload: bytes) -> bool:
    """Whether `payload` also holds the frame before it. Raises OpusError if malformed."""
    return _native.opus_payload_has_lbrr(payload)


def libopus_version() -> str:
    """As the library says: "libopus 1.6.1"."""
    return _native.opus_version()
