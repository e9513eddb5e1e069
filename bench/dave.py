"""What end-to-end encryption costs: each recorded frame, beside davey; and joining an encrypted room.

Frames: one program (crates/engine/examples/dave_cost.rs) takes the same datagrams of 50 talkers twice, a second of call
each in turn. Ours opens, de-duplicates, decrypts, hands over by a tap and writes a journal; the peer opens with the
same cipher code, decrypts with davey's own session, and appends to a buffered file. CPU time is the thread's.

Rooms: what stands between the wish to join and the keys, on one machine, one step after the other: the joiner's key
package, a member's commit and welcome, the joiner's welcome and the keys of everyone. All others came by one commit,
which is the worst tree that there is: its inner nodes are blank, so who commits to a leave encrypts to each leaf.
Network and the server's 100 ms of gathering are not in it. Beside it what the others do meanwhile, what a leave takes
who commits to it, and for how long davey's session would hold a voice thread that shared it: from proposals to the keys
of the new epoch, of a join or a leave.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from statistics import median
from typing import TypeVar

import davey

from bench.client import build_example
from bench.report import CannotRun, Report, Row, note
from raccall.voice.delivery.codec import vector
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.structures import KeyPackage, read_commit_welcome
from raccall.voice.e2ee import DAVE_PROTOCOL_VERSION, DaveMember

CLAIM = (
    "A recorded frame that is encrypted end to end costs at most twice what davey, an AEAD and an append cost; "
    "a room of 25 people is joined within 500 ms"
)
LIMIT = 2.0
BUDGET_MS = 500.0
REPEATS, SECONDS = 7, 40
QUICK_REPEATS, QUICK_SECONDS = 2, 10
ROOMS, ROOM_REPEATS = (10, 25, 100, 200), 7
QUICK_ROOM_REPEATS = 2
ROOM_IN_BUDGET = 25
FRAME_ROW = "encrypted frame of 50 talkers (µs)"
JOIN_ROW = f"joining a room of {ROOM_IN_BUDGET} (ms)"
CHANNEL, FIRST_USER = 777, 1000
GROUP = CHANNEL.to_bytes(8, "big")
APPEND = b"\0"
LEAVER = 3
"""Leaf of the first member who is nothing but a key package here."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Times:
    """What one join takes, and one leave after it, in ms."""

    key_package: float
    commit: float
    """By the member whose commit wins, the welcome included."""
    welcome: float
    keys: float
    """Of the joiner, for everyone."""
    others: float
    """From the proposal to the new keys, for each other member."""
    davey: float
    """The same within davey's session, while it can neither encrypt nor decrypt."""
    leave: float
    """From the proposal to the new keys, for the member whose commit wins."""
    davey_leave: float

    @property
    def whole(self) -> float:
        """What the joiner waits for."""
        return self.key_package + self.commit + self.welcome + self.keys


def measure(quick: bool) -> Report:
    try:
        frames = compare(QUICK_REPEATS if quick else REPEATS, QUICK_SECONDS if quick else SECONDS)
    except CannotRun as problem:
        frames = Row.unmeasured(FRAME_ROW, "peer", problem, LIMIT)
    return Report(claim=CLAIM, unit="see names", rows=[frames, joins(QUICK_ROOM_REPEATS if quick else ROOM_REPEATS)])


