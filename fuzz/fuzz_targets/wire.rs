//! Parsers of what comes from the network. What parses must be written as it was, or as something that parses alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use raccall_wire::transport::{Cipher, Mode};
use raccall_wire::{discovery, rtcp, rtp};

fuzz_target!(|bytes: &[u8]| {
    discovery::parse_request(bytes);
    if let Some((ssrc, address)) = discovery::parse_response(bytes) {
        assert_eq!(discovery::parse_response(&discovery::response(ssrc, address)).map(|(ssrc, _)| ssrc), Some(ssrc));
    }
    rtp::ssrc(bytes);
    if let Ok(packet) = rtp::Packet::parse(bytes) {
        let mut written = Vec::new();
        packet.write(&mut written);
        let again = rtp::Packet::parse(&written).expect("what was written can be read");
        assert_eq!((again.sequence, again.ssrc, again.payload), (packet.sequence, packet.ssrc, packet.payload));
    }
    if let Ok(reports) = rtcp::parse(bytes) {
        let mut written = Vec::new();
        reports.iter().for_each(|report| rtcp::write(report, &mut written));
        rtcp::parse(&written).expect("what was written can be read");
    }
    for mode in Mode::ALL {
        let cipher = Cipher::new(mode, &[7; 32]);
        let mut opened = Vec::new();
        let _ = cipher.open(bytes, &mut opened);
        let mut sealed = Vec::new();
        if cipher.seal(bytes, [0, 0, 0, 1], &mut sealed).is_ok() {
            cipher.open(&sealed, &mut opened).expect("what was sealed can be opened");
            assert_eq!(opened, bytes);
        }
    }
});
