"""Packets and samples, in Rust. Private: the public faces are `raccall.voice`, `raccall.wire` and `raccall.server`."""

__version__: str

# ---- wire: bytes on the network ----

# ---- opus: codec ----

# ---- media: chains ----

# ---- relay: forwarding ----

# ---- engine: a client's native thread ----
