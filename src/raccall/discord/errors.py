"""What a program may want to tell apart when it uses `raccall.discord`; each is one of `raccall.errors`."""

from raccall.errors import ConnectionFailed, InputError, RefusedError


class NotReady(InputError):
    """The voice connection is not there (yet, or any more): "voice_not_ready"."""


class AlreadyRecording(InputError):
    """This voice connection is being recorded already ("already_recording"), or is in another channel of the server
    ("voice_in_use")."""


class NotAnnounced(RefusedError):
    """The channel could not be told that it is recorded, so nothing was: "notice_refused"."""


class VoiceRefused(ConnectionFailed):
    """Discord did not let us into the channel: "missing_permission", "channel_full", "voice_unanswered" (within 30 s),
    "voice_refused" (the connection ended before media flowed)."""
