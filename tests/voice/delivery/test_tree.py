"""Leaf indices and path lengths, by hand and against what real members put into their commits."""

import random

import davey

from raccall.voice.delivery.group import Group, Place
from raccall.voice.delivery.sender import ProposalSender
from raccall.voice.delivery.structures import KeyPackage, read_commit_welcome
from raccall.voice.delivery.tree import Leaves

ROOM = 77


def test_the_leftmost_blank_leaf_is_taken_and_a_blank_right_half_goes():
    a, b, c, d, e = (object() for _ in range(5))
    leaves = Leaves(a)
    assert [leaves.add(member) for member in (b, c)] == [1, 2] and leaves.width == 4
    leaves.remove(0)
    assert leaves.add(d) == 0 and leaves.add(e) == 3 and leaves.width == 4
    assert leaves.add(a) == 4 and leaves.width == 8
    leaves.remove(4)
    assert leaves.width == 4 and leaves.at(4) is None and leaves.at(10**9) is None
    assert list(leaves) == [d, b, c, e] and leaves.index(a) is None
    for index in (2, 3, 1):
        leaves.remove(index)
    assert leaves.width == 1 and list(leaves) == [d]


def test_a_path_skips_nodes_with_nobody_on_the_other_side():
    leaves = Leaves(*range(10, 16))  # 6 of 8
    assert [leaves.path_length(index) for index in range(6)] == [3, 3, 3, 3, 2, 2]
    leaves.remove(1)
    assert leaves.path_length(0) == 2
    assert Leaves("alone").path_length(0) == 0


def test_members_see_the_same_tree():
    """People come and go at random; every commit with a path has the length that we count."""
    rng = random.Random(7)
    sender = ProposalSender()
    sessions, places = {}, {}

    def new(user_id):
        sessions[user_id] = davey.DaveSession(1, user_id, ROOM)
        sessions[user_id].set_external_sender(sender.package)
        package = KeyPackage.read(sessions[user_id].get_serialized_key_package(), user_id)
        places[user_id] = Place(user_id, package)
        return places[user_id]

    group = Group(ROOM, sender, new(1))
    next_id, paths = 2, 0
    for _ in range(16):
        count = len(list(group.leaves))
        removed = rng.sample(list(group.leaves), k=rng.randrange(0, min(count, 4)))
        added = [new(next_id + i) for i in range(rng.randrange(0 if removed else 1, 4 if count < 7 else 2))]
        next_id += len(added)
        proposals = group.propose(removed, added)
        made = {
            p.user_id: sessions[p.user_id].process_proposals(davey.ProposalsOperationType.append, proposals)
            for p in group.stayers()
        }
        committer = rng.choice(sorted(made))
        data = made[committer].commit + (made[committer].welcome or b"")
        paths += read_commit_welcome(data)[0].path is not None
        epoch = group.commit(data, committer)
        for place in epoch.stayed:
            sessions[place.user_id].process_commit(epoch.commit)
        for place in epoch.added:
            sessions[place.user_id].process_welcome(epoch.welcome)
        for place in group.leaves:
            assert sessions[place.user_id].own_leaf_index == group.leaves.index(place)
    assert paths > 5
