"""The list that F7 opens: sounds to play into the call."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from raccall.cli.screen import printable

KEYS = "123456789"
"""Play the first nine without a way through the list."""


class SoundScreen(ModalScreen[Path | None]):
    """Gives the sound that was chosen, None for none."""

    CSS = """
    SoundScreen { align: center middle; }
    #sounds { width: 60; max-width: 95%; height: auto; max-height: 90%; border: round $primary; background: $surface; }
    #sounds Static { padding: 0 1; }
    #sounds OptionList { height: auto; max-height: 14; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, sounds: Sequence[Path], folder: Path) -> None:
        super().__init__()
        self._sounds = sounds
        self._folder = folder

    def compose(self) -> ComposeResult:
        names = [printable(sound.stem) for sound in self._sounds]
        with Vertical(id="sounds") as box:
            box.border_title = "Play a sound"
            if names:
                marks = [*KEYS, *" " * len(names)]
                options = (Option(f"{mark} {name}") for mark, name in zip(marks, names, strict=False))
                yield OptionList(*options, markup=False)
                yield Static("1 to 9 or Enter plays, /stop ends it, Escape goes back.", markup=False)
            else:
                yield Static(
                    f"There is no sound yet. Put WAV, FLAC, Opus or MP3 files into {self._folder}, or type /play FILE.",
                    markup=False,
                )

    def on_key(self, event: Key) -> None:
        place = KEYS.find(event.character or " ")
        if 0 <= place < len(self._sounds):
            self.dismiss(self._sounds[place])

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self._sounds[message.option_index])
