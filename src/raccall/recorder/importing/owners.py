"""Whose voice each SSRC of a capture was, as a person tells it: a capture itself holds no names."""

import json
from dataclasses import dataclass

from raccall.errors import InputError
from raccall.units import Ssrc

MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Owner:
    """One person. All SSRCs of one `user_id` become one track."""

    user_id: str
    name: str


def read_owners(text: bytes, where: str) -> dict[Ssrc, Owner]:
    """Read {"SSRC": "name"} or {"SSRC": {"user_id": "...", "name": "..."}}; SSRCs decimal, or hexadecimal after 0x.

    Raises InputError "users_malformed"; `where` names the file.
    """
    owners: dict[Ssrc, Owner] = {}
    try:
        value = json.loads(text.decode("utf-8-sig"))
        if not isinstance(value, dict):
            raise ValueError
        for ssrc, owner in value.items():
            number = int(ssrc, 16 if ssrc.lower().startswith("0x") else 10)
            match owner:
                case str(name):
                    user_id = name
                case {"user_id": str() | int() as user_id, "name": str(name)}:
                    user_id = str(user_id)
                case _:
                    raise ValueError
            if (
                not 0 <= number < 1 << 32
                or not 0 < len(user_id) <= MAX_NAME_CHARS
                or not 0 < len(name) <= MAX_NAME_CHARS
            ):
                raise ValueError
            owners[Ssrc(number)] = Owner(user_id, name)
    except (ValueError, RecursionError):
        raise InputError(
            "users_malformed",
            f'{where} does not say whose voices they are: it looks like {{"1234": "anna", "5678": "ben"}}, by SSRC.',
        ) from None
    return owners
