//! Frames, bit for bit as davey makes and takes them; what a Decryptor does as time passes; a hostile delivery service.

mod group;
mod hostile;
mod peers;
mod time;
