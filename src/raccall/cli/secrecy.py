"""What a person who joins is told about who can listen: the lock, the code, ghosts, and keys that are not as before.

secrecy = Secrecy(session, screen, KnownKeys(file), server)
secrecy.look(event)          # of every event
await secrecy.answer(line)   # /verify, /verify NAME, /verified NAME
"""

from raccall.cli.screen import Screen, policy_sentence, printable
from raccall.client import EncryptionChanged, Event, Session
from raccall.client.known_keys import KnownKeys
from raccall.errors import RefusedError

MAX_FINGERPRINTS = 20
"""Each takes 50 ms to work out."""


class Secrecy:
    """Of one call. server: as `client.identity.server_of` gives it."""

    def __init__(self, session: Session, screen: Screen, known: KnownKeys, server: str) -> None:
        self._session = session
        self._screen = screen
        self._known = known
        self._server = server

    def after_joining(self) -> None:
        """Tell because of whom the call is in clear, if it is."""
        without = self._session.room_encryption.without
        members = self._session.members
        if without:
            names = tuple(members[user_id].name if user_id in members else user_id for user_id in without)
            self._screen.line(policy_sentence(self._session.room_encryption.policy, names))

    def look(self, event: Event) -> None:
        """Call for every event of the session, after it was shown."""
        if not isinstance(event, EncryptionChanged):
            return
        members = self._session.members
        for user_id, key in event.identities.items():
            if user_id == self._session.user_id or user_id not in members:
                continue
            name = members[user_id].name
            if not self._known.meet(self._server, name, key):
                self._screen.line(
                    f"! {name} has another identity key than in your earlier calls: another device, or somebody else. "
                    f"Compare what /verify {name} shows you both, by a way that you trust."
                )
                self._screen.record("identity_changed", user_id=user_id, name=name)

    async def answer(self, line: str) -> bool:
        """True if the line was /verify or /verified, with a name or without."""
        words = line.split(maxsplit=1)
        if words[:1] not in (["/verify"], ["/verified"]):
            return False
        name = words[1].strip() if len(words) == 2 else None
        encryption = self._session.encryption
        if encryption is None or not encryption.encrypted:
            self._screen.line("This call is NOT encrypted end to end: its server can listen.")
        elif not encryption.code:
            self._screen.line("Encrypted end to end; there is nobody to compare a code with yet.")
        elif name is not None and name.casefold() == self._session.name.casefold():
            self._screen.line("That is you. /verify with another one's name shows what you both have to see alike.")
        elif words[0] == "/verify":
            await self._verify(encryption, name)
        else:
            self._note_verified(encryption, name)
        return True

    @property
    def verified(self) -> frozenset[str]:
        """User ids of those in the call's encryption whose identity key was compared."""
        encryption, members = self._session.encryption, self._session.members
        if encryption is None or not encryption.encrypted:
            return frozenset()
        return frozenset(
            user_id
            for user_id, key in encryption.identities.items()
            if user_id in members and self._known.is_verified(self._server, members[user_id].name, key)
        )

    def _note_verified(self, encryption: EncryptionChanged, name: str | None) -> None:
        if name is None:
            self._screen.line("/verified NAME notes that you compared what /verify NAME shows, and it was the same.")
            return
        for user_id, key in encryption.identities.items():
            member = self._session.members.get(user_id)
            if member is not None and member.name.casefold() == name.casefold():
                self._known.verify(self._server, member.name, key)
                self._screen.line(f"{member.name} is verified; you are told should they come with another key.")
                self._screen.record("verified", user_id=user_id, name=member.name)
                return
        self._screen.line(f"Nobody called {name} is in this call's encryption.")

    async def _verify(self, encryption: EncryptionChanged, name: str | None) -> None:
        members = self._session.members
        others = [user_id for user_id in encryption.identities if user_id != self._session.user_id]
        names = {user_id: members[user_id].name if user_id in members else f"user {user_id}" for user_id in others}
        if name is None:
            self._screen.line(f"Code of this call: {encryption.code}. Everyone in it sees the same.")
            self._screen.line(f"Who can listen: you{''.join(', ' + printable(known) for known in names.values())}.")
        chosen = [user_id for user_id in others if name is None or names[user_id].casefold() == name.casefold()]
        if not chosen and name is not None:
            self._screen.line(f"Nobody called {name} is in this call's encryption.")
        for user_id in chosen[:MAX_FINGERPRINTS]:
            try:
                digits = await self._session.fingerprint(user_id)
            except RefusedError:  # has just left
                continue
            self._screen.line(f"You and {names[user_id]}, in every call: {digits}")
            if name is not None and user_id not in self.verified:
                self._screen.line(
                    f"If {names[user_id]} reads the same to you, by a way that you trust: /verified {name}"
                )


def lock_words(encryption: EncryptionChanged | None, ghosts: tuple[str, ...], verified: int = 0) -> str:
    """For a status line; empty before anything is known. verified: so many of the others are."""
    if ghosts:
        return "! GHOST: somebody can listen who is not shown"
    if encryption is None:
        return ""
    if not encryption.encrypted:
        return "NOT encrypted"
    if not encryption.code:
        return "encrypted, alone"
    others = len(encryption.identities) - 1
    whose = "" if not verified else ", all verified" if verified >= others else f", {verified} of {others} verified"
    return f"encrypted{whose}"
