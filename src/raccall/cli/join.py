"""`raccall join LINK`: take part in a call, with a microphone and a speaker or with files in their place."""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import msgspec

from raccall.audio.choice import SoundChoice, choose_sound, open_sound, with_remembered
from raccall.audio.devices import SoundCard
from raccall.audio.heard import HeardWriter
from raccall.cli import processing
from raccall.cli.consent import CHOICES, ConsentDialogue, someone_can_answer
from raccall.cli.devices import show_devices
from raccall.cli.link_panel import call_summary, link_panel
from raccall.cli.screen import LossMeter, Screen, status_line
from raccall.cli.secrecy import Secrecy, lock_words
from raccall.cli.soundboard import Soundboard, playing_words
from raccall.cli.talk import Talk, check_hotkey, gate_mode_of, hold_to_talk
from raccall.cli.terminal.log import LogScreen
from raccall.cli.terminal.memory import Memory
from raccall.cli.terminal.view import CallView
from raccall.client import ConnectionLost, Session, VoiceLost, connect, parse_link
from raccall.client.diagnosis import LinkWatch
from raccall.client.identity import identity_key, load_secret, server_of
from raccall.client.known_keys import KnownKeys
from raccall.clock import monotonic_now
from raccall.console import on_interrupt, typed_lines
from raccall.errors import ConnectionFailed, InputError, StorageError
from raccall.store.folder import default_data_folder
from raccall.voice.engine import GateMode, Sound

SPEECH_BPS, DRED_BPS, MUSIC_BPS, STEREO_BPS = 32_000, 64_000, 96_000, 128_000
LEAST_DRED_BPS = 48_000
"""Below it no room is left beside speech, and nothing is told (crates/media/src/send.rs)."""
MOST_DRED_MS = 1040
STATUS_EVERY_S = 0.5
PLAYBACK_EVERY_S = 0.25
WATCH_EVERY_S = 0.2
TAIL_S = 0.3
"""After the last packet of a file: what others said at the same time is still on its way."""
HELP = (
    "Type a line for everyone; /mute switches the microphone, /record yes|no says if you may be recorded, /verify "
    "tells who can listen, /play FILE plays a sound to everyone, /stop ends it, /stats shows the link, /quit leaves."
)
TALK_HELP = "The microphone is off until you press Enter on an empty line; Enter again switches it off."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("link", nargs="?", help="invite link, as `raccall serve` prints it")
    parser.add_argument("--name", help="how the others see you (needed to join)")
    parser.add_argument("--mic", metavar="FILE|NAME", help="speak a file (WAV, FLAC, Opus), or use this microphone")
    parser.add_argument("--speaker", metavar="FILE|NAME", help="write what is heard (.wav, .flac, .opus), or play here")
    parser.add_argument("--muted", action="store_true", help="begin with the microphone off")
    parser.add_argument(
        "--consent", choices=CHOICES, default="ask", help="may you be recorded? (default: ask when a recorder comes)"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="leave after this long")
    parser.add_argument("--until-end", action="store_true", help="leave when the --mic file has been sent")
    parser.add_argument(
        "--bitrate",
        type=int,
        metavar="BPS",
        help="6000 to 128000, default 32000, with --dred 64000, --music 96000, in stereo 128000",
    )
    parser.add_argument(
        "--dred",
        type=int,
        metavar="MS",
        default=0,
        help="how far back each packet tells of what you said, up to 1040: for networks that lose several at a time",
    )
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in GateMode],
        help="send the microphone always, while you speak, or while you want to (ptt: Enter switches); default open",
    )
    parser.add_argument(
        "--hotkey",
        metavar="KEY",
        help="be heard while you hold this key in whatever window, such as f8 or ctrl+space; means --mode ptt",
    )
    parser.add_argument(
        "--dtx",
        action=argparse.BooleanOptionalAction,
        help="send next to nothing while you are silent (default: with a microphone, not with a file)",
    )
    processing.add_arguments(parser)
    parser.add_argument(
        "--sounds",
        metavar="FOLDER",
        type=Path,
        help="sounds that /play knows by name (default: sounds, in your folder)",
    )
    parser.add_argument("--no-monitor", action="store_true", help="do not hear yourself what you /play")
    parser.add_argument(
        "--flight-recorder", metavar="FILE", type=Path, help="write the last minute's counters, a JSON object per line"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="a line for each happening, no screen (as without a terminal)",
    )
    parser.add_argument("--list-devices", action="store_true", help="the same as `raccall devices`")
    parser.add_argument("--json", action="store_true", help="one JSON object per line; the last one is `ended`")


