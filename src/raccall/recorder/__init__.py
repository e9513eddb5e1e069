"""Tap to journal to timeline to tracks and mix.

Recorder writes journal.pcapng and events.jsonl while a call goes on; `render` makes tracks, mix and summary of them.
"""

from raccall.recorder.events import (
    Alarm,
    ConsentGiven,
    ConsentWithdrawn,
    Correction,
    Event,
    Gap,
    KeysChanged,
    MemberJoined,
    MemberLeft,
    Muted,
    Note,
    SomeoneForgotten,
    Source,
    Start,
    Stop,
    read_events,
)
from raccall.recorder.forget import Forgotten, forget
from raccall.recorder.journal import JournalReader
from raccall.recorder.recorder import TICK_MS, Recorder, check_folder
from raccall.recorder.recording import Recording
from raccall.recorder.render import render
from raccall.recorder.summary import Person, Summary, read_summary

__all__ = [
    "TICK_MS",
    "Alarm",
    "ConsentGiven",
    "ConsentWithdrawn",
    "Correction",
    "Event",
    "Forgotten",
    "Gap",
    "JournalReader",
    "KeysChanged",
    "MemberJoined",
    "MemberLeft",
    "Muted",
    "Note",
    "Person",
    "Recorder",
    "Recording",
    "SomeoneForgotten",
    "Source",
    "Start",
    "Stop",
    "Summary",
    "check_folder",
    "forget",
    "read_events",
    "read_summary",
    "render",
]
