"""End-to-end encryption: one member's side of a DAVE group, and the keys that it gives to the voice path.

    member = DaveMember(user_id, channel_id, identity_key)       # the key of the last call, kept in a file
    member.set_external_sender(body)                             # op 25
    answer = member.process_proposals(body, expected)            # op 27 ─▶ op 28
    member.process_commit(commit)                                # op 29, or, as a joiner: process_welcome, op 30
    engine.add_keys(keys := member.keys())                       # from now on open what others encrypt; op 23
    engine.use_keys(keys)                                        # op 22: encrypt with them

MLS (RFC 9420) is davey's, on OpenMLS; `crates/e2ee` stands in between. A call of this class may take tens of
milliseconds in a big room: `await asyncio.to_thread(...)`, one after the other. The voice path meets only EpochKeys,
which is why it never waits for MLS.

Everything that comes from the delivery service is hostile until MLS has proved it: what is refused raises DaveError
with a stable `code`, and the member stays usable.
"""

from raccall._native import DAVE_PROTOCOL_VERSION, DaveError, DaveMember, EpochKeys

__all__ = ["DAVE_PROTOCOL_VERSION", "DaveError", "DaveMember", "EpochKeys"]
