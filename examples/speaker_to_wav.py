"""One speaker of a recording as a 16-bit WAV file, second by second: a recording of hours needs no more memory.

python examples/speaker_to_wav.py DIR NAME OUT.wav
"""

import sys
import wave

import numpy as np

import raccall
from raccall.errors import RaccallError


def main(folder: str, name: str, out: str) -> int:
    try:
        blocks = raccall.Recording.open(folder).blocks(speakers=[name])
    except RaccallError as error:
        print(error, file=sys.stderr)
        return 1
    with wave.open(out, "wb") as file:
        for block in blocks:
            if block.position == 0:
                file.setnchannels(block.mix.shape[1])
                file.setsampwidth(2)
                file.setframerate(48_000)
            samples = np.clip(np.rint(block.mix * 32767), -32768, 32767)  # the mix of one is their voice
            file.writeframes(samples.astype("<i2").tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 4 else __doc__)
