"""Secret keys of voice sessions, as people kept them: from op 4 ("session description") of the voice gateway.

A reconnection brings a new key; so there may be several. No message ever shows a part of one.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import cast

from raccall.errors import InputError

KEY_BYTES = 32
MAX_KEYS = 1000

_HEX = re.compile(r"[0-9a-fA-F]{64}")


def read_keys(text: bytes, where: str) -> list[bytes]:
    """All keys in the contents of a file or variable, in their order, each once.

    Either 32 bytes; or lines of 64 hexadecimal digits or of base64; or JSON: a list of 32 numbers as op 4 has it, its
    "d", the whole message, or a list or lines of any of these. `#` begins a comment.
    Raises InputError "key_malformed"; `where` names the file or variable.
    """
    if len(text) == KEY_BYTES:  # no other form is as short
        return [text]
    try:
        decoded = text.decode("utf-8-sig")
        keys = list(dict.fromkeys(_from_text(decoded)))
    except (ValueError, TypeError, RecursionError):
        keys = []
    if not keys or len(keys) > MAX_KEYS:
        raise InputError(
            "key_malformed",
            f"{where} holds no voice key: 64 hexadecimal digits, base64, or the numbers of `secret_key`, one a line.",
        )
    return keys


def is_key(text: str) -> bool:
    """Whether a text is a key itself, so that it must not be shown."""
    try:
        return any(_from_text(text))
    except (ValueError, TypeError, RecursionError):
        return False


def _from_text(text: str) -> Iterator[bytes]:
    """Raises ValueError."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            yield from _from_json(json.loads(text))
            return
        except json.JSONDecodeError:
            pass  # then one JSON value a line
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        if line[0] in "[{":
            yield from _from_json(json.loads(line))
        elif _HEX.fullmatch(line):
            yield bytes.fromhex(line)
        else:
            yield _checked(base64.b64decode(line, validate=True))


def _from_json(value: object) -> Iterator[bytes]:
    match value:
        case {"d": dict(inner)}:
            yield from _from_json(inner)
        case {"secret_key": list(numbers)}:
            yield from _from_json(numbers)
        case [int(), *_] as numbers:
            yield _checked(bytes(cast("list[int]", numbers)))
        case [str(), *_]:
            for one in value:
                yield from _from_text(str(one))
        case [_, *_]:
            for one in value:
                yield from _from_json(one)
        case _:
            raise ValueError


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise binascii.Error
    return key
