"""What everyone in a room is told of it: who comes, goes and changes, who records, what is encrypted, what is lost.

People are told of together where many come at once (`server.batches`); what is told of recorders and of encryption
never comes before the people it names.
"""

from raccall.server.audience import Audience
from raccall.server.batches import Batches
from raccall.server.calls import Calls
from raccall.server.recording import member_info, member_infos, recording_state
from raccall.server.rooms import Member, Room, Rooms
from raccall.server.uplinks import Uplinks
from raccall.units import Nanos, after_ms
from raccall.wire import control

UPLINKS_EVERY_MS = 5_000

Presence = control.MemberJoined | control.MemberUpdated | control.MemberLeft


class Announcements:
    """To the audience, of what rooms and calls have become."""

    def __init__(self, audience: Audience, rooms: Rooms, calls: Calls) -> None:
        self._audience = audience
        self._rooms = rooms
        self._calls = calls
        self._presence: Batches[Presence] = Batches(self._tell_presence)
        self._uplinks: dict[int, Uplinks] = {}  # by room id, of the rooms that are recorded
        self._uplinks_due: Nanos | None = None
        calls.encryption.on_state = self._tell_encryption

    def joined(self, room: Room, member: Member) -> None:
        """Somebody is in the call now."""
        self._presence.add(room.id, control.MemberJoined(room_id=str(room.id), member=member_info(room, member)))
        if member.recording:
            self._uplinks_due = self._uplinks_due or Nanos(0)  # at once: loss is counted from the first look on
            self.recording(room)

    def left(self, room: Room, user_id: int, *, recorder: bool) -> None:
        """Somebody is not in the call any more."""
        self._presence.add(room.id, control.MemberLeft(room_id=str(room.id), user_id=str(user_id)))
        if recorder:
            self.recording(room)

    def changed(self, room: Room, before: list[control.MemberInfo]) -> None:
        """Who of the room is not as before, except for those who came or left: that is told already."""
        known = {info.user_id: info for info in before}
        for info in member_infos(room):
            if known.get(info.user_id, info) != info:
                self._presence.add(room.id, control.MemberUpdated(room_id=str(room.id), member=info))

    def recording(self, room: Room) -> None:
        """Whether it may be recorded, and who does."""
        self._presence.flush(room.id)  # nobody hears of a recorder who is not there yet
        state = recording_state(room)
        self._audience.tell_room(room.id, control.RecordingChanged(room_id=str(room.id), recording=state))

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        timers = (self._uplinks_due, self._presence.get_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """Tell what has waited, and recorders how well voices reach the server."""
        self._presence.handle_timer(now)
        if self._uplinks_due is not None and now >= self._uplinks_due:
            self._tell_uplinks()
            self._uplinks_due = after_ms(now, UPLINKS_EVERY_MS) if self._uplinks else None

    def _tell_presence(self, room_id: int, news: list[Presence]) -> None:
        if len(news) == 1:
            self._audience.tell_room(room_id, news[0])
            return
        latest: dict[str, control.MemberInfo | None] = {}
        for one in news:
            if isinstance(one, control.MemberLeft):
                latest[one.user_id] = None
            else:
                latest[one.member.user_id] = one.member
        members = [member for member in latest.values() if member is not None]
        left = [user_id for user_id, member in latest.items() if member is None]
        self._audience.tell_room(room_id, control.MembersChanged(room_id=str(room_id), members=members, left=left))

    def _tell_encryption(self, room_id: int) -> None:
        self._presence.flush(room_id)  # nobody hears of one without it who is not there yet
        state = self._calls.encryption.state(room_id)
        self._audience.tell_room(room_id, control.EncryptionChanged(room_id=str(room_id), encryption=state))

    def _tell_uplinks(self) -> None:
        recorded = {room.id for room in self._rooms.all() if room.recorders}
        self._uplinks = {room_id: self._uplinks.get(room_id) or Uplinks() for room_id in recorded}
        for room_id, uplinks in self._uplinks.items():
            loss_pct = {str(user_id): loss for user_id, loss in uplinks.look(self._calls.uplinks(room_id)).items()}
            self._audience.mention_to_recorders(room_id, control.UplinkLoss(room_id=str(room_id), loss_pct=loss_pct))
