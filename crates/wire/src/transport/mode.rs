//! The transport modes: their wire names, sizes, and which part of a packet they leave in clear.

use crate::rtp;

/// A transport mode. The first two are Discord's of today; the others are those of captures made before Discord refused
/// them on 2024-11-18, and offered by our server only when told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Preferred: every current processor has instructions for it.
    Aes256GcmRtpSize,
    /// The one that every client must know.
    XChaCha20Poly1305RtpSize,
    /// The step between: the old cipher, the layout of today.
    XSalsa20Poly1305LiteRtpSize,
    /// The cipher of today, the old layout.
    Aes256Gcm,
    /// The RTP header is the nonce.
    XSalsa20Poly1305,
    /// 24 random bytes at the end are the nonce.
    XSalsa20Poly1305Suffix,
    /// A 4 byte counter at the end is the nonce.
    XSalsa20Poly1305Lite,
}

/// What stays in clear of an RTCP packet: header and SSRC.
const RTCP_CLEAR_BYTES: usize = 8;

impl Mode {
    /// All modes, the preferred first. Without extension and CSRC list the two layouts of a cipher are the same bytes: who
    /// finds out a capture's mode by trying meets the commoner one first.
    pub const ALL: [Self; 7] = [
        Self::Aes256GcmRtpSize,
        Self::XChaCha20Poly1305RtpSize,
        Self::XSalsa20Poly1305Lite,
        Self::XSalsa20Poly1305Suffix,
        Self::XSalsa20Poly1305,
        Self::XSalsa20Poly1305LiteRtpSize,
        Self::Aes256Gcm,
    ];

    /// The name in Ready, Select Protocol and Session Description.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Aes256GcmRtpSize => "aead_aes256_gcm_rtpsize",
            Self::XChaCha20Poly1305RtpSize => "aead_xchacha20_poly1305_rtpsize",
            Self::XSalsa20Poly1305LiteRtpSize => "xsalsa20_poly1305_lite_rtpsize",
            Self::Aes256Gcm => "aead_aes256_gcm",
            Self::XSalsa20Poly1305 => "xsalsa20_poly1305",
            Self::XSalsa20Poly1305Suffix => "xsalsa20_poly1305_suffix",
            Self::XSalsa20Poly1305Lite => "xsalsa20_poly1305_lite",
        }
    }

    pub fn from_wire_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.wire_name() == name)
    }

    /// Whether the mode is one that Discord dropped in 2024.
    pub fn is_legacy(self) -> bool {
        !matches!(self, Self::Aes256GcmRtpSize | Self::XChaCha20Poly1305RtpSize)
    }

    /// Whether all behind the fixed header is encrypted: CSRC list and extension preamble, too.
    pub fn encrypts_whole_extension(self) -> bool {
        self.is_legacy() && self != Self::XSalsa20Poly1305LiteRtpSize
    }

    /// By how much a datagram is longer than its packet: tag and nonce.
    pub fn overhead_bytes(self) -> usize {
        super::cipher::TAG_BYTES + self.nonce_bytes()
    }

    /// Nonce bytes at the end of each datagram.
    pub(super) fn nonce_bytes(self) -> usize {
        match self {
            Self::XSalsa20Poly1305 => 0,
            Self::XSalsa20Poly1305Suffix => 24,
            _ => 4,
        }
    }

    /// How many leading bytes of a packet or datagram are not encrypted; `None` if it is neither RTP nor RTCP or ends
    /// inside them.
    ///
    /// `rtpsize` leaves fixed header, CSRC list and extension preamble in clear and encrypts the extension's *body*; the
    /// old layout leaves 12 bytes and encrypts CSRC list, preamble and body. To confuse the two is the classic bug here.
    pub(super) fn clear_bytes(self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        if first >> 6 != 2 {
            return None;
        }
        let clear = if rtp::is_rtcp(bytes) {
            RTCP_CLEAR_BYTES
        } else if self.encrypts_whole_extension() {
            rtp::FIXED_HEADER_BYTES
        } else {
            let preamble = if first & 0x10 != 0 { rtp::EXTENSION_PREAMBLE_BYTES } else { 0 };
            rtp::FIXED_HEADER_BYTES + 4 * usize::from(first & 0x0F) + preamble
        };
        (bytes.len() >= clear).then_some(clear)
    }
}
