"""Which commits, welcomes and key packages reach nobody: each forged from a real one (davey) in one respect."""

import random

import davey
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from raccall.units import Nanos
from raccall.voice.delivery import structures
from raccall.voice.delivery.codec import MlsMalformed, Reader, vector
from raccall.voice.delivery.crypto import sign
from raccall.voice.delivery.group import Group, Place, clashes
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.service import Delivery
from raccall.voice.delivery.structures import KeyPackage, Refused, Welcome, header, identity, read_commit_welcome
from raccall.voice.gateway import binary, messages

ROOM = 77
APPEND = davey.ProposalsOperationType.append


def session(sender, user_id, room=ROOM):
    dave = davey.DaveSession(1, user_id, room)
    dave.set_external_sender(sender.package)
    return dave


def place(dave, user_id):
    return Place(user_id, KeyPackage.read(dave.get_serialized_key_package(), user_id))


class Epoch:
    """Users 1, 2, 3 in a group; user 1 is to go and user 4 to come: `commits` of 2 and 3 are good."""

    def __init__(self):
        self.sender = ProposalSender()
        self.sessions = {user_id: session(self.sender, user_id) for user_id in (1, 2, 3, 4)}
        self.places = {user_id: place(dave, user_id) for user_id, dave in self.sessions.items()}
        self.group = Group(ROOM, self.sender, self.places[1])
        self.first = self.commit(1, self.group.propose([], [self.places[2], self.places[3]]))
        self.group.commit(self.first, 1)
        commit, welcome = read_commit_welcome(self.first)
        self.sessions[1].process_commit(commit.data)
        for user_id in (2, 3):
            self.sessions[user_id].process_welcome(welcome.data)
        self.proposals = self.group.propose([self.places[1]], [self.places[4]])
        self.commits = {user_id: self.commit(user_id, self.proposals) for user_id in (2, 3)}

    def commit(self, user_id, proposals):
        made = self.sessions[user_id].process_proposals(APPEND, proposals)
        return made.commit + (made.welcome or b"")

    def refused(self, data, user_id=2):
        """The reason; the group stays as it was, and takes a good commit after it."""
        epoch, leaves = self.group.epoch, list(self.group.leaves)
        with pytest.raises(Refused) as refused:
            self.group.commit(data, user_id)
        assert (self.group.epoch, list(self.group.leaves)) == (epoch, leaves)
        return refused.value.reason


@pytest.fixture
def epoch():
    return Epoch()


def parts(data):
    """Where the fields of a commit with a path are: (the bytes up to the proposals, proposals, path, tags, welcome)."""
    commit, welcome = read_commit_welcome(data)
    reader = Reader(commit.data)
    reader.take(4)
    reader.vector()
    reader.take(8 + 1 + 4)
    reader.vector()
    reader.take(1)
    head = reader.since(0)
    proposals = reader.vector()
    start = reader.at
    reader.take(1)
    structures.UpdatePath.read(reader)
    path = reader.since(start)
    return head, proposals, path, reader.rest(), welcome.data if welcome else b""


def test_a_good_commit_ends_the_epoch_for_all(epoch):
    ended = epoch.group.commit(epoch.commits[3], 3)
    assert [p.user_id for p in ended.stayed] == [2, 3] and [p.user_id for p in ended.added] == [4]
    assert ended.committer.user_id == 3
    assert [p.user_id for p in epoch.group.leaves] == [4, 2, 3] and epoch.group.epoch == 2
    for user_id in (2, 3):
        epoch.sessions[user_id].process_commit(ended.commit)
    epoch.sessions[4].process_welcome(ended.welcome)
    codes = {epoch.sessions[user_id].voice_privacy_code for user_id in (2, 3, 4)}
    assert len(codes) == 1
    assert epoch.refused(epoch.commits[2], 2) == "late"


def test_a_replayed_commit_is_late(epoch):
    assert epoch.refused(epoch.first, 1) == "late"
    epoch.group.commit(epoch.commits[2], 2)
    assert epoch.refused(epoch.commits[2], 2) == "late"


def test_a_commit_counts_only_on_its_authors_connection(epoch):
    assert epoch.refused(epoch.commits[2], 3) == "wrong_sender"
    assert epoch.refused(epoch.commits[2], 9) == "wrong_sender"


def test_one_who_is_removed_may_not_commit(epoch):
    head, *rest = parts(epoch.commits[2])
    sender = head[:-6] + (0).to_bytes(4, "big") + head[-2:]
    assert epoch.refused(sender + vector(rest[0]) + b"".join(rest[1:]), 1) == "wrong_sender"


@pytest.mark.parametrize("leaf_index", [3, 99, 2**32 - 1])
def test_a_leaf_without_a_member_may_not_commit(epoch, leaf_index):
    head, *rest = parts(epoch.commits[2])
    sender = head[:-6] + leaf_index.to_bytes(4, "big") + head[-2:]
    assert epoch.refused(sender + vector(rest[0]) + b"".join(rest[1:]), 2) == "wrong_sender"


