"""Codec and chains with types; Tick and Tap; the voice gateway protocol."""

from raccall.voice.codec import Application, Decoder, Encoder, OpusError, payload_has_lbrr, payload_samples

__all__ = ["Application", "Decoder", "Encoder", "OpusError", "payload_has_lbrr", "payload_samples"]
