"""`raccall join` without a screen: happenings as lines, commands typed, and on a terminal a row that renews itself."""

import asyncio

from raccall.cli.link_panel import link_panel
from raccall.cli.screen import LossMeter, status_line
from raccall.cli.secrecy import lock_words
from raccall.cli.soundboard import playing_words
from raccall.cli.terminal.view import CallView
from raccall.clock import monotonic_now
from raccall.console import typed_lines
from raccall.voice.engine import GateMode

STATUS_EVERY_S = 0.5
HELP = (
    "Type a line for everyone; /mute switches the microphone, /record yes|no says if you may be recorded, /verify "
    "tells who can listen, /play FILE plays a sound to everyone, /stop ends it, /stats shows the link, /quit leaves."
)
TALK_HELP = "The microphone is off until you press Enter on an empty line; Enter again switches it off."


async def show_status(view: CallView) -> None:
    """Renew the row at the bottom, and tell each glitch, until cancelled."""
    session, screen = view.session, view.screen
    meter = LossMeter()
    while True:
        if (stats := session.stats()) is not None:
            known = {member.user_id: member.name for member in session.members.values()}
            names = {ssrc: known[user_id] for ssrc, user_id in session.sources.items() if user_id in known}
            for sentence in view.watch.look(stats, monotonic_now(), names):
                screen.line(sentence)
                screen.record("glitch", text=sentence)
            members, sources = session.members, session.sources
            talking = [
                members[sources[source.ssrc]].name
                for source in stats.sources
                if source.talking and sources.get(source.ssrc) in members
            ]
            loss = meter.look(stats)
            lock = lock_words(session.encryption, session.ghosts, len(view.verified()))
            status = status_line(
                session.room_name, members.values(), talking, stats, loss, muted=session.muted, lock=lock
            )
            heard = "YOU TALK" if view.talk.on else ""
            screen.status(" · ".join(part for part in (heard, playing_words(session), status) if part))
        await asyncio.sleep(STATUS_EVERY_S)


async def obey_lines(view: CallView) -> None:
    """Do what is typed. Ends at /quit; the end of the input only ends the typing."""
    session, talk, screen = view.session, view.talk, view.screen
    async for line in typed_lines():
        if await view.answer(line):
            continue
        match line.split():
            case [] if view.gate_mode is GateMode.PUSH_TO_TALK:
                talk.toggle()
                screen.line("You are heard; Enter ends it." if talk.on else "You are not heard any more.")
            case []:
                continue
            case ["/stats"]:
                if (stats := session.stats()) is not None:
                    for row in link_panel(view.watch, stats):
                        screen.line(row)
            case ["/quit"]:
                return
            case ["/mute"]:
                await session.set_muted(not session.muted)
                screen.line("Your microphone is off." if session.muted else "Your microphone is on.")
            case [word, *_] if word.startswith("/"):
                screen.line(f"There is no {word}. {HELP}")
            case _:
                await session.say(line.strip())
    await asyncio.Event().wait()
