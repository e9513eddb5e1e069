"""The screen of `raccall join` on a terminal: people and their meters on the left, what is typed on the right.

    lounge · 3 people · ● recorded by desk
    ▶ anna (you)    ██████▌  │ ben is here
      ben           muted    │ <ben> hello
    ● desk          records  │
    you → server   loss 0.0 % ...             (F5)
    You are talking, and your microphone is off: F2 switches it on.
    > a line for everyone

Everything that can be done has a function key, works in 80 × 24 and over ssh. The session, its sound and its consent
are made by `cli.join`; this shows them and says what the keys mean.
"""

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, RichLog, Static

from raccall.audio.devices import Kind, SoundCard
from raccall.cli.link_panel import link_panel
from raccall.cli.terminal.devices import DeviceScreen
from raccall.cli.terminal.hints import Hints, canceller_hint
from raccall.cli.terminal.lines import coloured, own_state, title
from raccall.cli.terminal.log import LogScreen
from raccall.cli.terminal.people import Person, people_of
from raccall.cli.terminal.people_list import PeopleList
from raccall.cli.terminal.sounds import SoundScreen
from raccall.cli.terminal.view import HELP, CallView
from raccall.clock import monotonic_now
from raccall.errors import InputError, RaccallError
from raccall.units import NANOS_PER_MS, Nanos
from raccall.voice.engine import EngineStats, GateMode

LOOK_EVERY_S = 0.1
"""Meters that live; each look costs about a millisecond."""
LINK_EVERY_MS = 500
VOLUME_STEP_DB = 2.0
LOWEST_DB, HIGHEST_DB = -60.0, 12.0


