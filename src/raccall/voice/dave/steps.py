"""The steps of MLS that a `Handshake` takes: each is one call, made in a thread, that gives an `Outcome`.

They take tens of milliseconds in a big room, and raise DaveError, which `run` makes an Outcome of.
"""

from collections.abc import Callable

from raccall.voice.dave.events import Group, Outcome
from raccall.voice.e2ee import DaveError, DaveMember

Step = Callable[[DaveMember], Outcome]


def run(step: Step, member: DaveMember) -> Outcome:
    """What the step gave, an error included."""
    try:
        return step(member)
    except DaveError as error:
        return Outcome(error=error.code)


def external_sender(package: bytes) -> Step:
    """Whose proposals count from now on."""

    def step(member: DaveMember) -> Outcome:
        member.set_external_sender(package)
        return Outcome()

    return step


def new_key_package(member: DaveMember) -> Outcome:
    """Forget the group, if there is one. Gives what lets us be added again."""
    member.reset()
    return Outcome(answer=member.key_package())


def proposals(body: bytes) -> Step:
    """Gives our commit, if one is wanted."""
    return lambda member: Outcome(answer=member.process_proposals(body))


def commit(data: bytes) -> Step:
    """Gives the next epoch's group, or none if it was not for ours."""
    return lambda member: Outcome(group=_group_of(member)) if member.process_commit(data) else Outcome()


def welcome(data: bytes) -> Step:
    """Gives the group that we are in from now on."""

    def step(member: DaveMember) -> Outcome:
        member.process_welcome(data)
        return Outcome(group=_group_of(member))

    return step


def _group_of(member: DaveMember) -> Group:
    keys = member.keys()
    return Group(keys.epoch, keys, member.verification_code(), dict(member.roster()))
