//! The journal: everything received, append-only, as a standard capture (pcapng) that Wireshark opens as RTP streams
//! without settings.
//!
//! One section, one interface of link type 252 (exported PDU), one block a packet; the data of each names its dissector,
//! "rtp". What protects it is the packet's id (option `epb_packetid`): a running number, and a CRC-32 over number, time and
//! data. So a reader knows of each packet whether all of it is right, and by the numbers how many are missing. The standard's
//! own `epb_hash` covers data alone, and Wireshark 4.0 drops it from what it saves; ids it keeps. Times are UTC, so that
//! Wireshark shows real dates: monotonic time plus one offset that was taken once, at the start. It stands in the
//! interface's comment, with the format's version and a CRC-32 of its own; a version after [`FORMAT`] is refused, never
//! guessed at.

mod blocks;
mod format;
mod scan;

pub use format::{FORMAT, TimeBase, write_head, write_packet};
pub use scan::{Damage, Scan, ScanError};
