"""One group, epoch by epoch: what the server proposed, and which commit may end the epoch. Knows no time.

What can be checked here, and what only members can. A commit's signature covers the group's context, in which every
epoch's secrets leave their trace (RFC 9420 sections 6.1 and 8.2): who has no secret cannot compute what was signed. So
the server checks that the commit came on the connection of the member who it says made it, for this group and epoch,
that it covers exactly what is proposed, that it has the shape it must have, and the signature of the new leaf in it,
which covers nothing secret. The rest is the members' to check; what they find they tell (opcode 31).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from raccall.voice.delivery.codec import vector
from raccall.voice.delivery.sender import ProposalSender, proposal_reference
from raccall.voice.delivery.structures import (
    SOURCE_COMMIT,
    Commit,
    KeyPackage,
    Refused,
    Welcome,
    epoch_of,
    identity,
    path_is_signed,
    read_commit_welcome,
)
from raccall.voice.delivery.tree import Leaves


@dataclass(eq=False, slots=True)
class Place:
    """Someone in the group, or proposed to be: one who left and comes again has a new one."""

    user_id: int
    package: KeyPackage
    encryption_key: bytes = b""
    """Of the leaf, as the newest commit of this member left it; empty before the first."""

    @property
    def keys(self) -> set[bytes]:
        """All public keys that are known to be this one's."""
        package = self.package
        return {package.init_key, package.leaf.encryption_key, package.leaf.signature_key, self.encryption_key}


@dataclass(frozen=True, slots=True)
class _Proposal:
    message: bytes
    leaf_index: int | None
    """Whom it removes; None: it adds."""
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEpoch:
    """What a commit led to."""

    commit: bytes
    committer: Place
    stayed: tuple[Place, ...]
    """Who had the proposals and takes the commit."""
    added: tuple[Place, ...]
    welcome: bytes
    """Empty if nobody was added."""


class Group:
    """Begins at epoch 0 with the one member who has it."""

    def __init__(self, group_id: int, sender: ProposalSender, creator: Place) -> None:
        self._id = identity(group_id)
        self._sender = sender
        self.epoch = 0
        self.leaves: Leaves[Place] = Leaves(creator)
        self._proposals: dict[bytes, _Proposal] = {}  # by reference

    @property
    def proposing(self) -> bool:
        """A commit is wanted."""
        return bool(self._proposals)

    @property
    def proposed(self) -> list[Place]:
        """Who is to be added."""
        return [proposal.place for proposal in self._proposals.values() if proposal.leaf_index is None]

    def stayers(self) -> tuple[Place, ...]:
        """The members whom no proposal removes."""
        gone = {id(proposal.place) for proposal in self._proposals.values() if proposal.leaf_index is not None}
        return tuple(place for place in self.leaves if id(place) not in gone)

    def propose(self, removed: list[Place], added: list[Place]) -> bytes:
        """The body of opcode 27 for everyone who stays."""
        assert not self._proposals, "one commit at a time"
        for place in removed:
            index = self.leaves.index(place)
            assert index is not None, "only members can be removed"
            self._keep(_Proposal(self._sender.remove(self._id, self.epoch, index), index, place))
        for place in added:
            self._keep(_Proposal(self._sender.add(self._id, self.epoch, place.package), None, place))
        return vector(b"".join(proposal.message for proposal in self._proposals.values()))

    def revoke(self) -> bytes:
        """Take back all that is proposed: the body of opcode 27. All, because members on davey 0.1.7 make a commit
        without a welcome when some of it stays."""
        references, self._proposals = list(self._proposals), {}
        return vector(b"".join(vector(reference) for reference in references))

    def commit(self, data: bytes, user_id: int) -> NewEpoch:
        """Opcode 28 from a user's own connection: if it is good, the group goes on to the next epoch.

        Raises Refused, and nothing has changed: `late` (somebody was faster), `malformed`, `unsupported`,
        `wrong_group`, `wrong_sender`, `wrong_proposals`, `wrong_path`, `wrong_welcome`.
        """
        if epoch_of(data) != self.epoch or not self._proposals:
            raise Refused("late")
        commit, welcome = read_commit_welcome(data)
        if commit.group_id != self._id:
            raise Refused("wrong_group")
        committer = self.leaves.at(commit.leaf_index)
        if committer is None or committer.user_id != user_id or committer not in self.stayers():
            raise Refused("wrong_sender")
        references = set(commit.references)
        if references != self._proposals.keys() or len(references) != len(commit.references):
            raise Refused("wrong_proposals")
        leaves = self._applied()
        self._check_path(commit, committer, leaves)
        self._check_welcome(welcome)
        epoch = NewEpoch(
            commit=commit.data,
            committer=committer,
            stayed=self.stayers(),
            added=tuple(self.proposed),
            welcome=welcome.data if welcome else b"",
        )
        if commit.path is not None:
            committer.encryption_key = commit.path.leaf.encryption_key
        self.epoch += 1
        self.leaves = leaves
        self._proposals = {}
        return epoch

    def _keep(self, proposal: _Proposal) -> None:
        self._proposals[proposal_reference(proposal.message)] = proposal

    def _applied(self) -> Leaves[Place]:
        """The leaves as the proposals change them: removals first (RFC 9420 section 12.3)."""
        leaves = self.leaves.copy()
        for proposal in self._proposals.values():
            if proposal.leaf_index is not None:
                leaves.remove(proposal.leaf_index)
        for place in self.proposed:
            leaves.add(place)
        return leaves

    def _check_path(self, commit: Commit, committer: Place, leaves: Leaves[Place]) -> None:
        """Only adding needs no new keys (RFC 9420 section 12.4); where there are some they are the committer's own."""
        path = commit.path
        if path is None:
            if any(proposal.leaf_index is not None for proposal in self._proposals.values()):
                raise Refused("wrong_path")
            return
        leaf = path.leaf
        if (
            leaf.source != SOURCE_COMMIT
            or (leaf.identity, leaf.signature_key)
            != (committer.package.leaf.identity, committer.package.leaf.signature_key)
            or leaf.encryption_key in {place.encryption_key for place in leaves}
            or path.nodes != leaves.path_length(commit.leaf_index)
            or not path_is_signed(path, self._id, commit.leaf_index)
        ):
            raise Refused("wrong_path")

    def _check_welcome(self, welcome: Welcome | None) -> None:
        """For those who are added, and for nobody else."""
        wanted = sorted(place.package.reference for place in self.proposed)
        if sorted(welcome.references if welcome else ()) != wanted:
            raise Refused("wrong_welcome")


def clashes(package: KeyPackage, others: Iterable[Place]) -> bool:
    """One of its keys is another's (RFC 9420 section 7.3): members would refuse all that is proposed then."""
    keys = {package.init_key, package.leaf.encryption_key, package.leaf.signature_key}
    return any(not keys.isdisjoint(other.keys) for other in others)
