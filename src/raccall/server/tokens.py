"""What the server signs and later believes: invites, guests, and the owner's token.

Each is a signed JSON value (itsdangerous, HMAC) that says what it allows, so nothing has to be stored and a restart
ends no invite. The kinds have different salts: an invite cannot be used as a guest's token.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from itsdangerous import BadData, URLSafeSerializer

from raccall.errors import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a token belongs to. A guest is let into one room."""

    id: int
    name: str
    recorder: bool
    room_id: int
    appointed: bool = False
    """Let in with the owner's token: the server's own recorder."""
    bot: bool = False
    """Let in with the owner's token, too: hears everyone, however many speak."""


class Tokens:
    """Signs with the server's secret. Everything that is not its own work is refused with RefusedError."""

    def __init__(self, secret: bytes) -> None:
        self._invites = URLSafeSerializer(secret, salt="invite", signer_kwargs={"digest_method": hashlib.sha256})
        self._guests = URLSafeSerializer(secret, salt="guest", signer_kwargs={"digest_method": hashlib.sha256})
        self.owner = hmac.new(secret, b"owner", hashlib.sha256).hexdigest()
        """Allows to make rooms and invites. The same at every start."""
        self.operator = hmac.new(secret, b"operator", hashlib.sha256).hexdigest()
        """Allows to see how the server does, and nothing else. The same at every start."""

    def invite(self, room_id: int, expires: datetime) -> str:
        return _text(self._invites.dumps({"room": room_id, "exp": int(expires.timestamp())}))

    def read_invite(self, token: str, wall: datetime) -> int:
        """The room it leads to. Raises RefusedError `invite_invalid` or `invite_expired`."""
        try:
            fields = self._invites.loads(token)
            room_id, expires = int(fields["room"]), int(fields["exp"])
        except (BadData, KeyError, TypeError, ValueError):
            raise RefusedError("invite_invalid", "This invite is not from this server, or it is damaged.") from None
        if wall.timestamp() >= expires:
            raise RefusedError("invite_expired", "This invite has expired; ask for a new one.")
        return room_id

    def guest(self, user: User) -> str:
        return _text(self._guests.dumps([user.id, user.name, user.recorder, user.room_id, user.appointed, user.bot]))

    def read_guest(self, token: str) -> User:
        """Raises RefusedError `token_invalid`."""
        try:
            user_id, name, recorder, room_id, appointed, *later = self._guests.loads(token)
        except (BadData, TypeError, ValueError):
            raise RefusedError("token_invalid", "The token is not from this server; ask for a new one.") from None
        return User(id=user_id, name=name, recorder=recorder, room_id=room_id, appointed=appointed, bot=later == [True])

    def check_owner(self, token: str) -> None:
        """Raises RefusedError `not_owner`."""
        if not _same(token, self.owner):
            raise RefusedError(
                "not_owner", "Only the server's owner may do this; the owner's token is missing or wrong."
            )

    def check_operator(self, token: str) -> None:
        """The owner is one, too. Raises RefusedError `not_operator`."""
        if not _same(token, self.operator) and not _same(token, self.owner):
            raise RefusedError(
                "not_operator", "Only who runs the server may see this; the operator's token is missing or wrong."
            )


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