def test_another_group_and_another_epoch_are_refused(epoch):
    good = epoch.commits[2]
    assert epoch.refused(good.replace(identity(ROOM), identity(ROOM + 1), 1)) == "wrong_group"
    epoch_at = 4 + 1 + 8
    for number in (0, 2, 2**64 - 1):
        assert epoch.refused(good[:epoch_at] + number.to_bytes(8, "big") + good[epoch_at + 8 :]) == "late"


def test_all_proposals_and_no_others_must_be_covered(epoch):
    head, proposals, path, tags, welcome = parts(epoch.commits[2])
    one = proposals[: len(proposals) // 2]
    for covered in (one, one + one, proposals + one, proposals + b"\2" + vector(bytes(32)), b"", proposals[::-1]):
        forged = head + vector(covered) + path + tags + welcome
        assert epoch.refused(forged) in ("wrong_proposals", "malformed")
    inline = b"\1" + structures.PROPOSAL_REMOVE.to_bytes(2, "big") + (1).to_bytes(4, "big")
    assert epoch.refused(head + vector(proposals + inline) + path + tags + welcome) == "wrong_proposals"


def path_parts(path):
    """(leaf, all of the leaf's bytes, what the nodes are)."""
    reader = Reader(path)
    reader.take(1)
    leaf = structures.LeafNode.read(reader)
    return leaf, reader.since(1), reader.vector()


def test_a_removal_needs_a_path_of_the_right_length(epoch):
    head, proposals, path, tags, welcome = parts(epoch.commits[2])
    assert epoch.refused(head + vector(proposals) + b"\0" + tags + welcome) == "wrong_path"
    _, leaf, nodes = path_parts(path)
    reader = Reader(nodes)
    reader.vector(), reader.vector()
    one_node = reader.since(0)
    for other in (b"", nodes + one_node):
        forged = head + vector(proposals) + b"\1" + leaf + vector(other) + tags + welcome
        assert epoch.refused(forged) == "wrong_path"


def test_the_leaf_in_a_commit_is_signed_by_its_owner(epoch):
    head, proposals, path, tags, welcome = parts(epoch.commits[2])
    leaf, _, nodes = path_parts(path)

    def forged(signed, signature):
        new_path = b"\1" + signed + vector(signature) + vector(nodes)
        return head + vector(proposals) + new_path + tags + welcome

    assert epoch.refused(forged(leaf.signed, leaf.signature[:-1] + bytes([leaf.signature[-1] ^ 1]))) == "wrong_path"
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    other = leaf.signed.replace(leaf.signature_key, point)
    own = sign(key, "LeafNodeTBS", other + vector(identity(ROOM)) + (1).to_bytes(4, "big"))
    assert epoch.refused(forged(other, own)) == "wrong_path", "well signed, but by another key"
    epoch.group.commit(forged(leaf.signed, leaf.signature), 2)


def test_the_welcome_is_for_those_who_are_added_and_for_nobody_else(epoch):
    good = epoch.commits[2]
    commit, welcome = read_commit_welcome(good)
    assert epoch.refused(commit.data) == "wrong_welcome"
    reader = Reader(welcome.data)
    reader.take(2)
    secrets = reader.vector()
    for other in (secrets + secrets, b"", secrets.replace(epoch.places[4].package.reference, bytes(32))):
        forged = welcome.data[:2] + vector(other) + reader._data[reader.at :]
        assert epoch.refused(commit.data + forged) == "wrong_welcome"
    assert epoch.refused(commit.data + b"\0\1" + welcome.data[2:]) == "unsupported"
    assert epoch.refused(good + b"\0") == "malformed"


def test_a_welcome_may_be_wrapped_as_a_message(epoch):
    commit, welcome = read_commit_welcome(epoch.commits[2])
    wrapped = header(structures.WIRE_WELCOME) + welcome.data
    assert Welcome.read(wrapped) == welcome
    assert epoch.group.commit(commit.data + wrapped, 2).welcome == welcome.data, "relayed bare"


# ---- key packages ----


@pytest.fixture
def package():
    return session(ProposalSender(), 5).get_serialized_key_package()


def reason(data, user_id=5):
    with pytest.raises(Refused) as refused:
        KeyPackage.read(data, user_id)
    return refused.value.reason


def test_a_key_package_is_read_bare_and_wrapped(package):
    read = KeyPackage.read(package, 5)
    assert read.data == package and read.leaf.identity == identity(5)
    assert KeyPackage.read(header(structures.WIRE_KEY_PACKAGE) + package, 5) == read


def test_nobody_brings_anothers_key_package(package):
    assert reason(package, 6) == "wrong_identity"


def resigned(package, change):
    """A key package that is changed and signed again, both leaf and whole, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    reader = Reader(package)
    reader.take(4)
    init_key = reader.vector()
    leaf = structures.LeafNode.read(reader)
    init_key, encryption_key, signed = change(
        init_key, leaf.encryption_key, leaf.signed.replace(leaf.signature_key, point)
    )
    signed = signed.replace(leaf.encryption_key, encryption_key)
    leaf_bytes = signed + vector(sign(key, "LeafNodeTBS", signed))
    whole = package[:4] + vector(init_key) + leaf_bytes + vector(b"")
    return whole + vector(sign(key, "KeyPackageTBS", whole))


def test_a_key_package_that_is_only_signed_again_is_good(package):
    assert KeyPackage.read(resigned(package, lambda *same: same), 5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda init, enc, leaf: (enc, enc, leaf), "bad_key"),
        (lambda init, enc, leaf: (b"\4" + bytes(64), enc, leaf), "bad_key"),
        (lambda init, enc, leaf: (b"\2" + init[1:33], enc, leaf), "bad_key"),
        (lambda init, enc, leaf: (init, enc[:-1] + bytes([enc[-1] ^ 1]), leaf), "bad_key"),
        (lambda init, enc, leaf: (init, enc, leaf.replace(identity(5), identity(6))), "wrong_identity"),
        (lambda init, enc, leaf: (init, enc, leaf.replace(b"\xff" * 8, b"\x7f" + b"\xff" * 7)), "lifetime"),
        (lambda init, enc, leaf: (init, enc, leaf.replace(b"\1" + bytes(8) + b"\xff" * 8, b"\2")), "unsupported"),
        (lambda init, enc, leaf: (init, enc, leaf[:-1] + vector(b"\x0a\x0a\0")), "unsupported"),
        (
            lambda init, enc, leaf: (init, enc, leaf.replace(b"\0\1\x08" + identity(5), b"\0\2\x08" + identity(5))),
            "unsupported",
        ),
    ],
)
def test_a_key_package_with_something_wrong_in_it(package, change, why):
    assert reason(resigned(package, change)) == why


def test_every_flipped_bit_of_a_key_package_is_found(package):
    rng = random.Random(1)
    for _ in range(200):
        at = rng.randrange(len(package))
        reason(package[:at] + bytes([package[at] ^ 1 << rng.randrange(8)]) + package[at + 1 :])


def test_two_with_the_same_key_spoil_a_commit_and_are_found():
    sender = ProposalSender()
    pair = davey.generate_p256_keypair()
    first, second = davey.DaveSession(1, 5, ROOM, pair), davey.DaveSession(1, 6, ROOM, pair)
    for dave in (first, second):
        dave.set_external_sender(sender.package)
    other = place(second, 6)
    assert clashes(place(first, 5).package, [other])
    assert not clashes(place(session(sender, 7), 7).package, [other])


# ---- hostile bytes ----


@given(st.binary(max_size=200))
def test_the_reader_only_raises_malformed(data):
    reader = Reader(data)
    try:
        while reader.left:
            reader.vector()
    except MlsMalformed:
        pass


@pytest.mark.parametrize("size", [0, 63, 64, 16383, 16384, 70000])
def test_a_vector_comes_back(size):
    reader = Reader(vector(bytes(size)) + b"x")
    assert reader.vector() == bytes(size) and reader.rest() == b"x"


@pytest.mark.parametrize("data", [b"\x40\x05hello", b"\x80\0\0\5hello", b"\xc0" + bytes(8), b"\x05hell", b""])
def test_a_length_has_one_form_only(data):
    with pytest.raises(MlsMalformed):
        Reader(data).vector()


SHARED = Epoch()
"""Only refused commits are shown to it."""


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_commit_with_changed_bytes_never_raises_anything_else(data):
    good = bytearray(SHARED.commits[2])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([len(good), data.draw(st.integers(0, len(good)))]))
    try:
        read_commit_welcome(bytes(good[:cut]))
    except Refused:
        return


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.binary(max_size=80)), max_size=20))
def test_whatever_clients_send_the_service_goes_on(hostile):
    delivery = Delivery(ROOM, ProposalSender())
    now = Nanos(10**9)
    for user_id in (1, 2):
        delivery.join(user_id, now)
    for user_id, kind, content in hostile:
        number = int.from_bytes(content[:4], "big", signed=True)
        message = [
            binary.KeyPackage(content),
            binary.CommitWelcome(content),
            messages.TransitionReady(transition_id=number),
            messages.InvalidCommitWelcome(transition_id=number),
        ][kind]
        delivery.receive(user_id, message, now)
        now = Nanos(now + 10**8)
        delivery.handle_timer(now)
    assert all(isinstance(outgoing.message, binary.ExternalSender) for outgoing in delivery.to_send())
