"""What a room's recording policy means: which recorder may come, who is kept, and what everyone is told about it.

off: no recorder is let in. ask: any recorder may come, and gets those who said yes. automatic: only the server's own
recorder may come, and gets everyone who was told when joining and did not say no.
"""

from raccall.errors import RefusedError
from raccall.server.rooms import Member, Room
from raccall.server.tokens import User
from raccall.wire.control import EncryptionState, MemberInfo, RecordingPolicy, RecordingState, RoomInfo


def check_recorder(room: Room, user: User) -> None:
    """May this user come, if it is a recorder? Raises RefusedError `recording_off` or `recording_reserved`."""
    if not user.recorder:
        return
    if room.policy is RecordingPolicy.OFF:
        raise RefusedError("recording_off", f"The room {room.name} may not be recorded; its owner decided so.")
    if room.policy is RecordingPolicy.AUTOMATIC and not user.appointed:
        raise RefusedError(
            "recording_reserved", f"The room {room.name} is recorded by its server; other recorders may not come."
        )


def recording_state(room: Room) -> RecordingState:
    return RecordingState(
        policy=room.policy,
        retention_days=room.retention_days,
        recorders={str(member.user_id): member.name for member in room.recorders},
        since=room.recorded_since,
    )


def member_info(room: Room, member: Member) -> MemberInfo:
    return MemberInfo(
        user_id=str(member.user_id),
        name=member.name,
        recording=member.recording,
        bot=member.bot,
        muted=member.muted,
        deafened=member.deafened,
        silenced=member.user_id in room.silenced,
        consent=member.consent,
        kept=room.may_keep(member.user_id),
    )


def member_infos(room: Room) -> list[MemberInfo]:
    """In the order they came."""
    return [member_info(room, member) for member in room.members.values()]


def room_info(room: Room, encryption: EncryptionState) -> RoomInfo:
    return RoomInfo(
        room_id=str(room.id),
        name=room.name,
        members=member_infos(room),
        recording=recording_state(room),
        encryption=encryption,
    )