def run(options: argparse.Namespace) -> int:
    """Returns 0 when the call was left, however that came about. Raises RaccallError."""
    plain = Screen(sys.stdout, as_json=options.json)
    if options.list_devices:
        show_devices(plain)
        return 0
    _check(options)
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


def _check(options: argparse.Namespace) -> None:
    """What can be wrong without asking the server."""
    if options.link is None:
        raise InputError("link_missing", "Which call? Give the invite link that `raccall serve` printed.")
    parse_link(options.link)
    if not options.name:
        raise InputError("name_missing", "Who are you? Give --name.")
    if options.seconds is not None and not options.seconds > 0:
        raise InputError("seconds_out_of_range", "--seconds must be more than 0.")
    if options.bitrate is not None and not 6000 <= options.bitrate <= 128_000:
        raise InputError("bitrate_out_of_range", "--bitrate must be from 6000 to 128000.")
    if not 0 <= options.dred <= MOST_DRED_MS:
        raise InputError("dred_out_of_range", f"--dred must be from 0 to {MOST_DRED_MS}.")
    if options.dred and options.music:
        raise InputError("dred_with_music", "--dred is for speech: it cannot be used with --music.")
    if options.dred and options.bitrate is not None and options.bitrate < LEAST_DRED_BPS:
        raise InputError(
            "bitrate_too_low_for_dred", f"--dred needs a --bitrate of at least {LEAST_DRED_BPS}: speech takes the rest."
        )
    if options.dtx and options.music:
        raise InputError("dtx_with_music", "--dtx is for speech: with --music all that sounds is sent.")
    processing.check(options)


def _bitrate_bps(options: argparse.Namespace, choice: SoundChoice) -> int:
    if options.bitrate is not None:
        return int(options.bitrate)
    if choice.is_stereo:
        return STEREO_BPS
    if options.music:
        return MUSIC_BPS
    return DRED_BPS if options.dred else SPEECH_BPS


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
            bitrate_bps=_bitrate_bps(options, choice),
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
        await _take_part(options, session, consent, secrecy, board, talk, sound, card, writer, screen, memory, stop)


async def _take_part(
    options: argparse.Namespace,
    session: Session,
    consent: ConsentDialogue,
    secrecy: Secrecy,
    board: Soundboard,
    talk: Talk,
    sound: Sound,
    card: SoundCard | None,
    writer: HeardWriter | None,
    screen: Screen,
    memory: Memory,
    stop: asyncio.Event,
) -> None:
    """Until something ends the call; what was heard until then is written, whatever the end."""
    watch = LinkWatch()
    gate_mode = gate_mode_of(options)

    async def answer(line: str) -> bool:
        return await secrecy.answer(line) or await board.answer(line) or await consent.answer(line)

    showing = _show_events(session, consent, secrecy, screen)
    jobs: list[Coroutine[object, object, object]] = [showing, stop.wait()]
    if isinstance(screen, LogScreen):
        from raccall.cli.terminal.app import show_app  # Textual takes a third of a second, and scripts need none

        server = parse_link(options.link).authority
        remember = functools.partial(memory.save, _memory_file())
        view = CallView(
            session=session,
            screen=screen,
            watch=watch,
            gate_mode=gate_mode,
            talk=talk,
            answer=answer,
            verified=lambda: secrecy.verified,
            board=board,
            card=card,
            server=server,
            memory=memory,
            remember=remember,
        )
        jobs.append(show_app(view))
    else:
        jobs += [
            _obey_lines(session, answer, watch, gate_mode, talk, screen),
            _show_status(session, secrecy, watch, talk, screen),
        ]
    if card is not None:
        jobs.append(_watch(card, screen))
    if writer is not None:
        jobs.append(_write_playback(sound, writer))
    if options.seconds is not None:
        jobs.append(asyncio.sleep(options.seconds))
    if options.until_end:
        jobs.append(_until_sent(sound))
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
    for task in done:
        task.result()


