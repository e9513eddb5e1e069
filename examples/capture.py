"""How much smaller is speech after Opus? Twelve seconds from a microphone or a file, counted second by second.

    python examples/capture.py                       from the default microphone
    python examples/capture.py --file hello.flac     from a file (shorter ones end in silence)
    python examples/capture.py --chunk-ms 60         in chunks of 60 ms

Two slips are easy here. A chunk's length in ms depends on the rate: 960 frames are 20 ms at 48 kHz, but 60 ms at
16 kHz, where 20 ms are 320 frames. And sound libraries count buffers (`frames_per_buffer`) in frames, one sample of
every channel, not in bytes: 320 frames of 16-bit mono are 640 bytes.
"""

import argparse
import queue
from collections.abc import Generator, Iterator

import miniaudio
import numpy as np
from numpy.typing import NDArray

from raccall.audio.files import read_samples
from raccall.voice import Encoder

RATE_HZ = 16_000
SECONDS = 12
BITRATE_BPS = 12_000
WAITING_CHUNKS = 100
"""Chunks from the microphone that nobody has taken yet; a full queue drops the newest."""

Chunk = NDArray[np.int16]


def from_file(path: str, frames: int) -> Iterator[Chunk]:
    """The first 12 s of a sound file, resampled to 16 kHz mono, as chunks of `frames`."""
    samples = read_samples(path, RATE_HZ)[: SECONDS * RATE_HZ]
    padded = np.zeros(SECONDS * RATE_HZ, np.int16)
    padded[: len(samples)] = np.round(np.clip(samples, -1, 1) * 32767)
    yield from padded.reshape(-1, frames)


def from_microphone(frames: int) -> Iterator[Chunk]:
    """12 s of the default microphone as chunks of `frames`. A microphone fills buffers of its own size, so cut them."""
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
                rest += buffers.get(timeout=5)
            yield np.frombuffer(rest[:chunk_bytes], np.int16)
            rest = rest[chunk_bytes:]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", metavar="SOUND", help="WAV, FLAC or Opus instead of the microphone")
    parser.add_argument("--chunk-ms", type=int, choices=(5, 10, 20, 40, 60), default=20, help="length of a chunk (20)")
    options = parser.parse_args(arguments)
    frames = RATE_HZ * options.chunk_ms // 1000
    per_second = 1000 / options.chunk_ms
    encoder = Encoder(RATE_HZ, 1, "voip", bitrate_bps=BITRATE_BPS)

    packets = raw_bytes = opus_bytes = 0
    raw_before = opus_before = 0
    print(f"{frames} frames per chunk: {options.chunk_ms} ms at {RATE_HZ} Hz")
    for chunk in from_file(options.file, frames) if options.file else from_microphone(frames):
        packets += 1
        raw_bytes += chunk.nbytes
        opus_bytes += len(encoder.encode(chunk))
        if packets // per_second > (packets - 1) // per_second:
            second = int(packets // per_second)
            print(f"second {second:2}: {raw_bytes - raw_before} bytes raw, {opus_bytes - opus_before} as Opus")
            raw_before, opus_before = raw_bytes, opus_bytes
    print(f"{packets} packets, {raw_bytes} bytes raw, {opus_bytes} as Opus: {raw_bytes / opus_bytes:.1f} times smaller")


if __name__ == "__main__":
    main()
