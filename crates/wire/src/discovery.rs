//! IP discovery: a client asks the media port as which address it is seen (Discord voice gateway, "IP Discovery").
//!
//! 74 bytes, big endian: type u16 (1 request, 2 response), length u16 = 70, SSRC u32, address as 64 bytes of text filled
//! with NUL, port u16.

use std::net::{IpAddr, SocketAddr};

use crate::rtp::{u16_at, u32_at};

pub const BYTES: usize = 74;
/// Never issued as an SSRC: at byte 4 it marks STUN (RFC 8489 section 5).
pub const STUN_COOKIE: u32 = 0x2112_A442;

const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const ADDRESS: std::ops::Range<usize> = 8..72;

pub fn request(ssrc: u32) -> [u8; BYTES] {
    empty(REQUEST, ssrc)
}

/// The SSRC that asks, or `None` if the bytes are no request.
pub fn parse_request(bytes: &[u8]) -> Option<u32> {
    parse_kind(bytes, REQUEST)
}

pub fn response(ssrc: u32, address: SocketAddr) -> [u8; BYTES] {
    let mut bytes = empty(RESPONSE, ssrc);
    // An IPv4 peer of a dual-stack socket shows as ::ffff:a.b.c.d; it knows itself as a.b.c.d.
    let text = address.ip().to_canonical().to_string(); // at most 45 characters
    bytes[ADDRESS][..text.len()].copy_from_slice(text.as_bytes());
    bytes[ADDRESS.end..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// The SSRC and the address as the server sees it, or `None` if the bytes are no response.
pub fn parse_response(bytes: &[u8]) -> Option<(u32, SocketAddr)> {
    let ssrc = parse_kind(bytes, RESPONSE)?;
    let text = bytes[ADDRESS].split(|byte| *byte == 0).next()?;
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some((ssrc, SocketAddr::new(ip, u16_at(bytes, ADDRESS.end))))
}

fn empty(kind: u16, ssrc: u32) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..2].copy_from_slice(&kind.to_be_bytes());
    bytes[2..4].copy_from_slice(&((BYTES - 4) as u16).to_be_bytes());
    bytes[4..8].copy_from_slice(&ssrc.to_be_bytes());
    bytes
}

fn parse_kind(bytes: &[u8], kind: u16) -> Option<u32> {
    let whole = bytes.len() == BYTES && u16_at(bytes, 0) == kind && usize::from(u16_at(bytes, 2)) == BYTES - 4;
    let ssrc = whole.then(|| u32_at(bytes, 4))?;
    (ssrc != STUN_COOKIE).then_some(ssrc)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stun_binding_request_of_74_bytes_is_not_discovery() {
        assert_eq!(parse_request(&request(STUN_COOKIE)), None);
    }

    #[test]
    fn a_mapped_address_is_told_as_ipv4() {
        let bytes = response(7, "[::ffff:192.0.2.9]:40000".parse().unwrap());
        assert_eq!(parse_response(&bytes), Some((7, "192.0.2.9:40000".parse().unwrap())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parse_undoes_write(ssrc in 0..STUN_COOKIE, ip: [u16; 8], v4: bool, port: u16) {
            let ip: IpAddr = if v4 { u32::from(ip[0]).to_be_bytes().into() } else { ip.into() };
            let address = SocketAddr::new(ip.to_canonical(), port);
            prop_assert_eq!(parse_request(&request(ssrc)), Some(ssrc));
            prop_assert_eq!(parse_response(&response(ssrc, address)), Some((ssrc, address)));
            prop_assert_eq!(parse_request(&response(ssrc, address)), None);
        }

        #[test]
        fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 70..80), header: bool) {
            if header {
                bytes[..4].copy_from_slice(&[0, 2, 0, 70]);
            }
            parse_request(&bytes);
            parse_response(&bytes);
        }
    }
}
