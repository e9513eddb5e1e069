"""What the stand-in knows: accounts, guilds, voice channels, who is where; and how Discord writes them as JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

VOICE, STAGE, TEXT = 2, 13, 0
"""Types of channels."""
JOINED_AT = "2026-01-01T00:00:00+00:00"

VIEW_CHANNEL, SEND_MESSAGES, CONNECT, SPEAK = 1 << 10, 1 << 11, 1 << 20, 1 << 21
CHANGE_NICKNAME, MANAGE_CHANNELS = 1 << 26, 1 << 4
EVERYONE = VIEW_CHANNEL | SEND_MESSAGES | CONNECT | SPEAK | CHANGE_NICKNAME
"""What everyone may, unless a test takes it away."""


@dataclass(eq=False, slots=True)
class Account:
    """A user, person or bot: both log in by a token here."""

    id: int
    name: str
    token: str

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": self.name,
            "discriminator": "0",
            "avatar": None,
            "bot": True,
            "flags": 0,
            "verified": True,
            "mfa_enabled": False,
        }


@dataclass(eq=False, slots=True)
class Presence:
    """An account in a voice channel."""

    account: Account
    session_id: str
    self_mute: bool = False
    self_deaf: bool = False
    mute: bool = False
    suppress: bool = False
    """In the audience of a stage."""


@dataclass(eq=False, slots=True)
class Message:
    """A line that somebody posted."""

    id: int
    author: Account
    content: str
    files: dict[str, bytes] = field(default_factory=dict)
    """By name."""


@dataclass(eq=False, slots=True)
class Channel:
    """A voice channel; its id is that of the room that serves its voice."""

    id: int
    name: str
    guild: "Guild"
    kind: int = VOICE
    user_limit: int = 0
    """0: none."""
    denied: int = 0
    """Permissions that nobody has here."""
    present: dict[int, Presence] = field(default_factory=dict)
    """By user id, in the order they came."""
    messages: list[Message] = field(default_factory=list)
    """Of its text chat, the oldest first."""

    @property
    def texts(self) -> list[str]:
        """What was posted in its text chat."""
        return [message.content for message in self.messages]

    def payload(self) -> Json:
        overwrites = [{"id": str(self.guild.id), "type": 0, "allow": "0", "deny": str(self.denied)}]
        return {
            "id": str(self.id),
            "guild_id": str(self.guild.id),
            "type": self.kind,
            "name": self.name,
            "position": 0,
            "bitrate": 64_000,
            "user_limit": self.user_limit,
            "rtc_region": None,
            "nsfw": False,
            "parent_id": None,
            "permission_overwrites": overwrites if self.denied else [],
        }


@dataclass(eq=False, slots=True)
class Guild:
    """One guild. Made by `StandIn.add_guild`."""

    id: int
    name: str
    owner: Account
    new_id: Callable[[], int]
    permissions: int = EVERYONE
    """Of everyone."""
    roles: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Role id → name and permissions."""
    members: dict[int, Account] = field(default_factory=dict)
    nicknames: dict[int, str | None] = field(default_factory=dict)
    member_roles: dict[int, list[int]] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    def add_role(self, name: str, permissions: int, *accounts: Account) -> int:
        """Give these accounts a role; before they log in. Returns its id."""
        role_id = self.new_id()
        self.roles[role_id] = (name, permissions)
        for account in accounts:
            self.member_roles.setdefault(account.id, []).append(role_id)
        return role_id

    def may(self, account: Account, permission: int, channel: Channel | None = None) -> bool:
        """Whether the account has it, as far as the stand-in knows."""
        if account is self.owner:
            return True
        granted = self.permissions
        for role_id in self.member_roles.get(account.id, []):
            granted |= self.roles[role_id][1]
        if channel is not None:
            granted &= ~channel.denied
        return bool(granted & permission)

    def member_payload(self, account: Account, *, permissions: int | None = None) -> Json:
        payload: Json = {
            "user": account.payload(),
            "nick": self.nicknames.get(account.id),
            "roles": [str(role_id) for role_id in self.member_roles.get(account.id, [])],
            "joined_at": JOINED_AT,
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        if permissions is not None:
            payload["permissions"] = str(permissions)
        return payload

    def voice_payload(self, presence: Presence, channel: Channel | None) -> Json:
        return {
            "guild_id": str(self.id),
            "channel_id": str(channel.id) if channel else None,
            "user_id": str(presence.account.id),
            "member": self.member_payload(presence.account),
            "session_id": presence.session_id,
            "deaf": False,
            "mute": presence.mute,
            "self_deaf": presence.self_deaf,
            "self_mute": presence.self_mute,
            "self_video": False,
            "suppress": presence.suppress,
            "request_to_speak_timestamp": None,
        }

    def payload(self) -> Json:
        """GUILD_CREATE."""
        everyone = [(self.id, ("@everyone", self.permissions))]
        present = [(presence, channel) for channel in self.channels.values() for presence in channel.present.values()]
        return {
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "unavailable": False,
            "member_count": len(self.members),
            "large": False,
            "roles": [
                {"id": str(role_id), "name": name, "permissions": str(permissions), "position": position, "flags": 0}
                for position, (role_id, (name, permissions)) in enumerate([*everyone, *self.roles.items()])
            ],
            "channels": [channel.payload() for channel in self.channels.values()],
            "members": [self.member_payload(account) for account in self.members.values()],
            "voice_states": [self.voice_payload(presence, channel) for presence, channel in present],
            "emojis": [],
            "stickers": [],
            "features": [],
            "threads": [],
            "presences": [],
            "stage_instances": [],
        }


def interaction(
    interaction_id: int, token: str, asker: Account, words: list[str], channel: Channel, options: dict[str, Any]
) -> Json:
    """INTERACTION_CREATE: a slash command, `words` its name and its subcommand, typed in a channel's text chat."""
    arguments: list[Json] = []
    resolved: Json = {}
    for name, value in options.items():
        if isinstance(value, Channel):
            resolved.setdefault("channels", {})[str(value.id)] = {**value.payload(), "permissions": str(EVERYONE)}
            arguments.append({"name": name, "type": 7, "value": str(value.id)})
        else:
            arguments.append({"name": name, "type": 3, "value": value})
    name, *rest = words
    for word in reversed(rest):
        arguments = [{"name": word, "type": 1, "options": arguments}]
    guild = channel.guild
    permissions = sum(bit for bit in (MANAGE_CHANNELS, *_bits(EVERYONE)) if guild.may(asker, bit, channel))
    return {
        "id": str(interaction_id),
        "application_id": "0",
        "type": 2,
        "token": token,
        "version": 1,
        "guild_id": str(guild.id),
        "channel": channel.payload(),
        "member": guild.member_payload(asker, permissions=permissions),
        "locale": "en-US",
        "attachment_size_limit": 0,
        "data": {"id": "1", "name": name, "type": 1, "options": arguments, "resolved": resolved},
    }


def _bits(permissions: int) -> list[int]:
    return [1 << number for number in range(permissions.bit_length()) if permissions >> number & 1]
