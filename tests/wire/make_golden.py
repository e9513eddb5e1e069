"""Make the golden packets: `python tests/wire/make_golden.py`.

Nothing of Raccall is used here: packets are put together with `struct`, sealed by `cryptography` (AES-GCM) and PyNaCl
(the rest), laid out as Discord's documentation of the voice gateway says. The output never changes; a test compares it.

    golden/CASE.bin        the plain packet
    golden/CASE.MODE.bin   the datagram
    golden/packets.json    key, and per case its fields, its nonces and the mode of every datagram
"""

import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.secret import SecretBox

FOLDER = Path(__file__).parent / "golden"
KEY = bytes(range(100, 132))
CSRC = bytes.fromhex("11111111 22222222 33333333")
EXTENSION_BODY = bytes.fromhex("10 5A 32 01 02 03 90 05 00 00 00 00")  # level, absolute time, speaker flags, filler
PADDING = bytes.fromhex("AA BB CC 04")

FIELDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "empty": {"payload": b""},
    "marker": {"marker": True, "payload_type": 101, "sequence": 65535, "timestamp": 2**32 - 1, "ssrc": 2**32 - 1},
    "csrc": {"csrc": CSRC},
    "extension0": {"profile": 0xBEDE, "body": b""},
    "extension1": {"profile": 0xBEDE, "body": EXTENSION_BODY[:4]},
    "extension3": {"profile": 0x1234, "body": EXTENSION_BODY},
    "padding": {"padding": PADDING},
    "all": {"csrc": CSRC, "profile": 0xBEDE, "body": EXTENSION_BODY, "padding": PADDING},
}
DEFAULTS: dict[str, Any] = {
    "marker": False,
    "payload_type": 120,
    "sequence": 0x0102,
    "timestamp": 0x03040506,
    "ssrc": 0x0708090A,
    "csrc": b"",
    "profile": None,
    "body": b"",
    "payload": bytes.fromhex("F8") + bytes(range(1, 60)),
    "padding": b"",
}
SENDER_REPORT = struct.pack(
    ">BBHIQIII IIIIII", 0x81, 200, 12, 0x0708090A, 1 << 63 | 5, 48000, 50, 6000,
    0x11111111, 25 << 24 | 0xFFFFFE, 70000, 33, 0x12345678, 65536,
)  # fmt: skip


def rtp(fields: dict[str, Any]) -> bytes:
    first = 0x80 | bool(fields["padding"]) << 5 | (fields["profile"] is not None) << 4 | len(fields["csrc"]) // 4
    second = fields["marker"] << 7 | fields["payload_type"]
    packet = struct.pack(">BBHII", first, second, fields["sequence"], fields["timestamp"], fields["ssrc"])
    packet += fields["csrc"]
    if fields["profile"] is not None:
        packet += struct.pack(">HH", fields["profile"], len(fields["body"]) // 4) + fields["body"]
    return packet + bytes(fields["payload"]) + bytes(fields["padding"])


def seal(mode: str, packet: bytes, clear_bytes: int, nonce: bytes) -> bytes:
    """`clear_bytes`: of the rtpsize modes; the others have 12 for RTP. Both have 8 for RTCP."""
    if not mode.endswith("_rtpsize") and clear_bytes > 8:
        clear_bytes = 12
    clear, plain = packet[:clear_bytes], packet[clear_bytes:]
    if mode.startswith("aead_aes256_gcm"):
        return clear + AESGCM(KEY).encrypt(nonce[:4] + bytes(8), plain, clear) + nonce[:4]
    if mode == "aead_xchacha20_poly1305_rtpsize":
        full = nonce[:4] + bytes(20)
        return clear + crypto_aead_xchacha20poly1305_ietf_encrypt(plain, clear, full, KEY) + nonce[:4]
    if mode == "xsalsa20_poly1305":
        return clear + SecretBox(KEY).encrypt(plain, clear.ljust(24, b"\0")).ciphertext
    if mode == "xsalsa20_poly1305_suffix":
        return clear + SecretBox(KEY).encrypt(plain, nonce).ciphertext + nonce
    if mode.startswith("xsalsa20_poly1305_lite"):
        return clear + SecretBox(KEY).encrypt(plain, nonce[:4] + bytes(20)).ciphertext + nonce[:4]
    raise ValueError(mode)


MODES = (
    "aead_aes256_gcm_rtpsize",
    "aead_xchacha20_poly1305_rtpsize",
    "xsalsa20_poly1305_lite_rtpsize",
    "aead_aes256_gcm",
    "xsalsa20_poly1305",
    "xsalsa20_poly1305_suffix",
    "xsalsa20_poly1305_lite",
)


def make() -> dict[str, bytes]:
    """All files, by name."""
    dice = random.Random(2021)
    files: dict[str, bytes] = {}
    index: dict[str, Any] = {"key": KEY.hex(), "cases": {}}
    packets = {name: (rtp(DEFAULTS | fields), DEFAULTS | fields) for name, fields in FIELDS.items()}
    packets["sender_report"] = (SENDER_REPORT, {})
    for name, (packet, fields) in packets.items():
        clear_bytes = 12 + len(fields["csrc"]) + 4 * (fields["profile"] is not None) if fields else 8
        files[f"{name}.bin"] = packet
        nonce = dice.randbytes(24)
        for mode in MODES:
            files[f"{name}.{mode}.bin"] = seal(mode, packet, clear_bytes, nonce)
        shown = {field: value.hex() if isinstance(value, bytes) else value for field, value in fields.items()}
        index["cases"][name] = {"nonce": nonce.hex(), "fields": shown}
    files["packets.json"] = (json.dumps(index, indent=1) + "\n").encode()
    return files


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, contents in make().items():
        (FOLDER / name).write_bytes(contents)
    sys.stdout.write(f"{len(make())} files in {FOLDER.name}\n")
