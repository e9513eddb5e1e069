"""`raccall join LINK`: take part in a call, with a microphone and a speaker or with files in their place."""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

import msgspec

from raccall.audio.attend import until_sent, watch_card, write_heard
from raccall.audio.choice import SoundChoice, choose_sound, open_sound, with_remembered
from raccall.audio.devices import SoundCard
from raccall.audio.heard import HeardWriter
from raccall.cli import join_options, processing
from raccall.cli.consent import ConsentDialogue, someone_can_answer
from raccall.cli.devices import show_devices
from raccall.cli.join_options import add_arguments
from raccall.cli.link_panel import call_summary
from raccall.cli.plain import HELP, STATUS_EVERY_S, TALK_HELP, obey_lines, show_status
from raccall.cli.screen import Screen
from raccall.cli.secrecy import Secrecy
from raccall.cli.soundboard import Soundboard
from raccall.cli.talk import Talk, check_hotkey, gate_mode_of, hold_to_talk
from raccall.cli.terminal.log import LogScreen
from raccall.cli.terminal.memory import Memory
from raccall.cli.terminal.view import CallView
from raccall.client import ConnectionLost, Session, VoiceLost, connect, parse_link
from raccall.client.diagnosis import LinkWatch
from raccall.client.identity import identity_key, load_secret, server_of
from raccall.client.known_keys import KnownKeys
from raccall.clock import monotonic_now
from raccall.console import on_interrupt
from raccall.errors import ConnectionFailed, InputError, StorageError
from raccall.store.folder import default_data_folder
from raccall.voice.engine import GateMode, Sound
from raccall.waiting import first_done

__all__ = ["add_arguments", "run"]

TAIL_S = 0.3
"""After the last packet of a file: what others said at the same time is still on its way."""


def run(options: argparse.Namespace) -> int:
    """Returns 0 when the call was left, however that came about. Raises RaccallError."""
    plain = Screen(sys.stdout, as_json=options.json)
    if options.list_devices:
        show_devices(plain)
        return 0
    join_options.check(options)
    can_draw = someone_can_answer(as_json=options.json) and sys.stderr.isatty()  # Textual draws there
    drawn = LogScreen() if can_draw and not options.plain else None
    if options.hotkey is not None:
        check_hotkey(options, has_screen=drawn is not None)
    memory = Memory.load(_memory_file()) if drawn is not None else Memory()
    chosen = choose_sound(options.mic, options.speaker, keep_stereo=processing.keeps_stereo(options))
    choice = with_remembered(chosen, memory.microphone, memory.speaker)
    if options.until_end and choice.speech is None:
        raise InputError("until_end_needs_mic", "--until-end needs a --mic file that can end.")
    try:
        asyncio.run(_call(options, choice, drawn or plain, memory))
    finally:
        for line in drawn.leftover() if drawn is not None else ():
            plain.line(line)
    return 0


def _memory_file() -> Path:
    return default_data_folder() / "join.json"


