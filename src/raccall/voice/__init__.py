"""Codec and chains with types; Tick and Tap; the voice gateway protocol."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raccall.voice.codec import Application, Decoder, Encoder, OpusError, payload_has_lbrr, payload_samples

__all__ = ["Application", "Decoder", "Encoder", "OpusError", "payload_has_lbrr", "payload_samples"]


def __getattr__(name: str) -> Any:
    """The codec is loaded when first used: it needs numpy, which a server's start should not wait for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from raccall.voice import codec

    return getattr(codec, name)
