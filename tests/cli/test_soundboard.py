"""/play and /stop: what is found, what is told, and that nothing bad ends the call."""

import asyncio
import io
from pathlib import Path

import pytest

from raccall.cli.screen import Screen
from raccall.cli.soundboard import MAX_SOUNDS, Soundboard, playing_words
from raccall.client.playback import Ended
from raccall.errors import InputError


class Playing:
    """A sound that plays until the test says how it ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.position_s = 72.4
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        self.ended.set_result(Ended.STOPPED)

    async def wait(self) -> Ended:
        return await self.ended


class Session:
    """As far as a soundboard knows one."""

    def __init__(self) -> None:
        self.playing: tuple[Playing, ...] = ()
        self.played: list[tuple[Path, bool]] = []
        self.refuses: InputError | None = None

    async def play(self, file: Path, *, monitor: bool) -> Playing:
        if self.refuses is not None:
            raise self.refuses
        self.played.append((file, monitor))
        self.playing = (*self.playing, Playing(file.stem))
        return self.playing[-1]


class Board(Soundboard):
    """And what it told."""

    def __init__(self, folder: Path) -> None:
        self.stream = io.StringIO()
        self.session = Session()
        super().__init__(self.session, Screen(self.stream), folder)  # type: ignore[arg-type]

    def told(self) -> list[str]:
        lines = self.stream.getvalue().splitlines()
        self.stream.truncate(0)
        self.stream.seek(0)
        return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("drum roll.wav", "Applause.FLAC", "notes.txt", ".hidden.wav"):
        (tmp_path / name).touch()
    return tmp_path


async def test_sounds_are_listed_by_name_and_played_by_number_name_or_path(folder: Path) -> None:
    board = Board(folder)
    assert await board.answer("/play")
    assert board.told()[:2] == ["  1 Applause", "  2 drum roll"]
    for wanted in ("2", "DRUM roll", '"drum roll.wav"', str(folder / "drum roll.wav")):
        assert await board.answer(f"/play {wanted}")
    assert board.session.played == [(folder / "drum roll.wav", True)] * 4
    assert board.told()[0] == "♪ drum roll plays into the call; /stop ends it."
    assert not await board.answer("/player") and not await board.answer("play")


async def test_what_ends_is_told_once_and_why(folder: Path) -> None:
    board = Board(folder)
    for how, told in [
        (Ended.FINISHED, ["♪ Applause is over."]),
        (Ended.MUTED, ["♪ Applause ended, because you are muted."]),
        (Ended.LEFT, []),
    ]:
        await board.answer("/play 1")
        board.told()
        board.session.playing[-1].ended.set_result(how)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert board.told() == told
    await board.answer("/play 1")
    board.told()
    board.session.playing = board.session.playing[-1:]
    await board.answer("/stop")
    await asyncio.sleep(0)
    assert board.told() == ["♪ Applause was stopped."]
    board.session.playing = ()
    await board.answer("/stop")
    assert board.told() == ["Nothing plays."]


async def test_an_unreadable_file_is_one_sentence_at_once_or_on_the_way(folder: Path) -> None:
    board = Board(folder)
    board.session.refuses = InputError("unreadable_audio", "notes.txt cannot be read as sound.")
    await board.answer("/play notes.txt")
    assert board.told() == ["notes.txt cannot be read as sound."]
    board.session.refuses = None
    await board.answer("/play 1")
    board.told()
    board.session.playing[-1].ended.set_exception(InputError("unreadable_audio", "It is damaged."))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert board.told() == ["It is damaged."]


async def test_a_missing_folder_says_where_sounds_belong(tmp_path: Path) -> None:
    board = Board(tmp_path / "none")
    await board.answer("/play")
    (line,) = board.told()
    assert "/play FILE" in line and str(tmp_path / "none") in line


def test_of_very_many_the_first_are_listed(tmp_path: Path) -> None:
    for number in range(MAX_SOUNDS + 5):
        (tmp_path / f"{number:03}.wav").touch()
    assert len(Soundboard(None, Screen(io.StringIO()), tmp_path).sounds()) == MAX_SOUNDS  # type: ignore[arg-type]


async def test_what_plays_is_shown_in_a_few_words() -> None:
    session = Session()
    assert playing_words(session) == ""  # type: ignore[arg-type]
    session.playing = (Playing("drum"), Playing("jin\x1bgle"))
    assert playing_words(session) == "♪ jin�gle 1:12 and 1 more"  # type: ignore[arg-type]
