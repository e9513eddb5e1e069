//! One native thread that owns a client's UDP socket and chains; the sound device's native callback.
