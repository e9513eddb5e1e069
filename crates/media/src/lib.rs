//! The voice path without a network: jitter buffer, mix, SendChain, ReceiveChain. Pure, clocked by the caller.
