//! Who may use which nonce.
//!
//! One key serves both directions of a session, and a repeated (key, nonce) breaks AES-GCM. Clients of other people count
//! from anywhere, mostly from zero, in either byte order. So the relay sets the top bit of the first *and* of the last wire
//! byte: a counter of either byte order that starts low reaches that space only after 2³¹ packets, 497 days of voice.
//! The relay divides its space among its threads.

const RELAY_BITS: [u8; 4] = [0x80, 0, 0, 0x80];
/// Nonces that the relay has for one key.
pub const RELAY_SPACE: u32 = 1 << 30;
const CLIENT_SPACE: u32 = 1 << 31;

/// Whether a nonce belongs to the relay. A client's packet with such a nonce means: make a new key.
pub fn is_relay_nonce(nonce: [u8; 4]) -> bool {
    nonce[0] & nonce[3] & 0x80 != 0
}

/// The nonces of a client: a big-endian counter from 0 whose top bit stays clear.
#[derive(Clone, Debug, Default)]
pub struct ClientNonces {
    used: u32,
}

impl ClientNonces {
    pub fn new() -> Self {
        Self::default()
    }

    /// `None`: all are used. The relay counts along and makes a new key before.
    #[allow(clippy::should_implement_trait)] // an iterator's end is an end; after this one comes a new key
    pub fn next(&mut self) -> Option<[u8; 4]> {
        let nonce = take(&mut self.used, CLIENT_SPACE)?;
        Some(nonce.to_be_bytes())
    }
}

/// The nonces of one relay thread for one key.
#[derive(Clone, Debug)]
pub struct RelayNonces {
    base: u32,
    size: u32,
    used: u32,
}

impl RelayNonces {
    /// # Panics
    /// Unless `thread < threads`.
    pub fn new(thread: u16, threads: u16) -> Self {
        Self::within(RELAY_SPACE, thread, threads)
    }

    /// The same of the first `space` nonces only, so that a test sees their end.
    ///
    /// # Panics
    /// Unless `thread < threads` and `space` is one of the relay's.
    pub fn within(space: u32, thread: u16, threads: u16) -> Self {
        assert!(thread < threads && space <= RELAY_SPACE, "thread {thread} of {threads}, {space} nonces");
        let size = space / u32::from(threads);
        Self { base: size * u32::from(thread), size, used: 0 }
    }

    /// Nine tenths of this thread's share are used: make a new key, while the last tenth lasts.
    pub fn is_scarce(&self) -> bool {
        self.used >= self.size / 10 * 9
    }

    pub fn is_empty(&self) -> bool {
        self.used >= self.size
    }

    /// `None`: all of this thread's share are used.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<[u8; 4]> {
        let count = self.base + take(&mut self.used, self.size)?;
        // 30 bits of count around the two reserved ones: 23 above bit 7, 7 below it.
        let [a, b, c, d] = ((count & !0x7F) << 1 | count & 0x7F).to_be_bytes();
        Some([a | RELAY_BITS[0], b, c, d | RELAY_BITS[3]])
    }
}

fn take(used: &mut u32, space: u32) -> Option<u32> {
    let count = *used;
    (count < space).then(|| {
        *used += 1;
        count
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn relay_threads_and_clients_never_meet() {
        let mut seen = HashSet::new();
        for thread in 0..7 {
            let mut nonces = RelayNonces::new(thread, 7);
            for used in [0, RELAY_SPACE / 7 - 300] {
                nonces.used = used;
                for _ in 0..300 {
                    let nonce = nonces.next().unwrap();
                    assert!(is_relay_nonce(nonce));
                    assert!(seen.insert(nonce), "{nonce:?} twice");
                }
            }
            assert_eq!(nonces.next(), None);
        }
        let mut nonces = ClientNonces { used: CLIENT_SPACE - 300 };
        for _ in 0..300 {
            assert!(!is_relay_nonce(nonces.next().unwrap()));
        }
        assert_eq!(nonces.next(), None);
    }

    #[test]
    fn a_foreign_client_that_counts_from_zero_stays_outside() {
        for count in (0..CLIENT_SPACE).step_by(99_991) {
            assert!(!is_relay_nonce(count.to_be_bytes()));
            assert!(!is_relay_nonce(count.to_le_bytes()));
        }
    }
}
