"""The server's part in end-to-end encryption (DAVE, on MLS): it orders who joins and leaves the group, and has no key.

codec        bytes: the few shapes that MLS messages are made of
crypto       signatures and references by hash
structures   KeyPackage, commit, Welcome: read and checked
sender       the server's own signature: what it proposes
tree         who is at which leaf
group        one epoch: what is proposed, and which commit may end it
transitions  who is ready for the next epoch
service      all of it for one call: a core without clock, socket or task
"""
