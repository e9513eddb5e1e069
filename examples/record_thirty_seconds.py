"""Join a call as a visible recorder, keep thirty seconds, and say who spoke how loud.

python examples/record_thirty_seconds.py LINK            the invite that `raccall serve` prints
python examples/record_thirty_seconds.py LINK --out monday --seconds 60
"""

import argparse
import asyncio
import sys

import numpy as np

import raccall
from raccall.errors import RaccallError


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("link", metavar="LINK")
    parser.add_argument("--out", metavar="DIR", help="keep the recording there (default: gone at the end)")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    try:
        recording = await raccall.record(options.link, seconds=options.seconds, path=options.out)
    except RaccallError as error:
        print(error, file=sys.stderr)
        return 1
    print(recording)
    for speaker in recording.speakers:
        frames = recording.frames(speaker.file_name)  # float32, (frames, channels), 48 kHz
        print(f"{speaker.name}: loudest sample {20 * np.log10(np.abs(frames).max() + 1e-9):.0f} dBFS")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
