"""Writes crates/media/src/process/rnnoise/weights.bin from the RNNoise library in a pyrnnoise wheel.

    pip download --no-deps pyrnnoise==0.4.5 && python scripts/rnnoise_weights.py pyrnnoise-*.whl

The library (BSD-3-Clause) carries RNNoise's current model as arrays of its read-only data, which its symbols name.
Their order in the file, and what each is, tells `network.rs`, which reads it. Only wheels for Linux x86-64 are
understood.
"""

import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).parents[1] / "crates/media/src/process/rnnoise/weights.bin"
GRUS = [f"gru{number}_{part}" for number in (1, 2, 3) for part in ("input", "recurrent")]
STATE = 384
BLOCK = 8, 4
"""Outputs and inputs of a block, in which the library stores what is quantised."""
INT8_STEPS = 127
"""Of an input of 1 in the library's own arithmetic: its scales have that divided out."""

SYMBOL_TABLE, SECTION_HEADER, SYMBOL = 2, struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")


def symbols(elf: bytes) -> dict[str, tuple[int, int]]:
    """Where each named object begins in the file, and its bytes. Read-only data lies at its address."""
    start, size, count = *struct.unpack_from("<Q", elf, 40), *struct.unpack_from("<HH", elf, 58)
    sections = [SECTION_HEADER.unpack_from(elf, start + number * size) for number in range(count)]
    found = {}
    for _, kind, _, _, offset, length, link, _, _, entry in sections:
        if kind != SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for at in range(offset, offset + length, entry):
            name, _, _, section, address, bytes_ = SYMBOL.unpack_from(elf, at)
            if 0 < section < count:
                text = elf[names + name : elf.index(b"\0", names + name)].decode()
                found[text] = address - sections[section][3] + sections[section][4], bytes_
    return found


def main(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        elf = archive.read(next(name for name in archive.namelist() if name.endswith("librnnoise.so")))
    places = symbols(elf)

    def array(name: str, kind: str) -> NDArray[np.generic]:
        offset, length = places[name]
        return np.frombuffer(elf[offset : offset + length], kind)

    def floats(name: str, inputs: int, outputs: int) -> bytes:
        bias = array(f"{name}_bias", "<f4")
        weights = array(f"{name}_weights_float", "<f4").reshape(inputs, outputs).T
        return bias.tobytes() + weights.tobytes()

    def quantised(name: str, outputs: int) -> bytes:
        bias, scale = array(f"{name}_bias", "<f4"), array(f"{name}_scale", "<f4") * np.float32(INT8_STEPS)
        blocks = array(f"{name}_weights_int8", "i1").reshape(outputs // BLOCK[0], STATE // BLOCK[1], *BLOCK)
        weights = blocks.transpose(0, 2, 1, 3)  # rows of one output each
        diagonal = array(f"{name}_weights_diag", "<f4").tobytes() if name.endswith("recurrent") else b""
        return bias.tobytes() + scale.tobytes() + diagonal + weights.tobytes()

    parts = [floats("conv1", 195, 128), quantised("conv2", STATE), *(quantised(name, 3 * STATE) for name in GRUS)]
    parts += [floats("dense_out", 4 * STATE, 32), floats("vad_dense", 4 * STATE, 1)]
    TARGET.write_bytes(b"".join(parts))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
