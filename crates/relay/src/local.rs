//! Which of this machine's addresses a datagram was sent to, where a socket listens on all of them.
//!
//! An answer must leave from there: NATs and connected sockets drop what comes from elsewhere, and by itself the system
//! takes the address of the route. The few addresses are numbered as they are met, so that an `Endpoint` stays small.

use std::net::IpAddr;

/// The number of no address: the system chooses.
pub(crate) const ANY: u8 = 0;

#[derive(Default)]
pub(crate) struct Locals(Vec<IpAddr>);

impl Locals {
    /// The number of an address, always the same. Beyond 255 of them: ANY.
    pub(crate) fn number(&mut self, address: IpAddr) -> u8 {
        let index = self.0.iter().position(|known| *known == address).unwrap_or_else(|| {
            if self.0.len() < usize::from(u8::MAX) {
                self.0.push(address);
                self.0.len() - 1
            } else {
                usize::from(u8::MAX)
            }
        });
        u8::try_from(index + 1).unwrap_or(ANY)
    }

    pub(crate) fn address(&self, number: u8) -> Option<IpAddr> {
        self.0.get(usize::from(number).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_end() {
        let mut locals = Locals::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let numbers: Vec<_> = (0..300).map(|number| locals.number(address(number))).collect();
        assert_eq!(numbers[..255], (1..=255).collect::<Vec<u8>>());
        assert!(numbers[255..].iter().all(|number| *number == ANY));
        assert_eq!((locals.number(address(7)), locals.address(8), locals.address(ANY)), (8, Some(address(7)), None));
    }
}
