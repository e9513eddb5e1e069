"""What a person is told about recording, and what becomes of their answer."""

import io

import pytest

from raccall.cli.consent import ConsentDialogue
from raccall.cli.screen import Screen
from raccall.client import ConsentChanged, RecordingStarted
from raccall.wire.control import MemberInfo, RecordingPolicy, RecordingState

ANNA = MemberInfo(user_id="1", name="anna")
KEPT = MemberInfo(user_id="1", name="anna", kept=True)
STARTED = RecordingStarted("9", "3", "tape")


class FakeSession:
    """Remembers what was answered."""

    user_id = "1"

    def __init__(self, recording: RecordingState) -> None:
        self.recording = recording
        self.members = {"1": ANNA}
        self.agreed: bool | None = None

    async def consent(self, agree: bool) -> None:
        self.agreed = agree


class Talk:
    """A dialogue and what it printed."""

    def __init__(self, *, may_ask: bool = True, **state: object) -> None:
        self.session = FakeSession(RecordingState(**state))  # type: ignore[arg-type]
        self._stream = io.StringIO()
        self.dialogue = ConsentDialogue(self.session, Screen(self._stream), may_ask=may_ask)  # type: ignore[arg-type]

    def printed(self) -> str:
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return text


@pytest.mark.parametrize(("line", "agreed"), [("y", True), ("YES", True), (" n ", False), ("no", False)])
async def test_a_person_at_a_terminal_is_asked_once_and_answers_in_one_word(line: str, agreed: bool) -> None:
    talk = Talk()
    assert not await talk.dialogue.answer(line), "nobody asked: a line for everyone"
    talk.dialogue.look(STARTED)
    assert talk.printed().splitlines() == [
        "● RECORDING: tape records this call.",
        "  You are NOT recorded unless you agree: /record yes or /record no.",
        "May you be recorded? y/n",
    ]
    assert not await talk.dialogue.answer("yes we can")
    assert await talk.dialogue.answer(line)
    assert talk.session.agreed is agreed
    assert not await talk.dialogue.answer(line)


@pytest.mark.parametrize(("line", "agreed"), [("/record yes", True), ("/record NO", False), ("/record", None)])
async def test_the_command_works_at_any_time(line: str, agreed: bool | None) -> None:
    talk = Talk(may_ask=False)
    assert await talk.dialogue.answer(line)
    assert talk.session.agreed is agreed
    assert talk.printed().count("\n") == 1


async def test_who_cannot_be_asked_is_told_which_command_answers() -> None:
    talk = Talk(may_ask=False, recorders={"3": "tape"})
    talk.dialogue.after_joining()
    assert "/record yes" in talk.printed()
    assert not await talk.dialogue.answer("y")


async def test_a_room_that_is_always_recorded_says_so_before_one_joins() -> None:
    talk = Talk(policy=RecordingPolicy.AUTOMATIC, retention_days=30)
    await talk.dialogue.before_joining("ask")
    assert talk.printed().splitlines() == [
        "● RECORDING: every call in this room is recorded by its server and kept for 30 days.",
        "  You are recorded; /record no ends that.",
    ]
    await talk.dialogue.before_joining("no")
    assert talk.session.agreed is False
    assert "You are NOT recorded, as you wished" in talk.printed()


async def test_an_option_answers_before_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(recorders={"3": "tape"})
    await talk.dialogue.before_joining("yes")
    assert talk.printed() == ""
    talk.session.members = {"1": KEPT}
    talk.dialogue.after_joining()
    assert talk.printed().splitlines()[1] == "  You are recorded; /record no ends that."
    talk.dialogue.look(ConsentChanged("9", KEPT, ANNA))
    assert talk.printed() == "You are NOT recorded from now on.\n"
