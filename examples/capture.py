"""How much smaller is speech after Opus? Twelve seconds from a microphone or a file, counted second by second.

    python examples/capture.py                       from the default microphone
    python examples/capture.py --file hello.flac     from a file (shorter ones end in silence)
    python examples/capture.py --chunk-ms 60         in chunks of 60 ms

Two slips are easy here. A chunk's length in ms depends on the rate: 960 frames are 20 ms at 48 kHz, but 60 ms at
16 kHz, where 20 ms are 320 frames. And sound libraries count buffers (`frames_per_buffer`) in frames, one sample of
every channel, not in bytes: 320 frames of 16-bit mono are 640 bytes.
"""

import argparse
import json
import queue
import sys
from collections.abc import Generator, Iterator

import miniaudio
import numpy as np
from numpy.typing import NDArray

from raccall.audio.devices import Kind, list_devices
from raccall.audio.files import read_samples
from raccall.errors import InputError
from raccall.voice import Encoder

RATE_HZ = 16_000
SECONDS = 12
BITRATE_BPS = 12_000
WAITING_CHUNKS = 100
"""Chunks from the microphone that nobody has taken yet; a full queue drops the newest."""

CHUNKS_MS = (2.5, 5.0, 10.0, 20.0, 40.0, 60.0)
"""The frames that Opus has. 12 s hold a whole number of each."""

Chunk = NDArray[np.int16]


def from_file(path: str, frames: int) -> Iterator[Chunk]:
    """The first 12 s of a sound file, resampled to 16 kHz mono, as chunks of `frames`."""
    samples = read_samples(path, RATE_HZ)[: SECONDS * RATE_HZ]
    padded = np.zeros(SECONDS * RATE_HZ, np.int16)
    padded[: len(samples)] = np.round(np.clip(samples, -1, 1) * 32767)
    yield from padded.reshape(-1, frames)


def from_microphone(frames: int) -> Iterator[Chunk]:
    """12 s of the default microphone as chunks of `frames`. A microphone fills buffers of its own size, so cut them."""
    if not any(device.kind is Kind.MICROPHONE for device in list_devices()):
        raise InputError("no_microphone", "No microphone was found: plug one in, or use --file.")
    buffers: queue.Queue[bytes] = queue.Queue(WAITING_CHUNKS)

    def keep() -> Generator[None, bytes, None]:
        while True:
            buffer = yield
            if not buffers.full():
                buffers.put_nowait(bytes(buffer))

    keeper = keep()
    next(keeper)
    chunks = SECONDS * RATE_HZ // frames
    chunk_bytes = frames * np.dtype(np.int16).itemsize
    with miniaudio.CaptureDevice(miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=RATE_HZ) as device:
        device.start(keeper)
        rest = b""
        for _ in range(chunks):
            while len(rest) < chunk_bytes:
                try:
                    rest += buffers.get(timeout=5)
                except queue.Empty:
                    raise InputError("silent_microphone", "The microphone is open but gives no sound.") from None
            yield np.frombuffer(rest[:chunk_bytes], np.int16)
            rest = rest[chunk_bytes:]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", metavar="SOUND", help="WAV, FLAC or Opus instead of the microphone")
    parser.add_argument("--chunk-ms", type=float, choices=CHUNKS_MS, default=20.0, help="length of a chunk (20)")
    parser.add_argument("--json", action="store_true", help="print one object at the end and nothing else")
    options = parser.parse_args(arguments)
    frames = int(RATE_HZ * options.chunk_ms / 1000)
    encoder = Encoder(RATE_HZ, 1, "voip", bitrate_bps=BITRATE_BPS)

    def show(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    packets = raw_bytes = opus_bytes = 0
    raw_before = opus_before = second = 0
    show(f"{frames} frames per chunk: {options.chunk_ms:g} ms at {RATE_HZ} Hz")
    try:
        for chunk in from_file(options.file, frames) if options.file else from_microphone(frames):
            packets += 1
            raw_bytes += chunk.nbytes
            opus_bytes += len(encoder.encode(chunk))
            if packets * frames // RATE_HZ > second:
                second += 1
                show(f"second {second:2}: {raw_bytes - raw_before} bytes raw, {opus_bytes - opus_before} as Opus")
                raw_before, opus_before = raw_bytes, opus_bytes
    except (InputError, miniaudio.MiniaudioError) as error:
        print(error, file=sys.stderr)
        return 1
    smaller = raw_bytes / opus_bytes
    show(f"{packets} packets, {raw_bytes} bytes raw, {opus_bytes} as Opus: {smaller:.1f} times smaller")
    if options.json:
        print(json.dumps({"packets": packets, "raw_bytes": raw_bytes, "opus_bytes": opus_bytes, "smaller": smaller}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