async def _call(options: argparse.Namespace, choice: SoundChoice, screen: Screen, memory: Memory) -> None:
    stop = asyncio.Event()
    on_interrupt(stop.set)
    async with contextlib.AsyncExitStack() as open_things:
        sound, card = open_things.enter_context(open_sound(choice))
        server = server_of(parse_link(options.link))
        key = identity_key(load_secret(default_data_folder() / "identity"), server, options.name)
        session = await open_things.enter_async_context(connect(options.link, name=options.name, identity_key=key))
        consent = ConsentDialogue(session, screen, may_ask=someone_can_answer(as_json=options.json))
        await consent.before_joining(options.consent)
        gate_mode = gate_mode_of(options)
        await session.join(
            sound,
            muted=options.muted,
            bitrate_bps=join_options.bitrate_bps(options, choice),
            music=options.music,
            dred_ms=options.dred,
            dtx=options.dtx,
            gate_mode=gate_mode,
            processing=processing.chosen(options, sound),
        )
        writer = open_things.enter_context(HeardWriter(choice.recording)) if choice.recording else None
        open_things.callback(screen.close)
        told = "F1 tells the keys." if isinstance(screen, LogScreen) else HELP
        screen.line(f"You are in {session.room_name} as {session.name}. {told}")
        talk = Talk(session, options.hotkey)
        if options.hotkey is not None:
            open_things.enter_context(hold_to_talk(talk, screen))
        elif gate_mode is GateMode.PUSH_TO_TALK and not isinstance(screen, LogScreen):
            screen.line(TALK_HELP)
        state = msgspec.to_builtins(session.recording)
        screen.record("joined", room=session.room_name, name=session.name, user_id=session.user_id, recording=state)
        others = [member.name for member in session.members.values() if member.user_id != session.user_id]
        screen.line(f"Here: {', '.join(others)}" if others else "Nobody else is here yet.")
        consent.after_joining()
        secrecy = Secrecy(session, screen, KnownKeys(default_data_folder() / "known-keys.json"), server)
        secrecy.after_joining()
        sounds = options.sounds or default_data_folder() / "sounds"
        board = Soundboard(session, screen, sounds, monitor=not options.no_monitor)
        parts = _Parts(session, screen, consent, secrecy, board, talk, sound, card, writer, memory)
        await _take_part(options, parts, stop)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What takes part in one call."""

    session: Session
    screen: Screen
    consent: ConsentDialogue
    secrecy: Secrecy
    board: Soundboard
    talk: Talk
    sound: Sound
    card: SoundCard | None
    """None: files."""
    writer: HeardWriter | None
    """None: nothing heard is written to a file."""
    memory: Memory


async def _take_part(options: argparse.Namespace, parts: _Parts, stop: asyncio.Event) -> None:
    """Until something ends the call; what was heard until then is written, whatever the end."""
    session, screen, sound, writer = parts.session, parts.screen, parts.sound, parts.writer
    watch = LinkWatch()
    jobs: list[Coroutine[object, object, object]] = [_show_events(parts), stop.wait(), *_faces(options, parts, watch)]
    if parts.card is not None:
        jobs.append(watch_card(parts.card, screen.line))
    if writer is not None:
        jobs.append(write_heard(sound, writer))
    if options.seconds is not None:
        jobs.append(asyncio.sleep(options.seconds))
    if options.until_end:
        jobs.append(until_sent(sound, TAIL_S))
    try:
        done = await first_done(jobs)
    finally:
        stats = session.stats()
        if stats is not None:
            watch.look(stats, monotonic_now())  # the last half second, too
        if writer is not None:
            await session.leave()
            writer.write(sound.read_playback())
        if options.flight_recorder is not None:
            _save_last_minute(watch, options.flight_recorder)
    if watch.total.seconds >= STATUS_EVERY_S:
        screen.line(call_summary(watch.total, watch.glitches))
    link = dataclasses.asdict(watch.total) | {"glitches": watch.glitches}
    screen.record("ended", stats=dataclasses.asdict(stats) if stats is not None else None, link=link)
    for job in done:
        job.result()


def _faces(options: argparse.Namespace, parts: _Parts, watch: LinkWatch) -> list[Coroutine[object, object, object]]:
    """What shows the call and takes what is typed."""
    secrecy, screen = parts.secrecy, parts.screen

    async def answer(line: str) -> bool:
        return await secrecy.answer(line) or await parts.board.answer(line) or await parts.consent.answer(line)

    view = CallView(
        session=parts.session,
        screen=screen,
        watch=watch,
        gate_mode=gate_mode_of(options),
        talk=parts.talk,
        answer=answer,
        verified=lambda: secrecy.verified,
        board=parts.board,
        card=parts.card,
        server=parse_link(options.link).authority,
        memory=parts.memory,
        remember=functools.partial(parts.memory.save, _memory_file()),
    )
    if not isinstance(screen, LogScreen):
        return [obey_lines(view), show_status(view)]
    from raccall.cli.terminal.app import show_app  # Textual takes a third of a second, and scripts need none

    return [show_app(view)]


async def _show_events(parts: _Parts) -> None:
    """Ends, with an error, when the call cannot go on."""
    async for event in parts.session.events():
        parts.screen.event(event, parts.session.user_id)
        parts.consent.look(event)
        parts.secrecy.look(event)
        match event:
            case ConnectionLost(code=code, sentence=sentence, final=True):
                raise ConnectionFailed(code, sentence)
            case VoiceLost(sentence=sentence, final=True):
                raise ConnectionFailed("voice_closed", sentence)


def _save_last_minute(watch: LinkWatch, file: Path) -> None:
    """Raises StorageError."""
    try:
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(look) + "\n" for look in watch.last_minute())
    except OSError as error:
        raise StorageError(
            "flight_recorder_unwritable", f"{file} cannot be written: {error.strerror or error}."
        ) from None
