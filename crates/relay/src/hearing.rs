//! How a session's listeners hear it, as they told lately: the room's opinion, not that of one bad link in it.

use raccall_wire::Nanos;

use crate::SessionId;

/// A listener that has not told for so long does not count any more. Who tells does so once a second.
const HEARD_FOR_NS: Nanos = 5_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Hearing {
    told: Vec<Told>,
}

#[derive(Debug)]
struct Told {
    listener: SessionId,
    /// In 256ths, on the whole way.
    fraction_lost: u8,
    at: Nanos,
}

impl Hearing {
    /// Takes what a listener reports. Only listeners may be let in here: they are as many as the room has members.
    pub(crate) fn take(&mut self, listener: SessionId, fraction_lost: u8, now: Nanos) {
        let told = Told { listener, fraction_lost, at: now };
        match self.told.iter_mut().find(|told| told.listener == listener) {
            Some(known) => *known = told,
            None => self.told.push(told),
        }
    }

    /// How many have told, and the loss that three quarters of them do not exceed, rounded in favour of the many: of two or three
    /// a bad one never decides (DESIGN section 5).
    pub(crate) fn sum_up(&mut self, now: Nanos) -> (usize, u8) {
        self.told.retain(|told| now.saturating_sub(told.at) < HEARD_FOR_NS);
        let mut losses: Vec<u8> = self.told.iter().map(|told| told.fraction_lost).collect();
        losses.sort_unstable();
        let three_quarters = losses.len().saturating_sub(1) * 3 / 4;
        (losses.len(), losses.get(three_quarters).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_listener_does_not_decide_how_a_voice_is_protected() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.sum_up(0), (0, 0));
        let mut hears = |listener, fraction_lost, now| {
            hearing.take(listener, fraction_lost, now);
            hearing.sum_up(now)
        };
        assert_eq!(hears(2, 200, 0), (1, 200), "alone it is the room");
        assert_eq!(hears(3, 5, 0), (2, 5));
        assert_eq!(hears(4, 0, 0), (3, 5));
        assert_eq!(hears(5, 30, 0), (4, 30));
        assert_eq!(hears(6, 31, 0), (5, 31), "what is bad for many counts");
        assert_eq!(hears(2, 200, HEARD_FOR_NS), (1, 200), "what was told long ago is forgotten");
    }
}