class CallApp(App[None]):
    """One call's screen. Ends when the person leaves, or by `exit`."""

    TITLE = "Raccall"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $surface; }
    #head { height: 1; background: $primary; color: $text; padding: 0 1; }
    #middle { height: 1fr; }
    #people { width: 32; height: 1fr; border: round $primary; padding: 0; }
    #log { width: 1fr; height: 1fr; border: round $primary; padding: 0 0 0 1; scrollbar-size-vertical: 1;
           scrollbar-gutter: stable; overflow-y: auto; background: $surface; }
    #link { height: auto; padding: 0 1; color: $text-muted; display: none; }
    #hint { height: auto; padding: 0 1; color: $warning; text-style: bold; }
    #own { height: 1; padding: 0 1; }
    Input, Input:focus { height: 3; border: round $primary; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", priority=True),
        Binding("f2", "mute", "Mute", priority=True),
        Binding("f3", "deafen", "Deafen", priority=True),
        Binding("f4", "talk", "Talk", priority=True),
        Binding("f5", "link", "Link", priority=True),
        Binding("f6", "devices", "Devices", priority=True),
        Binding("f7", "sounds", "Sounds", priority=True),
        Binding("ctrl+q", "quit", "Leave", priority=True),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, view: CallView) -> None:
        super().__init__()
        self._view = view
        assert isinstance(view.screen, LogScreen), "what is drawn takes its lines from one"
        self.log_screen = view.screen
        self._hints = Hints()
        self._next_link = Nanos(0)
        self._muted_by_deafening = False
        self._volumes: dict[str, float] = {}
        # Held, not queried: a query looks into the topmost screen, which may be the list of devices.
        self._head = Static(id="head", markup=False)
        self._people = PeopleList(self.change_volume)
        self._lines = RichLog(id="log", wrap=True, min_width=20, markup=False, highlight=False, max_lines=5000)
        self._link = Static(id="link", markup=False)
        self._hint = Static(id="hint", markup=False)
        self._own = Static(id="own", markup=False)
        self._input = Input(placeholder="a line for everyone", max_length=4000)

    # ---- what is shown ----

    def compose(self) -> ComposeResult:
        yield self._head
        with Horizontal(id="middle"):
            yield self._people
            yield self._lines
        yield self._link
        yield self._hint
        yield self._own
        yield self._input
        yield Footer()

    def on_mount(self) -> None:
        self._lines.can_focus = False
        self.log_screen.attach(lambda line: self._lines.write(coloured(line)))
        self._input.focus()
        self._warn_of_cancellers()
        self.look()
        self.set_interval(LOOK_EVERY_S, self.look)

    def look(self) -> None:
        """Renew everything that changes by itself."""
        view, now = self._view, monotonic_now()
        session, stats = view.session, view.session.stats()
        self._apply_volumes()
        people = people_of(session.members, session.sources, stats, session.user_id, self._volumes, view.verified())
        self._people.show(people)
        self._head.update(title(self._view.session, people))
        if stats is None:
            self._own.update(Text("Your voice is not connected; connecting again ...", style="bold yellow"))
            self._hint.update("")
            return
        self._own.update(own_state(self._view, stats))
        card, from_file = view.card, view.card is None
        has_microphone = card is None or any(device.kind is Kind.MICROPHONE for device in card.devices)
        hint = self._hints.look(stats, muted=session.muted, now=now, has_microphone=has_microphone, from_file=from_file)
        self._hint.update(hint or "")
        if now >= self._next_link:
            self._next_link = Nanos(now + LINK_EVERY_MS * NANOS_PER_MS)
            self._look_at_link(stats, now)

    def _look_at_link(self, stats: EngineStats, now: Nanos) -> None:
        members, sources = self._view.session.members, self._view.session.sources
        names = {ssrc: members[user_id].name for ssrc, user_id in sources.items() if user_id in members}
        for sentence in self._view.watch.look(stats, now, names):
            self._view.screen.line(sentence)
        if self._link.display:
            self._link.update("\n".join(link_panel(self._view.watch, stats)))

    def _warn_of_cancellers(self) -> None:
        for device in self._view.card.devices if self._view.card is not None else ():
            if device.kind is Kind.MICROPHONE and (hint := canceller_hint(device.name)):
                self._view.screen.line(hint)

    # ---- what is done ----

    async def on_input_submitted(self, message: Input.Submitted) -> None:
        message.input.clear()
        line = message.value.strip()
        if not line or await self._view.answer(line):
            return
        match line.split():
            case ["/quit"]:
                self.exit()
            case ["/mute"]:
                await self.action_mute()
            case ["/deafen"]:
                await self.action_deafen()
            case ["/stats"]:
                self.action_link()
            case ["/help"]:
                self.action_help()
            case [word, *_] if word.startswith("/"):
                self._view.screen.line(f"There is no {word}; F1 tells what there is.")
            case _:
                await self._view.session.say(line)
                self._view.screen.line(f"<{self._view.session.name}> {line}")

    def action_help(self) -> None:
        for line in HELP:
            self._view.screen.line(line)
        if key := self._view.talk.hotkey:
            self._view.screen.line(f"{key}  held, in whatever window: you are heard")

    async def action_mute(self) -> None:
        """Speaking again means hearing again, too: nobody wants to talk to a room unheard."""
        session = self._view.session
        if session.muted and session.deafened:
            session.set_deafened(False)
        self._muted_by_deafening = False
        await session.set_muted(not session.muted)
        self.look()

    async def action_deafen(self) -> None:
        """Who hears nobody is muted, so that nobody waits for an answer."""
        session = self._view.session
        session.set_deafened(not session.deafened)
        if session.deafened and not session.muted:
            self._muted_by_deafening = True
            await session.set_muted(True)
        elif not session.deafened and self._muted_by_deafening:
            self._muted_by_deafening = False
            await session.set_muted(False)
        self.look()

    def action_talk(self) -> None:
        if self._view.gate_mode is not GateMode.PUSH_TO_TALK:
            self._view.screen.line("Your microphone needs no key; join with --mode ptt if you want one.")
            return
        self._view.talk.toggle()
        self.look()

    def action_link(self) -> None:
        self._link.display = not self._link.display
        self._next_link = Nanos(0)
        self.look()

    def action_devices(self) -> None:
        if self._close_list():
            return
        if self._view.card is None:
            self._view.screen.line("This call uses sound files, no devices.")
        else:
            self._choose_devices(self._view.card)

    def action_sounds(self) -> None:
        if not self._close_list():
            self._choose_sound()

    def _close_list(self) -> bool:
        """The key that opened a list closes it, and so does the other one."""
        is_open = isinstance(self.screen, ModalScreen)
        if is_open:
            self.screen.dismiss(None)
        return is_open

    @work(exclusive=True)
    async def _choose_sound(self) -> None:
        board = self._view.board
        chosen = await self.push_screen_wait(SoundScreen(await asyncio.to_thread(board.sounds), board.folder))
        if chosen is not None:
            await board.play(chosen)

    @work(exclusive=True)
    async def _choose_devices(self, card: SoundCard) -> None:
        chosen = await self.push_screen_wait(DeviceScreen(card.devices))
        if chosen is None:
            return
        try:
            device = await asyncio.to_thread(card.use, chosen.kind, chosen.name, monotonic_now())
        except InputError as error:
            self._view.screen.line(str(error))
            return
        memory = self._view.memory
        if device.kind is Kind.MICROPHONE:
            memory.microphone = chosen.name or None
        else:
            memory.speaker = chosen.name or None
        self._view.remember()
        self._view.screen.line(f"The {device.kind.value} is {device.name}.")
        self._warn_of_cancellers()

    def change_volume(self, person: Person, direction: int) -> None:
        """Up, down, or back to 0; remembered under the person's name."""
        if person.own or person.recording:
            return
        volume_db = person.volume_db + direction * VOLUME_STEP_DB if direction else 0.0
        volume_db = min(max(volume_db, LOWEST_DB), HIGHEST_DB)
        self._view.memory.set_volume_db(self._view.server, person.name, volume_db)
        self._view.remember()
        self.look()

    def _apply_volumes(self) -> None:
        """Also of those who have just come."""
        for user_id, member in self._view.session.members.items():
            volume_db = self._view.memory.volume_db(self._view.server, member.name)
            if self._volumes.get(user_id, 0.0) != volume_db:
                self._volumes[user_id] = volume_db
                try:
                    self._view.session.set_gain_db(user_id, volume_db)
                except RaccallError as error:  # a number that somebody wrote into the file
                    self._view.screen.line(str(error))


async def show_app(view: CallView) -> None:
    """Draw until the person leaves; cancelled, the terminal is given back first."""
    app = CallApp(view)
    drawing = asyncio.create_task(app.run_async())
    try:
        await asyncio.shield(drawing)
    finally:
        if not drawing.done():
            app.exit()
            await drawing
        app.log_screen.attach(None)  # what is said from now on waits for the plain terminal
