"""What ends up in a log by accident is a repr: none shows what lets somebody in, or opens what was sealed."""

import pytest

from raccall.client.guest import Guest
from raccall.client.link import parse_link
from raccall.server import api
from raccall.server.voice_session import VoicePass
from raccall.voice.gateway import client_events, messages
from raccall.voice.settings import EndToEnd
from raccall.wire import control

KEY = bytes(range(200, 232))
TOKEN = "let-me-in"


@pytest.mark.parametrize(
    "value",
    [
        client_events.VoiceIdentity("1", "2", "session", TOKEN),
        client_events.SessionDescription("mode", KEY),
        client_events.KeyChanged("mode", KEY),
        messages.Identify(server_id="1", user_id="2", session_id="3", token=TOKEN),
        messages.Resume(server_id="1", session_id="3", token=TOKEN),
        messages.SessionDescription(mode="mode", secret_key=list(KEY)),
        control.Identify(token=TOKEN),
        EndToEnd(7, identity_key=KEY),
        VoicePass(session_id="session", token=TOKEN, user_id=2, room_id=1),
        Guest(token=TOKEN, user_id="2", name="anna", room_id="1", room_name="lounge"),
        api.GuestWanted(invite=TOKEN, name="anna"),
        api.Guest(token=TOKEN, user_id="2", name="anna", room_id="1", room_name="lounge"),
        api.Invite(link=f"http://127.0.0.1:7420/join/{TOKEN}", expires="2026-11-22T00:00:00+00:00"),
        parse_link(f"http://127.0.0.1:7420/join/{TOKEN}"),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_a_repr_shows_no_secret(value: object) -> None:
    shown = repr(value)
    assert type(value).__name__ in shown
    assert TOKEN not in shown and repr(KEY) not in shown and str(list(KEY)) not in shown
