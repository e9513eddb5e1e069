"""The list that F6 opens: microphones and speakers of this machine, one of them to be chosen."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from raccall.audio.devices import DEFAULT, Device, Kind, list_devices
from raccall.cli.screen import printable
from raccall.errors import InputError


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen."""

    kind: Kind
    name: str
    """DEFAULT: whatever the system prefers."""


class DeviceScreen(ModalScreen[Chosen | None]):
    """Gives what was chosen, None for nothing. in_use: marked in the list."""

    CSS = """
    DeviceScreen { align: center middle; }
    #devices { width: 70; max-width: 95%; height: auto; max-height: 90%; border: round $primary; background: $surface; }
    #devices Static { padding: 0 1; }
    #devices OptionList { height: auto; max-height: 16; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, in_use: Sequence[Device]) -> None:
        super().__init__()
        self._in_use = {(device.kind, device.name) for device in in_use}
        self._choices: list[Chosen] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="devices") as box:
            box.border_title = "Devices"
            yield OptionList(markup=False)
            yield Static("Asking the system ...", id="state", markup=False)

    async def on_mount(self) -> None:
        state, options = self.query_one("#state", Static), self.query_one(OptionList)
        try:
            devices = await asyncio.to_thread(list_devices)
        except InputError as error:
            state.update(str(error))
            return
        for kind in Kind:
            options.add_option(Option(f"{kind.value.capitalize()}s", disabled=True))
            self._add(Chosen(kind, DEFAULT), "  whatever the system prefers")
            for device in devices:
                if device.kind is kind:
                    mark = "●" if (kind, device.name) in self._in_use else " "
                    self._add(Chosen(kind, device.name), f"{mark} {printable(device.name)}")
        state.update("Enter chooses, Escape goes back.")
        options.action_first()
        options.focus()

    def _add(self, choice: Chosen, label: str) -> None:
        self._choices.append(choice)
        self.query_one(OptionList).add_option(Option(label, id=str(len(self._choices) - 1)))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        if message.option_id is not None:
            self.dismiss(self._choices[int(message.option_id)])
