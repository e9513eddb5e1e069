"""The lines of the screen that are text: its head, the own state, what happened. Nothing is drawn here."""

from rich.text import Text

from raccall.cli.screen import mouth_to_ear_ms, printable
from raccall.cli.secrecy import lock_words
from raccall.cli.soundboard import playing_words
from raccall.cli.terminal.people import Person
from raccall.cli.terminal.view import CallView
from raccall.client import Session
from raccall.console import meter
from raccall.voice.engine import EngineStats, GateMode

LOUD = "bold #ffffff on #b3003c"


def title(session: Session, people: list[Person]) -> Text:
    """What everybody should know stands out: a call that is kept, or that its server can listen to."""
    recorders = ", ".join(printable(person.name) for person in people if person.recording)
    count = sum(not person.recording for person in people)
    parts = [printable(session.room_name), f"{count} {'person' if count == 1 else 'people'}"]
    line = Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")
    if recorders:
        line.append(" · ").append(f" ● RECORDED by {recorders} ", LOUD)
    verified = sum(person.verified for person in people)
    if lock := lock_words(session.encryption, session.ghosts, verified):
        is_safe = session.encryption is not None and session.encryption.encrypted and not session.ghosts
        line.append(" · ").append(lock if is_safe else f" {lock} ", "" if is_safe else LOUD)
    return line


def own_state(view: CallView, stats: EngineStats) -> Text:
    """The own microphone, what one plays, and how the link is."""
    session = view.session
    line = Text(no_wrap=True, overflow="ellipsis")
    state, style = ("muted", "bold red") if session.muted else ("on", "green")
    if not session.muted and view.gate_mode is GateMode.PUSH_TO_TALK:
        key = view.talk.hotkey
        ask = f"hold {key} to talk" if key else "press F4 to talk"
        state, style = ("TALKING", "bold green") if view.talk.on else (ask, "yellow")
    line.append("microphone ")
    line.append(meter(stats.input_level_db), "dim" if session.muted else "green")
    line.append(f" {state}", style)
    if words := playing_words(session):
        line.append(f" · {words}", "bold cyan")
    if session.deafened:
        line.append(" · you hear nobody", "bold red")
    up = "?" if stats.uplink_loss_pct is None else f"{stats.uplink_loss_pct:.0f}"
    line.append(f" · loss ↑ {up} % ↓ {view.watch.link.loss_down_pct:.0f} %", "dim")
    if (delay := mouth_to_ear_ms(stats)) is not None:
        line.append(f" · {delay:.0f} ms", "dim")
    return line


def coloured(line: str) -> Text:
    """Recording is told loudly; what others type stands out from what happened."""
    style = "bold red" if line.startswith(("●", "!")) else "" if line.startswith("<") else "dim"
    return Text(line, style=style)
