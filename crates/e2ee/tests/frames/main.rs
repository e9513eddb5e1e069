//! Frames, bit for bit as davey makes and takes them; and what a Decryptor does as time passes.

mod group;
mod peers;
mod time;
