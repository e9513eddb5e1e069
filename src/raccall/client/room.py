"""What a client knows of the rooms: who is here, who records, who is muted. Changed only by messages of the server."""

from raccall.wire.control import EncryptionState, MemberInfo, RecordingState, RoomInfo


class RoomMirror:
    """The rooms as the server last told them. Ids are decimal strings."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._members: dict[str, dict[str, MemberInfo]] = {}
        self._recording: dict[str, RecordingState] = {}
        self._encryption: dict[str, EncryptionState] = {}

    def replace(self, rooms: list[RoomInfo]) -> None:
        """Forget everything and begin with these."""
        self._names = {room.room_id: room.name for room in rooms}
        self._members = {room.room_id: {member.user_id: member for member in room.members} for room in rooms}
        self._recording = {room.room_id: room.recording for room in rooms}
        self._encryption = {room.room_id: room.encryption for room in rooms}

    def put(self, room_id: str, member: MemberInfo) -> MemberInfo | None:
        """Add or change a member; what was known before."""
        members = self._members.setdefault(room_id, {})
        before = members.get(member.user_id)
        members[member.user_id] = member
        return before

    def remove(self, room_id: str, user_id: str) -> MemberInfo | None:
        """Take a member away; what was known before."""
        return self._members.get(room_id, {}).pop(user_id, None)

    def put_recording(self, room_id: str, recording: RecordingState) -> RecordingState:
        """Note what is recorded there now; what was known before."""
        before = self.recording(room_id)
        self._recording[room_id] = recording
        return before

    def put_encryption(self, room_id: str, encryption: EncryptionState) -> EncryptionState:
        """Note what the server says of a room's encryption; what was known before."""
        before = self.encryption(room_id)
        self._encryption[room_id] = encryption
        return before

    def encryption(self, room_id: str) -> EncryptionState:
        """As last told."""
        return self._encryption.get(room_id, EncryptionState())

    def recording(self, room_id: str) -> RecordingState:
        """Policy and recorders, as last told."""
        return self._recording.get(room_id, RecordingState())

    def name(self, room_id: str) -> str:
        """Of a room; its id when the name is not known."""
        return self._names.get(room_id, room_id)

    def members(self, room_id: str) -> dict[str, MemberInfo]:
        """user id → member, in the order they came."""
        return dict(self._members.get(room_id, {}))

    def recorders(self, room_id: str) -> tuple[MemberInfo, ...]:
        """Members who keep what is said; everyone should see them."""
        return tuple(member for member in self._members.get(room_id, {}).values() if member.recording)
