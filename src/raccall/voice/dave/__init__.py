"""A member's side of end-to-end encryption: the handshake, and who may be in the group."""
