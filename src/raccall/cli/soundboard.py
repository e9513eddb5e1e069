"""What a person who joins plays into the call: a file, or one of the sounds in a folder of theirs.

board = Soundboard(session, screen, folder, monitor=True)
await board.answer(line)   # /play, /play FILE, /play NAME or NUMBER, /stop
"""

import asyncio
from pathlib import Path

from raccall.cli.screen import Screen, printable
from raccall.client import Session
from raccall.client.playback import Ended, Playback
from raccall.errors import InputError

ENDINGS = frozenset({".aif", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".wav"})
"""Of sounds in the folder; a file that is named may have any."""
MAX_SOUNDS = 200


class Soundboard:
    """Of one call. folder: may be missing. monitor: who plays hears it, too."""

    def __init__(self, session: Session, screen: Screen, folder: Path, *, monitor: bool = True) -> None:
        self.folder = folder
        self._session = session
        self._screen = screen
        self._monitor = monitor
        self._telling: set[asyncio.Task[None]] = set()

    def sounds(self) -> list[Path]:
        """By name, the first 200; none if the folder cannot be read."""
        try:
            found = [path for path in self.folder.iterdir() if path.suffix.lower() in ENDINGS and path.name[0] != "."]
        except OSError:
            return []
        return sorted(found, key=lambda path: path.stem.casefold())[:MAX_SOUNDS]

    async def answer(self, line: str) -> bool:
        """True if the line was /play or /stop."""
        match line.split(maxsplit=1):
            case ["/play"]:
                self._list()
            case ["/play", wanted]:
                await self.play(self._find(wanted.strip().strip("\"'")))
            case ["/stop"]:
                self.stop()
            case _:
                return False
        return True

    async def play(self, file: Path) -> None:
        """Begin, or say why not."""
        try:
            playback = await self._session.play(file, monitor=self._monitor)
        except InputError as error:
            self._say_error(error)
            return
        self._screen.line(f"♪ {playback.name} plays into the call; /stop ends it.")
        self._screen.record("playing", name=playback.name)
        telling = asyncio.create_task(self._tell_end(playback))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def stop(self) -> None:
        """All that plays."""
        playing = self._session.playing
        for playback in playing:
            playback.stop()
        if not playing:
            self._screen.line("Nothing plays.")

    def _list(self) -> None:
        sounds = self.sounds()
        if not sounds:
            self._screen.line(f"/play FILE plays a sound into the call; those in {self.folder} can be called by name.")
        for number, sound in enumerate(sounds, start=1):
            self._screen.line(f"{number:3} {sound.stem}")
        if sounds:
            self._screen.line("/play NUMBER, NAME or FILE plays one into the call, /stop ends it.")

    def _find(self, wanted: str) -> Path:
        """A number of the list, a name from it, or a file."""
        sounds = self.sounds()
        if wanted.isdecimal() and 1 <= int(wanted) <= len(sounds):
            return sounds[int(wanted) - 1]
        named = [sound for sound in sounds if wanted.casefold() in (sound.stem.casefold(), sound.name.casefold())]
        return named[0] if named else Path(wanted).expanduser()

    async def _tell_end(self, playback: Playback) -> None:
        try:
            ended = await playback.wait()
        except InputError as error:
            self._say_error(error)
            return
        if ended is Ended.MUTED:
            self._screen.line(f"♪ {playback.name} ended, because you are muted.")
        elif ended is not Ended.LEFT:
            self._screen.line(f"♪ {playback.name} {'is over' if ended is Ended.FINISHED else 'was stopped'}.")
        self._screen.record("played", name=playback.name, ended=ended.value)

    def _say_error(self, error: InputError) -> None:
        self._screen.line(str(error))
        self._screen.record("not_played", code=error.code, text=str(error))


def playing_words(session: Session) -> str:
    """For a status line: "♪ jingle 0:12"; empty while nothing plays."""
    playing = session.playing
    if not playing:
        return ""
    newest = playing[-1]
    minutes, seconds = divmod(int(newest.position_s), 60)
    more = f" and {len(playing) - 1} more" if len(playing) > 1 else ""
    return f"♪ {printable(newest.name)} {minutes}:{seconds:02}{more}"
