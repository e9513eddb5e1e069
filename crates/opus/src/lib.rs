//! Safe libopus: encode, decode, conceal, in-band FEC (LBRR), DTX.
