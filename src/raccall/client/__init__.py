"""A session with a server: `connect` in asyncio, and the cores it is made of.

async with connect(link, name="anna") as session:
    await session.join(Sound.clocked(speech, keep_playback=True))
    async for event in session.events(): ...
"""

from raccall.client.adapter import Session, connect
from raccall.client.events import (
    ClearRefused,
    ConnectionLost,
    ConsentChanged,
    EncryptionBroken,
    EncryptionChanged,
    EncryptionPolicyChanged,
    Event,
    GhostsChanged,
    Identified,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    RecordingPolicyChanged,
    RecordingStarted,
    RecordingStopped,
    Refused,
    Resumed,
    SourceKnown,
    TextReceived,
    VoiceConnected,
    VoiceLost,
    VoiceServerGiven,
)
from raccall.client.link import InviteLink, parse_link

__all__ = [
    "ClearRefused",
    "ConnectionLost",
    "ConsentChanged",
    "EncryptionBroken",
    "EncryptionChanged",
    "EncryptionPolicyChanged",
    "Event",
    "GhostsChanged",
    "Identified",
    "InviteLink",
    "MemberChanged",
    "MemberJoined",
    "MemberLeft",
    "RecordingPolicyChanged",
    "RecordingStarted",
    "RecordingStopped",
    "Refused",
    "Resumed",
    "Session",
    "SourceKnown",
    "TextReceived",
    "VoiceConnected",
    "VoiceLost",
    "VoiceServerGiven",
    "connect",
    "parse_link",
]