def compare(repeats: int, seconds: int) -> Row:
    command = build_example("dave_cost")
    ours, bare, in_clear = [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-dave-") as folder:
        for repeat in range(1, repeats + 1):
            note(f"[{repeat}/{repeats}] {seconds} s of 50 talkers")
            done = subprocess.run([command, folder, str(seconds)], check=True, capture_output=True, text=True)
            frames, *spent = (int(word) for word in done.stdout.split())
            for costs, ns in zip((ours, bare, in_clear), spent, strict=True):
                costs.append(ns / frames / 1000)
    beside = {"the same in clear": median(in_clear)}
    return Row.of_repeats(name=FRAME_ROW, value=ours, against=bare, kind="peer", limit=LIMIT, beside=beside)


def joins(repeats: int) -> Row:
    medians = {}
    for room in ROOMS:
        note(f"joining a room of {room}")
        each = [join_room(room) for _ in range(repeats)]
        medians[room] = Times(*(median(getattr(join, part.name) for join in each) for part in fields(Times)))
    beside = {}
    for room, join in medians.items():
        beside |= {
            f"{room}: all": join.whole,
            f"{room}: commit": join.commit,
            f"{room}: welcome and keys": join.welcome + join.keys,
            f"{room}: the others": join.others,
            f"{room}: a leave": join.leave,
            f"{room}: davey's session holds": max(join.davey, join.davey_leave),
        }
    whole = medians[ROOM_IN_BUDGET].whole
    return Row(name=JOIN_ROW, value=whole, against=BUDGET_MS, kind="budget", limit=1.0, beside=beside)


def join_room(room: int) -> Times:
    """One more joins a group of `room` - 1, all of whom but the first came by one commit; then another one leaves."""
    sender = ProposalSender()
    first, other, joiner = (DaveMember(FIRST_USER + number, CHANNEL) for number in range(3))
    theirs = davey.DaveSession(DAVE_PROTOCOL_VERSION, FIRST_USER + 3, CHANNEL)
    for member in (first, other, joiner, theirs):
        member.set_external_sender(sender.package)
    packages = {FIRST_USER + 1: other.key_package(), FIRST_USER + 3: theirs.get_serialized_key_package()}
    for user_id in range(FIRST_USER + 4, FIRST_USER + room):
        packages[user_id] = DaveMember(user_id, CHANNEL).key_package()
    added = [sender.add(GROUP, 0, KeyPackage.read(package, user_id)) for user_id, package in packages.items()]
    commit, welcome = answer_of(first, b"".join(added))
    first.process_commit(commit)
    other.process_welcome(welcome)
    theirs.process_welcome(welcome)

    key_package_ms, package = timed(joiner.key_package)
    proposal = sender.add(GROUP, 1, KeyPackage.read(package, joiner.user_id))
    commit_ms, (commit, welcome) = timed(lambda: answer_of(first, proposal))
    welcome_ms, _ = timed(lambda: joiner.process_welcome(welcome))
    keys_ms, keys = timed(joiner.keys)
    assert len(keys.user_ids) == room

    def follow() -> None:
        answer_of(other, proposal)
        other.process_commit(commit)
        other.keys()

    def follow_with_davey() -> None:
        theirs.process_proposals(davey.ProposalsOperationType.append, vector(proposal))
        theirs.process_commit(commit)

    others_ms, _ = timed(follow)
    davey_ms, _ = timed(follow_with_davey)

    proposal = sender.remove(GROUP, 2, LEAVER)
    leave_ms, (commit, _) = timed(lambda: commit_and_keys(other, proposal))
    davey_leave_ms, _ = timed(follow_with_davey)
    assert other.verification_code().replace(" ", "") == theirs.voice_privacy_code
    return Times(key_package_ms, commit_ms, welcome_ms, keys_ms, others_ms, davey_ms, leave_ms, davey_leave_ms)


def commit_and_keys(member: DaveMember, proposals: bytes) -> tuple[bytes, bytes]:
    """The member's commit, which wins, and welcome."""
    commit, welcome = answer_of(member, proposals)
    member.process_commit(commit)
    member.keys()
    return commit, welcome


def answer_of(member: DaveMember, proposals: bytes) -> tuple[bytes, bytes]:
    """The member's commit and welcome; the latter empty when nobody joins."""
    answer = member.process_proposals(APPEND + vector(proposals))
    assert answer is not None
    commit, welcome = read_commit_welcome(answer)
    return commit.data, welcome.data if welcome else b""


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1000, result