async def _show_events(session: Session, consent: ConsentDialogue, secrecy: Secrecy, screen: Screen) -> None:
    """Ends, with an error, when the call cannot go on."""
    async for event in session.events():
        screen.event(event, session.user_id)
        consent.look(event)
        secrecy.look(event)
        match event:
            case ConnectionLost(code=code, sentence=sentence, final=True):
                raise ConnectionFailed(code, sentence)
            case VoiceLost(sentence=sentence, final=True):
                raise ConnectionFailed("voice_closed", sentence)


async def _show_status(session: Session, secrecy: Secrecy, watch: LinkWatch, talk: Talk, screen: Screen) -> None:
    meter = LossMeter()
    while True:
        if (stats := session.stats()) is not None:
            known = {member.user_id: member.name for member in session.members.values()}
            names = {ssrc: known[user_id] for ssrc, user_id in session.sources.items() if user_id in known}
            for sentence in watch.look(stats, monotonic_now(), names):
                screen.line(sentence)
                screen.record("glitch", text=sentence)
            members, sources = session.members, session.sources
            talking = [
                members[sources[source.ssrc]].name
                for source in stats.sources
                if source.talking and sources.get(source.ssrc) in members
            ]
            loss = meter.look(stats)
            lock = lock_words(session.encryption, session.ghosts, len(secrecy.verified))
            status = status_line(
                session.room_name, members.values(), talking, stats, loss, muted=session.muted, lock=lock
            )
            heard = "YOU TALK" if talk.on else ""
            screen.status(" · ".join(part for part in (heard, playing_words(session), status) if part))
        await asyncio.sleep(STATUS_EVERY_S)


def _save_last_minute(watch: LinkWatch, file: Path) -> None:
    """Raises StorageError."""
    try:
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(look) + "\n" for look in watch.last_minute())
    except OSError as error:
        raise StorageError(
            "flight_recorder_unwritable", f"{file} cannot be written: {error.strerror or error}."
        ) from None


async def _watch(card: SoundCard, screen: Screen) -> None:
    """An unplugged device is replaced, and the person told."""
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        for change in await asyncio.to_thread(card.watch, monotonic_now()):
            screen.line(change.sentence)


async def _write_playback(sound: Sound, writer: HeardWriter) -> None:
    while True:
        await asyncio.sleep(PLAYBACK_EVERY_S)
        writer.write(sound.read_playback())


async def _until_sent(sound: Sound) -> None:
    while not sound.capture_done:  # noqa: ASYNC110 (a flag of the native thread: nothing tells when it is set)
        await asyncio.sleep(0.05)
    await asyncio.sleep(TAIL_S)


async def _obey_lines(
    session: Session,
    answer: Callable[[str], Awaitable[bool]],
    watch: LinkWatch,
    gate_mode: GateMode,
    talk: Talk,
    screen: Screen,
) -> None:
    """Ends at /quit; the end of the input only ends the typing."""
    async for line in typed_lines():
        if await answer(line):
            continue
        match line.split():
            case [] if gate_mode is GateMode.PUSH_TO_TALK:
                talk.toggle()
                screen.line("You are heard; Enter ends it." if talk.on else "You are not heard any more.")
            case []:
                continue
            case ["/stats"]:
                if (stats := session.stats()) is not None:
                    for row in link_panel(watch, stats):
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
