//! Something that is done again and again, and when it is due.

use raccall_wire::Nanos;

pub struct Timer {
    next: Nanos,
}

impl Timer {
    /// Due for the first time at `first`.
    pub fn new(first: Nanos) -> Self {
        Self { next: first }
    }

    /// Due at `next`, whatever was planned.
    pub fn set(&mut self, next: Nanos) {
        self.next = next;
    }

    /// Whether its time has come. It is due again `interval` after that time; what was missed meanwhile is left out.
    pub fn is_due(&mut self, now: Nanos, interval: Nanos) -> bool {
        let due = now >= self.next;
        if due {
            self.next += interval * (1 + (now - self.next) / interval);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_neither_shifts_what_follows_nor_repeats_what_was_missed() {
        let mut timer = Timer::new(100);
        let due: Vec<Nanos> =
            [99, 100, 101, 119, 147, 149, 150].into_iter().filter(|now| timer.is_due(*now, 10)).collect();
        assert_eq!(due, [100, 119, 147, 150]);
        timer.set(151);
        assert!(!timer.is_due(150, 10) && timer.is_due(151, 10));
    }
}
